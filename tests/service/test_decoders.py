"""The decoders at the door: right bytes become arrays, and any other bytes become an error of ours."""

import asyncio
import io
import struct
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from starlette.requests import Request

from service.rest.bodies import array_from_json, json_from_bytes, read_bytes, read_object
from service.rest.formats.npy import array_from_npy
from service.rpc.tensors import from_tensor, to_tensor
from service.rpc.v1 import inference_pb2 as pb
from workers.settings import Settings
from zoo.specs.arrays import as_configurations
from zoo.specs.errors import (
    HelmholtzError,
    InvalidValueError,
    MalformedError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)
from zoo.specs.spaces import SpaceSpec

SPINS = SpaceSpec(kind="spins", event_shape=(2, 3))
SMALL = Settings(max_body_bytes=1024)
MANY = settings(deadline=None, max_examples=150, derandomize=True, database=None)
Array = NDArray[np.generic]


def request(body: bytes, content_type: str | None = None, chunk: int = 100) -> Request:
    """A request whose body comes in chunks."""
    chunks = [body[i : i + chunk] for i in range(0, len(body), chunk)] or [b""]

    async def receive() -> dict[str, Any]:
        part = chunks.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(chunks)}

    headers = [] if content_type is None else [(b"content-type", content_type.encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


def npy_array(body: bytes, limits: Settings = Settings()) -> Array:  # noqa: B008 - frozen
    return array_from_npy(asyncio.run(read_bytes(request(body), limits)))


def json_value(body: bytes) -> Any:  # noqa: ANN401 - JSON
    return json_from_bytes(body, Settings())


def json_object(body: bytes, content_type: str | None = None, default: dict[str, Any] | None = None) -> dict[str, Any]:
    return asyncio.run(read_object(request(body, content_type), Settings(), default=default))


def npy(array: Array, version: tuple[int, int] | None = None) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=version, allow_pickle=True)
    return stream.getvalue()


def npy_with_header(header: str, data: bytes = b"", version: int = 1) -> bytes:
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode("latin1") + data


SPIN_ROWS = np.where(np.arange(24).reshape(4, 2, 3) % 5 < 2, 1, -1)


@pytest.mark.parametrize("dtype", ["i1", "<i2", ">i2", ">i4", "<i8", "<f2", ">f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_layout_gives_the_same_configurations(dtype: str, order: str, version: tuple[int, int]) -> None:
    sent = np.asarray(SPIN_ROWS, dtype=dtype, order="F" if order == "F" else "C")
    came = as_configurations(npy_array(npy(sent, version)), SPINS)
    np.testing.assert_array_equal(came, SPIN_ROWS)
    assert came.dtype == SPINS.wire_dtype
    assert came.dtype.isnative


def test_bits_may_be_booleans_and_spins_may_not() -> None:
    flags = npy_array(npy(SPIN_ROWS > 0))
    bits = as_configurations(flags, SpaceSpec(kind="bits", event_shape=(2, 3)))
    np.testing.assert_array_equal(bits, (SPIN_ROWS > 0).astype(int))
    with pytest.raises(InvalidValueError, match="is False; spins are -1 or 1"):
        as_configurations(flags, SPINS)


@pytest.mark.parametrize(
    "array", [np.array(1.0), np.ones((2, 3)), np.ones((0, 2, 3)), np.ones((1, 3, 2)), np.ones((1, 1, 2, 3))]
)
def test_a_wrong_shape_is_named(array: Array) -> None:
    with pytest.raises(InvalidValueError, match=r"expected \(n, 2, 3\)"):
        as_configurations(npy_array(npy(array)), SPINS)


@pytest.mark.parametrize("value", [0, 2, 255, 0.5, np.nan, np.inf])
def test_a_wrong_value_is_named_with_its_place(value: float) -> None:
    dtype = np.float64 if isinstance(value, float) else np.uint8
    rows = np.ones((4, 2, 3), dtype)
    rows[2, 1, 0] = value
    with pytest.raises(InvalidValueError, match=r"samples\[2\]\[1\]\[0\] is"):
        as_configurations(npy_array(npy(rows)), SPINS)


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([1j]), np.zeros(1, "M8[s]"), np.zeros(1, [("a", "i4")])])
def test_what_is_not_a_number_is_refused(array: Array) -> None:
    with pytest.raises(InvalidValueError, match="numbers were expected"):
        as_configurations(npy_array(npy(array)), SPINS)


BROKEN_NPY = {
    "empty": b"",
    "magic only": b"\x93NUMPY",
    "another magic": b"NUMPYNUMPY" * 3,
    "version 9": b"\x93NUMPY\x09\x00" + npy(SPIN_ROWS)[8:],
    "cut short": npy(SPIN_ROWS)[:-1],
    "trailing bytes": npy(SPIN_ROWS) + b"\0",
    "pickled objects": npy(np.array([None, {}], dtype=object)),
    "huge header": npy_with_header(" " * 100_000, version=2),
    "claimed header": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}",
    "open bracket": npy_with_header("{'descr': '<f8', 'fortran_order': False, 'shape': ("),
    "open text": npy_with_header("'''"),
    "deep header": npy_with_header("-" * 9000 + "1"),
    "brackets": npy_with_header("(" * 1500),
    "a call": npy_with_header("__import__('os').getcwd()"),
    "10^18 numbers": npy_with_header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({10**18},), }}"),
    "10^30 numbers": npy_with_header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({10**30},), }}"),
    "negative": npy_with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }", b"12345678"),
    "two negatives": npy_with_header("{'descr': '|i1', 'fortran_order': False, 'shape': (-2, -4), }", b"12345678"),
    "100 axes": npy_with_header(
        "{'descr': '|i1', 'fortran_order': False, 'shape': (" + "1, " * 100 + "), }", b"1", version=2
    ),
}


@pytest.mark.parametrize("name", BROKEN_NPY)
@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_broken_npy_is_malformed(name: str) -> None:
    with pytest.raises(MalformedError, match="npy") as caught:
        npy_array(BROKEN_NPY[name])
    assert "\n" not in caught.value.detail


def test_too_many_bytes_are_not_read() -> None:
    with pytest.raises(PayloadTooLargeError, match="1024"):
        npy_array(npy(np.zeros(2000, np.int8)), SMALL)


HEADERS = st.text(st.characters(min_codepoint=9, max_codepoint=126), max_size=200) | st.builds(
    "{{'descr': {}, 'fortran_order': {}, 'shape': {}, }}".format,
    st.sampled_from(["'<f8'", "'|O'", "'|S0'", "[]", "('<i4', 3)", "None", "'x'", "[('a', '<f8')]"]),
    st.sampled_from(["True", "False", "1", "None"]),
    st.lists(st.integers(-3, 10), max_size=4).map(lambda shape: repr(tuple(shape))),
)


@MANY
@given(body=st.binary(max_size=300) | st.binary(max_size=300).map(lambda rest: b"\x93NUMPY\x01\x00" + rest))
@pytest.mark.filterwarnings("ignore")
def test_any_bytes_are_an_array_or_an_error_of_ours(body: bytes) -> None:
    try:
        as_configurations(npy_array(body), SPINS)
    except HelmholtzError as error:
        assert error.detail  # noqa: PT017 - either outcome is right


@MANY
@given(header=HEADERS, data=st.binary(max_size=100), version=st.sampled_from([1, 2, 3]))
@pytest.mark.filterwarnings("ignore")
def test_any_header_is_an_array_or_an_error_of_ours(header: str, data: bytes, version: int) -> None:
    try:
        as_configurations(npy_array(npy_with_header(header, data, version)), SPINS)
    except HelmholtzError as error:
        assert error.detail  # noqa: PT017 - either outcome is right


@MANY
@given(body=st.binary(max_size=200) | st.text(st.sampled_from('[]{}",:0123456789.eE-+ntf\\u '), max_size=80))
def test_any_bytes_are_json_or_an_error_of_ours(body: bytes | str) -> None:
    raw = body if isinstance(body, bytes) else body.encode()
    try:
        value = json_value(raw)
    except HelmholtzError as error:
        assert isinstance(error, MalformedError)  # noqa: PT017 - either outcome is right
    else:
        assert value == orjson.loads(raw)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=20,
)


@MANY
@given(value=JSON_VALUES)
def test_any_json_is_configurations_or_an_error_of_ours(value: object) -> None:
    try:
        as_configurations(array_from_json(value), SPINS)
    except HelmholtzError as error:
        assert isinstance(error, InvalidValueError)  # noqa: PT017 - either outcome is right


def test_nested_lists_are_an_array() -> None:
    np.testing.assert_array_equal(array_from_json(SPIN_ROWS.tolist()), SPIN_ROWS)
    assert array_from_json([[1, -1.0], [True, 1]]).shape == (2, 2)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "is an empty list"),
        (3, "is 3"),
        (None, "is null"),
        ({"a": 1}, "is an object"),
        ([[1, 2], [3]], "rows of unequal lengths"),
        ([1, [2]], "rows of unequal lengths"),
        (["1", "-1"], "not numbers"),
        ([[1, None]], "not numbers"),
        ([[1, {}]], "not numbers"),
    ],
)
def test_other_json_is_named(value: object, words: str) -> None:
    with pytest.raises(InvalidValueError, match=words):
        array_from_json(value)


@pytest.mark.parametrize("shape", [(300_000,), (1, 1, 300_000), (5000, 7, 9), (3, 100_000), (150_000, 2)])
def test_long_lists_are_the_array_that_numpy_makes_of_them(shape: tuple[int, ...]) -> None:
    numbers = np.arange(np.prod(shape)).reshape(shape).tolist()
    found = array_from_json(numbers)
    np.testing.assert_array_equal(found, np.array(numbers))
    assert found.dtype == np.array(numbers).dtype
    last = numbers
    while isinstance(last[-1], list):
        last = last[-1]
    last[-1] = 0.5  # in the last part only
    assert array_from_json(numbers).dtype == np.float64
    last.append(1)
    if len(shape) > 1 and shape[-2] > 1:
        with pytest.raises(InvalidValueError, match="unequal lengths"):
            array_from_json(numbers)


@pytest.mark.parametrize("depth", [32, 33])
def test_the_depth_of_a_long_body_is_that_of_all_its_parts(depth: int) -> None:
    body = b"[" * 16 + b" " * 3 * 2**20 + b"[" * (depth - 16) + b" " * 2**20 + b"]" * depth
    if depth > 32:
        with pytest.raises(MalformedError, match="more than 32 levels"):
            json_value(body)
    else:
        assert json_value(body)


def test_a_long_text_among_many_takes_no_memory() -> None:
    """As an array of texts this would take 4 TB."""
    with pytest.raises(InvalidValueError, match="not numbers"):
        array_from_json(["x" * 10**6] + [""] * 10**6)


@pytest.mark.parametrize("body", [b"", b"{", b'{"n": NaN}', b'{"n": Infinity}', b"\xff\xfe", b"{'n': 1}", b"1 2"])
def test_broken_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError, match="not JSON"):
        json_value(body)


@pytest.mark.parametrize("depth", [33, 100_000])
def test_deep_json_is_malformed(depth: int) -> None:
    assert json_value(b"[" * 32 + b"]" * 32) is not None
    with pytest.raises(MalformedError, match="more than 32 levels"):
        json_value(b"[" * depth)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/x-npy", ""])
def test_other_types_are_not_read_as_json(kind: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError, match="application/json"):
        json_object(b"{}", kind)


def test_the_type_may_have_parameters() -> None:
    assert json_object(b'{"a": 1}', "Application/JSON; charset=utf-8") == {"a": 1}
    assert json_object(b"", default={}) == {}
    with pytest.raises(InvalidValueError, match=r"the body is \[\]; an object"):
        json_object(b"[]")


@pytest.mark.parametrize("dtype", ["i1", "u1", "<i2", "<i4", "<i8", "<f4", "<f8", ">i4", ">f8"])
def test_tensors_survive_the_wire_little_endian(dtype: str) -> None:
    for array in (SPIN_ROWS.astype(dtype), SPIN_ROWS.astype(dtype).T, np.ones((0, 3), dtype), np.array(7, dtype)):
        tensor = to_tensor(array)
        assert tensor is not None
        came = from_tensor(tensor)
        np.testing.assert_array_equal(came, array)
        assert came.shape == array.shape
        assert tensor.data == array.astype(array.dtype.newbyteorder("<")).tobytes("C")
    assert to_tensor(None) is None


@pytest.mark.parametrize(
    ("dtype", "shape", "data"),
    [
        ("object", [1], b"12345678"),
        ("", [], b""),
        ("float64", [2], b"12345678"),
        ("float64", [-1], b"12345678"),
        ("int8", [-2, -4], b"12345678"),
        ("int8", [1] * 100, b"1"),
        ("int8", [0, 2**62, 2**62], b""),
        ("int8", [2**62, 2**62], b"1"),
    ],
)
def test_a_tensor_that_is_none_is_refused(dtype: str, shape: list[int], data: bytes) -> None:
    with pytest.raises(InvalidValueError, match=r"samples\.(dtype|shape)"):
        from_tensor(pb.Tensor(dtype=dtype, shape=shape, data=data))


@MANY
@given(
    dtype=st.sampled_from(["int8", "float64", "x"]),
    shape=st.lists(st.integers(-1, 4) | st.integers(-(2**63), 2**63 - 1), max_size=70),
    data=st.binary(max_size=64),
)
def test_any_tensor_is_configurations_or_an_error_of_ours(dtype: str, shape: list[int], data: bytes) -> None:
    try:
        as_configurations(from_tensor(pb.Tensor(dtype=dtype, shape=shape, data=data)), SPINS)
    except HelmholtzError as error:
        assert isinstance(error, InvalidValueError)  # noqa: PT017 - either outcome is right
