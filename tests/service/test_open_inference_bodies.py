"""Bodies of the Open Inference Protocol: right ones become questions, any others an error in the protocol's words."""

import gzip
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.open_inference.binary import HEADER_LENGTH, InferBody, decode
from service.open_inference.compression import inflate
from service.open_inference.datatypes import DTYPES, header_of
from service.open_inference.rpc import question_of
from service.open_inference.v2 import open_inference_pb2 as pb
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
