"""tritonclient from PyPI, unchanged, in conversation with a running stack."""

import json
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from service.open_inference.v2 import open_inference_pb2 as pb
from tests.architecture.sources import ROOT
from tests.running_stack import RunningStack

TRANSPORTS = ("http", "grpc")
NUM_SAMPLES, SEED = 700, 42  # what the conversation asks for
Told = dict[str, dict[str, Any]]
"""What each transport was answered."""

ONLY_HTTP = {"in JSON", "mixed", "gzip", "deflate"}


def run(*arguments: str) -> str:
    """What a Python process prints."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, cwd=ROOT)  # noqa: S603 - our own
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def told(stack: RunningStack, small_model: str) -> Told:
    addresses = {"http": stack.url.removeprefix("http://"), "grpc": stack.grpc_address}
    script = "tests.end_to_end.triton_conversation"
    return {t: json.loads(run("-m", script, t, addresses[t], small_model)) for t in TRANSPORTS}


@pytest.fixture(scope="module")
def by_rest(stack: RunningStack, small_model: str) -> dict[str, Any]:
    """The same samples by the service's own API."""
    asked = {"n": NUM_SAMPLES, "seed": SEED, "include": ["log_prob"]}
    answer: dict[str, Any] = stack.post(f"/v1/models/{small_model}:sample", asked).json()
    return answer


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_who_is_there_and_who_is_not(told: Told, transport: str) -> None:
    found = told[transport]
    assert (found["live"], found["ready"]) == (True, True)
    assert found["models ready"] == [True, True]
    assert found["others ready"] == [False, False]
    assert found["server"]["name"] == "helmholtz"
    assert "binary_tensor_data" in found["server"]["extensions"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_metadata_name_the_tensors_of_the_version(told: Told, small_model: str, transport: str) -> None:
    metadata = told[transport]["metadata"]
    assert (metadata["name"], metadata["versions"][0], metadata["platform"]) == (small_model, "1", "helmholtz")
    shapes = {slot["name"]: (slot["datatype"], [int(i) for i in slot["shape"]]) for slot in metadata["inputs"]}
    assert shapes == {
        "n": ("INT64", [1]),
        "seed": ("INT64", [1]),
        "beta": ("FP64", [1]),
        "samples": ("INT8", [-1, 4, 4]),
    }
    shapes = {slot["name"]: (slot["datatype"], [int(i) for i in slot["shape"]]) for slot in metadata["outputs"]}
    assert shapes == {"samples": ("INT8", [-1, 4, 4]), "log_prob": ("FP64", [-1]), "log_likelihood": ("FP64", [-1])}
    assert told[transport]["metadata of production"] == metadata


def test_both_transports_configure_alike(told: Told) -> None:
    by_grpc = told["grpc"]["config"]["config"]
    by_http = told["http"]["config"]
    assert by_http["max_batch_size"] == 0
    for key in ("name", "platform", "backend"):
        assert by_http[key] == by_grpc[key]
    for key in ("input", "output"):
        assert [(s["name"], s["data_type"], [str(d) for d in s["dims"]]) for s in by_http[key]] == [
            (s["name"], s["data_type"], s["dims"]) for s in by_grpc[key]
        ]
    assert all(slot["optional"] for slot in [*by_http["input"], *by_grpc["input"]])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_index_lists_every_version(told: Told, small_model: str, transport: str) -> None:
    index = told[transport]["index"]
    entries = index["models"] if transport == "grpc" else index
    mine = [entry for entry in entries if (entry["name"], entry["version"]) == (small_model, "1")]
    assert [entry["state"] for entry in mine] == ["READY"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_samples_are_those_of_the_services_own_api(told: Told, by_rest: dict[str, Any], transport: str) -> None:
    drawn = told[transport]["samples"]
    assert drawn["samples"] == {"dtype": "int8", "values": by_rest["samples"]}
    assert drawn["log_prob"] == {"dtype": "float64", "values": by_rest["log_prob"]}
    for name in ONLY_HTTP & told[transport].keys():
        assert told[transport][name] == drawn, name
    assert told[transport]["samples alone"] == {"samples": drawn["samples"], "log_prob": None}
    assert told[transport]["at beta"] == {"samples": drawn["samples"]}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_answer_tells_where_it_comes_from(told: Told, stack: RunningStack, small_model: str, transport: str) -> None:
    answer = told[transport]["answer"]
    assert (answer["model_name"], answer["model_version"], answer["id"]) == (small_model, "1", "first")
    digest = stack.get(f"/v1/models/{small_model}/versions/1").json()["digest"]
    if transport == "http":
        assert answer["parameters"] == {"seed": SEED, "digest": digest}
    else:
        assert answer["parameters"] == {"seed": {"int64_param": str(SEED)}, "digest": {"string_param": digest}}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_likelihoods_are_those_of_the_services_own_api(
    told: Told, stack: RunningStack, small_model: str, by_rest: dict[str, Any], transport: str
) -> None:
    answer = stack.post(f"/v1/models/{small_model}:logLikelihood", {"samples": by_rest["samples"]}).json()
    expected = {"log_likelihood": {"dtype": "float64", "values": answer["log_likelihood"]}}
    assert told[transport]["likelihood"] == expected
    assert told["http"]["likelihood in JSON"] == expected
    np.testing.assert_allclose(answer["log_likelihood"], by_rest["log_prob"], rtol=1e-5)


def test_the_example_of_the_page_prints_what_it_says(stack: RunningStack, small_model: str) -> None:
    page = (ROOT / "docs" / "open_inference.md").read_text()
    blocks = dict(re.findall(r"^```(python|text)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE))
    places = {"localhost:8000": stack.url.removeprefix("http://"), "ising-4x4": small_model}
    assert all(blocks["python"].count(place) == 1 for place in places)
    for place, here in places.items():
        blocks["python"] = blocks["python"].replace(place, here)
    assert run("-c", blocks["python"]) == blocks["text"]


REFUSALS = {
    "no model": ("404", "NOT_FOUND", "nobody"),
    "no version": ("404", "NOT_FOUND", "no version '99'"),
    "no metadata": ("404", "NOT_FOUND", "nobody"),
    "unknown input": ("400", "INVALID_ARGUMENT", "'temperature' is not known; the known ones are n, seed"),
    "unknown output": ("400", "INVALID_ARGUMENT", "'energy' is no answer to n; samples and log_prob can be asked"),
    "nothing asked": ("400", "INVALID_ARGUMENT", "neither came; give one of them"),
    "two questions": ("400", "INVALID_ARGUMENT", "both came; give one of them"),
    "a spin of 0": ("400", "INVALID_ARGUMENT", "samples[0][0][0] is 0; spins are -1 or 1"),
    "wrong shape": ("400", "INVALID_ARGUMENT", "samples has shape (2, 3, 3); expected (n, 4, 4)"),
    "texts": ("400", "INVALID_ARGUMENT", "datatype 'BYTES' is not read; it holds texts"),
    "n in FP64": ("400", "INVALID_ARGUMENT", "an integer datatype was expected"),
    "no samples": ("400", "INVALID_ARGUMENT", "n"),
    "negative seed": ("400", "INVALID_ARGUMENT", "seed"),
    "too many": ("400", "OUT_OF_RANGE", "samples of 16 sites asked"),
    "another beta": ("409", "FAILED_PRECONDITION", "beta 0.3 was asked"),
    "a sequence": ("400", "INVALID_ARGUMENT", "requests are independent"),
    "unload": ("409", "UNIMPLEMENTED", "cannot be unloaded by hand"),
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("name", REFUSALS)
def test_a_clients_fault_is_told_in_words(told: Told, transport: str, name: str) -> None:
    by_http, by_grpc, words = REFUSALS[name]
    refusal = told[transport]["refusals"][name]
    expected = by_http if transport == "http" else f"StatusCode.{by_grpc}"
    assert refusal["status"] == expected, refusal
    assert words in refusal["message"]


def test_every_refusal_is_judged(told: Told) -> None:
    assert told["http"]["refusals"].keys() == told["grpc"]["refusals"].keys() == REFUSALS.keys()


SCHEMA_SCRIPT = """
import json
from google.protobuf import descriptor_pb2
from tritonclient.grpc import model_config_pb2, service_pb2
files = []
for module in (service_pb2, model_config_pb2):
    message = descriptor_pb2.FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(message)
    files.append(message.SerializeToString().hex())
print(json.dumps(files))
"""


def fields(messages: Any, prefix: str = "") -> dict[str, tuple[int, int, int, str]]:  # noqa: ANN401 - protobuf's
    """Number, type, label and type name of each field, by its full name."""
    found: dict[str, tuple[int, int, int, str]] = {}
    for message in messages:
        name = prefix + message.name
        found |= {f"{name}.{f.name}": (f.number, f.type, f.label, f.type_name) for f in message.field}
        found |= fields(message.nested_type, name + ".")
    return found


def test_messages_on_the_wire_are_tritons() -> None:
    from google.protobuf import descriptor_pb2  # type: ignore[import-untyped]  # noqa: PLC0415 - used here alone

    theirs: dict[str, Any] = {}
    methods: dict[str, tuple[str, str]] = {}
    for text in json.loads(run("-c", SCHEMA_SCRIPT)):
        file = descriptor_pb2.FileDescriptorProto.FromString(bytes.fromhex(text))
        theirs |= fields(file.message_type)
        methods |= {m.name: (m.input_type, m.output_type) for s in file.service for m in s.method}
    own = descriptor_pb2.FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(own)
    assert own.package == "inference"
    assert len(fields(own.message_type)) > 80
    assert {name: theirs.get(name) for name in fields(own.message_type)} == fields(own.message_type)
    for method in own.service[0].method:
        assert methods[method.name] == (method.input_type, method.output_type)
