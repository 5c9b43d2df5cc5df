"""Bodies of the Open Inference Protocol: right ones become questions, any others an error in the protocol's words."""

import gzip
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models_registry.database import Database
from service.context import Context
from service.open_inference.binary import HEADER_LENGTH, InferBody, decode, encode
from service.open_inference.compression import inflate
from service.open_inference.datatypes import DTYPES, header_of
from service.open_inference.questions import Answer
from service.open_inference.rpc import question_of
from service.open_inference.v2 import open_inference_pb2 as pb
from service.rest.app import build_app
from tests.service.conftest import LIMITS, Ask
from tests.workers.tiny_models import TinyRegistry
from workers.settings import Settings
from zoo.specs.errors import HelmholtzError, InvalidValueError, MalformedError, PayloadTooLargeError

Array = NDArray[np.generic]
MANY = settings(deadline=None, max_examples=200, derandomize=True, database=None)
SEED_7 = {"name": "seed", "datatype": "INT64", "shape": [1], "data": [7]}


def entry(array: Array, name: str = "samples", **changed: object) -> dict[str, Any]:
    """An input that announces ``array`` as bytes."""
    datatype = next(n for n, dtype in DTYPES.items() if dtype == array.dtype)
    size = {"binary_data_size": array.nbytes}
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "parameters": size} | changed


def listed(name: str, datatype: str, shape: Sequence[int], data: object) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape), "data": data}


def body(*inputs: dict[str, Any], tail: bytes = b"", **others: object) -> tuple[bytes, str]:
    """A body with its Inference-Header-Content-Length."""
    head = orjson.dumps({"inputs": list(inputs)} | others)
    return head + tail, str(len(head))


def decoded(*inputs: dict[str, Any], tail: bytes = b"", **others: object) -> InferBody:
    return decode(*body(*inputs, tail=tail, **others), Settings())


@pytest.mark.parametrize("datatype", DTYPES)
def test_every_datatype_travels_as_bytes_and_in_lists(datatype: str) -> None:
    sent = np.array([[1, 0, 1], [0, 1, 1]]).astype(DTYPES[datatype])
    by_bytes = decoded(entry(sent), tail=sent.tobytes()).question.inputs["samples"]
    nested = decoded(listed("samples", datatype, (2, 3), sent.tolist())).question.inputs["samples"]
    flat = decoded(listed("samples", datatype, (2, 3), sent.ravel().tolist())).question.inputs["samples"]
    for came in (by_bytes, nested, flat):
        np.testing.assert_array_equal(came, sent)
        assert (came.dtype, came.shape) == (sent.dtype, sent.shape)


def test_tensors_follow_one_another_in_the_order_of_the_json() -> None:
    spins, n = np.array([[1, -1]], np.int8), np.array([300], "<i8")
    found = decoded(entry(spins), SEED_7, entry(n, "n"), tail=spins.tobytes() + n.tobytes()).question.inputs
    assert {name: array.tolist() for name, array in found.items()} == {"samples": [[1, -1]], "seed": [7], "n": [300]}


def test_outputs_travel_as_each_of_them_asks() -> None:
    wish = {"name": "log_prob", "parameters": {"binary_data": False}}
    asked = decoded(SEED_7, outputs=[{"name": "samples"}, wish], parameters={"binary_data_output": True}, id="a")
    assert asked.question.outputs == ("samples", "log_prob")
    assert (asked.id, asked.is_binary("samples"), asked.is_binary("log_prob")) == ("a", True, False)
    assert not decoded(SEED_7).is_binary("samples")


SPINS = np.ones((2, 3), np.int8)
WRONG: dict[str, tuple[tuple[dict[str, Any], ...], bytes, dict[str, object], str]] = {
    "too few bytes": ((entry(SPINS),), b"12345", {}, "binary_data_size is 6 and 5 bytes are left"),
    "too many bytes": ((entry(SPINS),), b"1234567", {}, "1 bytes after its JSON belong to no tensor"),
    "bytes of nobody": ((SEED_7,), b"1", {}, "1 bytes after its JSON belong to no tensor"),
    "a size that lies": ((entry(SPINS, shape=[2, 4]),), SPINS.tobytes(), {}, "needs 8 bytes and 6 came"),
    "negative size": ((entry(SPINS, parameters={"binary_data_size": -1}),), b"", {}, "binary_data_size is -1"),
    "true size": ((entry(SPINS, parameters={"binary_data_size": True}),), b"1", {}, "binary_data_size is true"),
    "size in words": ((entry(SPINS, parameters={"binary_data_size": "6"}),), b"123456", {}, "binary_data_size is"),
    "overflow": ((entry(SPINS, shape=[2**62, 2**62]),), SPINS.tobytes(), {}, "and 6 came"),
    "overflow to 0": ((entry(SPINS, shape=[2**32, 2**32, 1]),), SPINS.tobytes(), {}, "and 6 came"),
    "huge and empty": ((listed("samples", "INT8", [2**62, 2**62, 0], []),), b"", {}, "larger than any array"),
    "negative length": ((entry(SPINS, shape=[-2, -3]),), SPINS.tobytes(), {}, "lengths from 0 was expected"),
    "true length": ((entry(SPINS, shape=[6, True]),), SPINS.tobytes(), {}, "lengths from 0 was expected"),
    "no shape": ((entry(SPINS, shape=None),), SPINS.tobytes(), {}, "shape None came"),
    "40 axes": ((listed("samples", "INT8", [1] * 40, [1]),), b"", {}, "at most 32 lengths"),
    "texts": ((listed("samples", "BYTES", [1], ["up"]),), b"", {}, "datatype 'BYTES' is not read; it holds texts"),
    "BF16": ((listed("samples", "BF16", [1], [1]),), b"", {}, "datatype 'BF16' is not read"),
    "no datatype": ((listed("samples", "", [1], [1]),), b"", {}, "datatype '' is not read"),
    "no name": ((listed("", "INT8", [1], [1]),), b"", {}, "each input has a name"),
    "both ways": ((entry(SPINS, data=[1] * 6),), SPINS.tobytes(), {}, "either in data, or after the JSON"),
    "neither way": (({"name": "n", "datatype": "INT64", "shape": [1]},), b"", {}, "either in data, or after"),
    "twice": ((SEED_7, SEED_7), b"", {}, "comes twice"),
    "list too short": ((listed("samples", "INT8", [2, 3], [1] * 5),), b"", {}, "has 6 values and 5 came"),
    "list of texts": ((listed("samples", "INT8", [1], ["1"]),), b"", {}, "not numbers"),
    "no list": ((listed("samples", "INT8", [1], 1),), b"", {}, "nested lists"),
    "300 in INT8": ((listed("samples", "INT8", [1], [300]),), b"", {}, "holds a value that is no finite INT8"),
    "-1 in UINT64": ((listed("samples", "UINT64", [1], [-1]),), b"", {}, "no finite UINT64"),
    "0.5 in INT8": ((listed("samples", "INT8", [1], [0.5]),), b"", {}, "no finite INT8"),
    "1 in BOOL": ((listed("samples", "BOOL", [1], [1]),), b"", {}, "no finite BOOL"),
    "true in INT8": ((listed("samples", "INT8", [1], [True]),), b"", {}, "no finite INT8"),
    "1e39 in FP32": ((listed("samples", "FP32", [1], [1e39]),), b"", {}, "no finite FP32"),
    "2 as a boolean": ((entry(SPINS, datatype="BOOL"),), b"\2" * 6, {}, "neither 0 nor 1"),
    "parameters": ((entry(SPINS, parameters=[]),), b"", {}, "parameters are"),
    "shared memory": ((entry(SPINS, parameters={"shared_memory_region": "x"}),), b"", {}, "is not possible here"),
    "no inputs": ((), b"", {"inputs": 3}, "a list of objects"),
    "an input": ((), b"", {"inputs": [3]}, "a list of objects"),
    "outputs": ((SEED_7,), b"", {"outputs": "samples"}, "a list of objects"),
    "output without name": ((SEED_7,), b"", {"outputs": [{}]}, "each has a name"),
    "wish": ((SEED_7,), b"", {"outputs": [{"name": "samples", "parameters": {"binary_data": 1}}]}, "true or false"),
    "classes": ((SEED_7,), b"", {"outputs": [{"name": "samples", "parameters": {"classification": 3}}]}, "classes"),
    "sequence": ((SEED_7,), b"", {"parameters": {"sequence_id": 3}}, "independent of each other"),
    "id": ((SEED_7,), b"", {"id": 3}, "a text was expected"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_lies_or_does_not_fit_is_refused_in_words(name: str) -> None:
    inputs, tail, others, words = WRONG[name]
    with pytest.raises(InvalidValueError) as caught:
        decoded(*inputs, tail=tail, **others)
    assert words in caught.value.detail


@pytest.mark.parametrize("length", ["", "-1", "1.5", "10000", "9" * 30, "0x10", "٣", "1 "])
def test_a_length_that_the_body_does_not_have_is_malformed(length: str) -> None:
    with pytest.raises(MalformedError, match=HEADER_LENGTH):
        decode(b'{"inputs": []}', length, Settings())


@pytest.mark.parametrize("length", ["0", "5"])
def test_a_length_that_cuts_the_json_is_malformed(length: str) -> None:
    with pytest.raises(MalformedError, match="not JSON"):
        decode(b'{"inputs": []}', length, Settings())


def test_deep_json_and_other_values_are_refused() -> None:
    with pytest.raises(MalformedError, match="nested"):
        decode(b"[" * 100 + b"]" * 100, None, Settings())
    with pytest.raises(InvalidValueError, match="an object"):
        decode(b"[]", None, Settings())


PIECES: st.SearchStrategy[object] = st.sampled_from(
    [None, True, -1, 0, 1, 6, 2**63, 0.5, "", "n", "INT8", "FP64", [], [1], [2, 3], {}, [[1], [2]]]
)
ENTRIES = st.dictionaries(
    st.sampled_from(["name", "datatype", "shape", "data", "parameters"]),
    PIECES | st.builds(lambda size: {"binary_data_size": size}, PIECES),
)
REQUESTS = st.dictionaries(
    st.sampled_from(["inputs", "outputs", "id", "parameters"]), PIECES | st.lists(ENTRIES, max_size=3)
)


@MANY
@given(request=REQUESTS, tail=st.binary(max_size=12), cut=st.integers(-3, 3))
def test_any_request_is_a_question_or_an_error_of_ours(request: dict[str, Any], tail: bytes, cut: int) -> None:
    head = orjson.dumps(request)
    try:
        found = decode(head + tail, str(max(0, len(head) + cut)), Settings())
    except HelmholtzError as error:
        assert isinstance(error, InvalidValueError | MalformedError)  # noqa: PT017 - either outcome is right
    else:
        assert all(isinstance(array, np.ndarray) for array in found.question.inputs.values())


@MANY
@given(raw=st.binary(max_size=100), length=st.none() | st.integers(0, 120).map(str) | st.text(max_size=4))
def test_any_bytes_are_a_question_or_an_error_of_ours(raw: bytes, length: str | None) -> None:
    try:
        decode(raw, length, Settings())
    except HelmholtzError as error:
        assert isinstance(error, InvalidValueError | MalformedError)  # noqa: PT017 - either outcome is right


@MANY
@given(
    datatype=st.sampled_from(list(DTYPES)),
    shape=st.lists(st.integers(0, 4), max_size=4),
    data=st.binary(max_size=300),
)
def test_bytes_are_exactly_the_numbers_of_the_shape(datatype: str, shape: list[int], data: bytes) -> None:
    described = {"name": "x", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(data)}}
    try:
        found = decoded(described, tail=data).question.inputs["x"]
    except InvalidValueError:
        size = header_of("x", datatype, shape).num_values * DTYPES[datatype].itemsize
        assert len(data) != size or (datatype == "BOOL" and max(data, default=0) > 1)
    else:
        assert found.tobytes() == data
        assert found.shape == tuple(shape)


@MANY
@given(message=st.binary(max_size=200))
def test_any_message_is_a_question_or_an_error_of_ours(message: bytes) -> None:
    tensor = pb.ModelInferRequest.InferInputTensor(name="n", datatype="INT64", shape=[1])
    asked = pb.ModelInferRequest(inputs=[tensor], raw_input_contents=[message])
    try:
        question_of(asked)
    except HelmholtzError as error:
        assert isinstance(error, InvalidValueError)  # noqa: PT017 - either outcome is right
        assert len(message) != 8
    else:
        assert len(message) == 8


def grpc_tensor(datatype: str, shape: Sequence[int], **contents: object) -> pb.ModelInferRequest.InferInputTensor:
    """An input with typed contents."""
    message = pb.InferTensorContents(**contents)  # type: ignore[arg-type]  # names of its fields
    return pb.ModelInferRequest.InferInputTensor(name="samples", datatype=datatype, shape=shape, contents=message)


def test_typed_contents_are_read() -> None:
    spins = grpc_tensor("INT8", [1, 2], int_contents=[1, -1])
    found = question_of(pb.ModelInferRequest(inputs=[spins])).inputs["samples"]
    assert (found.dtype, found.tolist()) == (np.dtype("int8"), [[1, -1]])
    bits = (np.arange(50_000) % 3 == 0).tolist()
    flags = grpc_tensor("BOOL", [50_000], bool_contents=bits)
    assert question_of(pb.ModelInferRequest(inputs=[flags])).inputs["samples"].tolist() == bits
    reals = grpc_tensor("FP32", [2], fp32_contents=[0.5, -2.0])
    assert question_of(pb.ModelInferRequest(inputs=[reals])).inputs["samples"].tolist() == [0.5, -2.0]


@pytest.mark.parametrize(
    ("tensor", "raw", "words"),
    [
        (grpc_tensor("INT8", [1], int_contents=[300]), (), "no finite INT8"),
        (grpc_tensor("INT8", [2], int_contents=[1]), (), "has 2 values and 1 came"),
        (grpc_tensor("INT8", [1], fp64_contents=[1.0]), (), "INT8 has its numbers in int_contents"),
        (grpc_tensor("FP64", [1], fp64_contents=[np.inf]), (), "no finite FP64"),
        (grpc_tensor("FP16", [1], fp32_contents=[1.0]), (), "raw_input_contents alone"),
        (grpc_tensor("BYTES", [1], bytes_contents=[b"up"]), (), "datatype 'BYTES' is not read"),
        (grpc_tensor("INT8", [-1], int_contents=[1]), (), "lengths from 0"),
        (grpc_tensor("INT8", [1] * 100_000, int_contents=[1]), (), "at most 32 lengths"),
        (grpc_tensor("INT8", [1], int_contents=[1]), (b"1",), "both came"),
        (grpc_tensor("INT8", [1]), (b"1", b"2"), "2 tensors came for 1 inputs"),
        (grpc_tensor("INT8", [2**62, 4]), (b"",), "and 0 came"),
    ],
)
def test_wrong_messages_are_refused_in_words(
    tensor: pb.ModelInferRequest.InferInputTensor, raw: Sequence[bytes], words: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        question_of(pb.ModelInferRequest(inputs=[tensor], raw_input_contents=raw))
    assert words in caught.value.detail


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_bodies_are_inflated_within_the_bound(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    assert inflate(pack(b"x" * 1000), encoding, 1000) == b"x" * 1000
    with pytest.raises(PayloadTooLargeError, match="999 bytes when it is inflated"):
        inflate(pack(b"x" * 1000), encoding, 999)
    for wrong in (b"", b"x", pack(b"x" * 1000)[:-1], pack(b"x") + b"y"):
        with pytest.raises(MalformedError, match=encoding):
            inflate(wrong, encoding, 1000)


class FakeEngine:
    """Answers each question with fixed arrays, and remembers what was asked."""

    def __init__(self, **arrays: Array) -> None:
        self.arrays = arrays
        self.asked: list[tuple[str, dict[str, Any], float]] = []

    async def ask(self, operation: str, payload: dict[str, Any], seconds: float) -> AsyncIterator[dict[str, Any]]:
        """One part."""
        self.asked.append((operation, payload, seconds))
        yield {**self.arrays, "compute_seconds": 0.25}


DRAWN = np.ones((2, 4, 4), np.int8)
LOG_PROB = np.array([-1.5, -2.25])


@pytest.fixture
def engine(context: Context) -> FakeEngine:
    """An engine that always draws the same, and a published model ``made`` for it."""
    TinyRegistry(Database(context.settings.resolved_database_url), context.settings.data_dir / "artifacts").publish(
        "made"
    )
    fake = FakeEngine(samples=DRAWN, log_prob=LOG_PROB)
    context.engine = fake  # type: ignore[assignment]  # it has what is asked for
    return fake


INFER = "/v2/models/made/infer"
N_2 = listed("n", "INT64", [1], [2])


def infer(ask: Ask, *inputs: dict[str, Any], **others: Any) -> httpx.Response:  # noqa: ANN401 - JSON
    return ask("POST", INFER, content=body(*inputs, **others)[0])


def test_an_answer_in_json_is_flat_and_tells_its_seed(ask: Ask, engine: FakeEngine) -> None:
    answer = infer(ask, N_2, SEED_7, id="mine")
    assert answer.status_code == 200
    told = answer.json()
    assert (told["model_name"], told["model_version"], told["id"]) == ("made", "1", "mine")
    assert told["parameters"] == {"seed": 7, "digest": answer.headers["X-Model-Digest"]}
    assert (answer.headers["X-Seed"], answer.headers["X-Model-Version"]) == ("7", "1")
    assert "compute;dur=250.000" in answer.headers["Server-Timing"]
    assert told["outputs"] == [
        {"name": "samples", "datatype": "INT8", "shape": [2, 4, 4], "data": [1] * 32},
        {"name": "log_prob", "datatype": "FP64", "shape": [2], "data": [-1.5, -2.25]},
    ]
    ((operation, payload, _),) = engine.asked
    assert operation == "sample"
    assert (payload["n"], payload["seed"], payload["include"]) == (2, 7, ["log_prob"])


def test_an_answer_in_bytes_has_them_after_its_json(ask: Ask, engine: FakeEngine) -> None:
    wishes = [{"name": "log_prob"}, {"name": "samples", "parameters": {"binary_data": False}}]
    answer = infer(ask, N_2, outputs=wishes, parameters={"binary_data_output": True})
    length = int(answer.headers[HEADER_LENGTH])
    told = orjson.loads(answer.content[:length])
    assert [output["name"] for output in told["outputs"]] == ["log_prob", "samples"]
    assert told["outputs"][0]["parameters"] == {"binary_data_size": 16}
    assert told["outputs"][1]["data"] == [1] * 32
    assert answer.content[length:] == LOG_PROB.tobytes()
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert engine.asked[0][1]["include"] == ["log_prob"]


def test_only_what_is_asked_is_computed(ask: Ask, engine: FakeEngine) -> None:
    told = infer(ask, N_2, outputs=[{"name": "samples"}]).json()
    assert [output["name"] for output in told["outputs"]] == ["samples"]
    assert engine.asked[0][1]["include"] == []


def test_large_tensors_are_sent_as_views(ask: Ask, context: Context, engine: FakeEngine) -> None:
    engine.arrays = {"samples": np.arange(2**21, dtype="<i4").reshape(2, -1)}
    answer = infer(ask, N_2, outputs=[{"name": "samples"}], parameters={"binary_data_output": True})
    length = int(answer.headers[HEADER_LENGTH])
    assert answer.content[length:] == engine.arrays["samples"].tobytes()
    told = infer(ask, N_2, outputs=[{"name": "samples"}]).json()
    assert told["outputs"][0]["data"] == list(range(2**21))
    record = context.versions.resolve("made")
    (view,) = encode(Answer(record, dict(engine.arrays), 0.0), InferBody(decoded(N_2).question, all_binary=True))[1]
    assert np.shares_memory(np.frombuffer(view, "<i4"), engine.arrays["samples"])


def test_a_number_in_fp32_means_its_shortest_decimal(ask: Ask, engine: FakeEngine) -> None:
    """float32(0.44) is 0.4399999976, which is not the beta of the target."""
    assert infer(ask, N_2, listed("beta", "FP32", [1], [0.44])).status_code == 200
    assert infer(ask, N_2, listed("beta", "FP64", [1], [0.44])).status_code == 200
    assert infer(ask, N_2, listed("beta", "FP64", [1], [float(np.float32(0.44))])).status_code == 409


def test_a_timeout_is_in_microseconds(ask: Ask, engine: FakeEngine) -> None:
    for timeout, seconds in ((2_500_000, 2.5), (0, 10.0), (10**12, 300.0)):
        assert infer(ask, N_2, parameters={"timeout": timeout}).status_code == 200
        assert engine.asked[-1][2] == seconds
    refused = infer(ask, N_2, parameters={"timeout": "soon"})
    assert (refused.status_code, "microseconds" in refused.json()["error"]) == (400, True)


def test_likelihoods_tell_their_kind(ask: Ask, engine: FakeEngine) -> None:
    engine.arrays = {"log_likelihood": np.array([-3.0], np.float32)}
    told = infer(ask, listed("samples", "INT8", [1, 4, 4], [1] * 16)).json()
    assert told["parameters"]["kind"] == "exact"
    assert told["outputs"] == [{"name": "log_likelihood", "datatype": "FP64", "shape": [1], "data": [-3.0]}]


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        ([SEED_7], [], "neither came"),
        ([N_2, listed("samples", "INT8", [1], [1])], [], "both came"),
        ([N_2, listed("spin", "INT8", [1], [1])], [], "'spin' is not known; the known ones are n, seed"),
        ([SEED_7, listed("samples", "INT8", [1, 4, 4], [1] * 16)], [], "belongs to the question n"),
        ([N_2], ["energy"], "'energy' is no answer to n"),
        ([N_2], ["log_likelihood"], "'log_likelihood' is no answer to n"),
        ([N_2], ["samples", "samples"], "named twice"),
        ([listed("n", "INT64", [2], [1, 2])], [], "one value was expected"),
        ([listed("n", "INT64", [0], [])], [], "one value was expected"),
        ([listed("n", "FP32", [1], [2])], [], "an integer datatype"),
        ([N_2, listed("beta", "BOOL", [1], [True])], [], "a number was expected"),
        ([N_2, listed("beta", "FP64", [1], [-1])], [], "beta"),
        ([N_2, listed("seed", "UINT64", [1], [2**64 - 1])], [], "seed"),
        ([listed("n", "INT64", [1], [-5])], [], "n"),
        ([listed("n", "INT64", [1], [10**9])], [], "at most"),
        ([listed("samples", "INT8", [1, 4, 4], [0] * 16)], [], "spins are -1 or 1"),
        ([listed("samples", "INT8", [16], [1] * 16)], [], "expected (n, 4, 4)"),
    ],
)
def test_a_question_that_makes_no_sense_is_400(
    ask: Ask, engine: FakeEngine, inputs: list[dict[str, Any]], outputs: list[str], words: str
) -> None:
    answer = infer(ask, *inputs, outputs=[{"name": name} for name in outputs])
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]
    assert engine.asked == []


def test_a_nan_is_no_condition(ask: Ask, engine: FakeEngine) -> None:
    nan = np.array([np.nan])
    content, length = body(N_2, entry(nan, "beta"), tail=nan.tobytes())
    answer = ask("POST", INFER, content=content, headers={HEADER_LENGTH: length})
    assert (answer.status_code, "beta" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/v2/models/nobody", {}, 404),
        ("GET", "/v2/models/nobody/ready", {}, 404),
        ("GET", "/v2/models/made/versions/99", {}, 404),
        ("GET", "/v2/models/made/versions/99/config", {}, 404),
        ("POST", "/v2/models/nobody/infer", {"content": body(N_2)[0]}, 404),
        ("GET", "/v2/models/made/stats", {}, 404),
        ("GET", "/v2/", {}, 404),
        ("GET", INFER, {}, 405),
        ("POST", INFER, {}, 400),
        ("POST", INFER, {"content": b"{"}, 400),
        ("POST", INFER, {"content": b"[]"}, 400),
        ("POST", INFER, {"content": b"{}", "headers": {HEADER_LENGTH: "9"}}, 400),
        ("POST", INFER, {"content": b"x" * 20_001}, 413),
        ("POST", INFER, {"content": gzip.compress(b" " * 20_001), "headers": {"Content-Encoding": "gzip"}}, 413),
        ("POST", INFER, {"content": b"not deflated", "headers": {"Content-Encoding": "deflate"}}, 400),
        ("POST", INFER, {"content": b"{}", "headers": {"Content-Encoding": "br"}}, 415),
        ("POST", INFER, {"content": b"{}", "headers": {"Prefer": "wait=-1"}}, 400),
        ("POST", "/v2/repository/index", {"content": b'{"ready": 1}'}, 400),
        ("POST", "/v2/repository/index", {"content": b"3"}, 400),
        ("POST", "/v2/repository/models/nobody/load", {}, 404),
        ("POST", "/v2/repository/models/made/unload", {}, 409),
        ("DELETE", "/v2/models/made", {}, 405),
    ],
)
def test_every_refusal_is_an_error_in_the_protocols_words(
    ask: Ask, engine: FakeEngine, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    answer = ask(method, path, **options)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert answer.json()["error"]
    assert answer.headers["content-type"] == "application/json"
    assert engine.asked == []


def test_the_gzip_bound_is_the_services_own() -> None:
    assert LIMITS.max_body_bytes == 20_000


def test_the_index_tells_what_cannot_answer(ask: Ask, context: Context, engine: FakeEngine) -> None:
    registry = TinyRegistry(Database(context.settings.resolved_database_url), context.settings.data_dir / "artifacts")
    second = registry.publish("made", seed=6)
    registry.versions.quarantine(second.digest)
    everything = ask("POST", "/v2/repository/index").json()
    assert [(e["name"], e["version"], e["state"]) for e in everything] == [
        ("made", "2", "UNAVAILABLE"),
        ("made", "1", "READY"),
    ]
    assert "digest" in everything[0]["reason"]
    ready = ask("POST", "/v2/repository/index", json={"ready": True}).json()
    assert [(e["name"], e["version"]) for e in ready] == [("made", "1")]
    assert ask("GET", "/v2/models/made").json()["versions"] == ["1"]
    assert ask("GET", "/v2/models/made/versions/2/ready").status_code == 409


def test_loading_draws_one_sample(ask: Ask, engine: FakeEngine) -> None:
    assert ask("POST", "/v2/repository/models/made/load", json={}).status_code == 200
    assert [(operation, payload["n"]) for operation, payload, _ in engine.asked] == [("sample", 1)]


def test_without_redis_the_gateway_lives_and_is_not_ready(ask: Ask) -> None:
    live, ready = (ask("GET", f"/v2/health/{what}") for what in ("live", "ready"))
    assert (live.status_code, live.json()) == (200, {"live": True})
    assert (ready.status_code, ready.json()) == (503, {"ready": False})


def test_a_refusal_for_want_of_a_key_is_in_the_protocols_words(context: Context, ask: Ask) -> None:
    context.settings = context.settings.model_copy(update={"api_key": "a-key-for-a-test-0123456789"})
    answer = ask("GET", "/v2/models/made")
    assert (answer.status_code, list(answer.json())) == (401, ["error"])
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert ask("GET", "/v2/health/live").status_code == 200
    assert list(ask("GET", "/v1/info").json()) != ["error"]


def test_paths_that_only_begin_alike_have_problems_as_before(context: Context, ask: Ask) -> None:
    assert build_app(context)
    assert ask("GET", "/v2x").headers["content-type"] == "application/problem+json"
