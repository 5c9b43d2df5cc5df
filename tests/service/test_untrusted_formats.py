"""safetensors and Arrow in untrusted bytes: right files become arrays, and any other bytes an error of ours."""

import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from service.rest.compression import ENCODINGS, deflated, inflate
from service.rest.formats.media_types import ARROW, NPY, NPZ, SAFETENSORS
from service.rest.formats.parted import PartedArray
from service.rest.formats.table import read_arrays, write_arrays
from workers.settings import Settings
from zoo.specs.errors import HelmholtzError, InvalidValueError, LimitExceededError, MalformedError

KNOWN = frozenset({"samples", "mask"})
LIMITS = Settings(max_body_bytes=20_000, max_sample_values=4000)
MANY = settings(deadline=None, max_examples=200, derandomize=True, database=None)

ROWS = np.arange(24).reshape(4, 3, 2)
F32, I8 = ROWS.astype(np.float32), ROWS.astype(np.int8)


def read(kind: str, data: bytes) -> dict[str, Any]:
    return read_arrays(kind, data, KNOWN, LIMITS)


def tensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with this header, or this text in its place."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(shape: list[Any], begin: object, end: object, dtype: object = "I8") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i2", "u2", "f2", "i4", "u4", "f4", "i8", "u8", "f8"])
def test_what_another_library_writes_is_read(dtype: str) -> None:
    arrays = {"samples": ROWS.astype(dtype), "mask": ROWS > 3}
    found = read(SAFETENSORS, safetensors.numpy.save(arrays, {"about": "this"}))
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


BROKEN_SAFETENSORS: dict[str, bytes] = {
    "empty": b"",
    "no header": b"\0" * 8,
    "cut header": tensors({"samples": entry([2], 0, 2)})[:20],
    "claimed header": tensors(b"{}", length=2**63),
    "huge header": tensors(b"{" + b" " * 2**17 + b"}"),
    "a list": tensors([]),
    "not JSON": tensors(b"{samples}"),
    "not UTF-8": tensors(b'{"\xff": 1}'),
    "deep": tensors(b'{"samples":' + b"[" * 5000 + b"]" * 5000 + b"}"),
    "a key twice": tensors(b'{"samples":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"samples":1}', b"1"),
    "an inner key twice": tensors(b'{"samples":{"dtype":"I8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"1"),
    "NaN": tensors(b'{"samples":{"dtype":"I8","shape":[NaN],"data_offsets":[0,1]}}', b"1"),
    "a million digits": tensors(b'{"samples":{"dtype":"I8","shape":[' + b"9" * 10_000 + b'],"data_offsets":[0,1]}}'),
    "metadata of numbers": tensors({"__metadata__": {"a": 1}}),
    "metadata of a text": tensors({"__metadata__": "a"}),
    "trailing bytes": tensors({"samples": entry([2], 0, 2)}, b"123"),
    "cut short": tensors({"samples": entry([2], 0, 2)}, b"1"),
    "a hole": tensors({"samples": entry([1], 1, 2)}, b"12"),
    "a hole between": tensors({"samples": entry([1], 0, 1), "mask": entry([1], 2, 3)}, b"123"),
    "an overlap": tensors({"samples": entry([2], 0, 2), "mask": entry([2], 1, 3)}, b"123"),
    "the same bytes": tensors({"samples": entry([2], 0, 2), "mask": entry([2], 0, 2)}, b"12"),
    "backwards": tensors({"samples": entry([2], 2, 0)}, b"12"),
    "negative": tensors({"samples": entry([2], -2, 0)}, b"12"),
    "negative shape": tensors({"samples": entry([-1, -2], 0, 2)}, b"12"),
    "shape too large": tensors({"samples": entry([2**40, 2**40], 0, 2)}, b"12"),
    "shape too small": tensors({"samples": entry([1], 0, 2)}, b"12"),
    "true as a length": tensors({"samples": entry([True], 0, 1)}, b"1"),
    "a fraction": tensors({"samples": entry([1.0], 0, 1)}, b"1"),
    "another field": tensors({"samples": entry([1], 0, 1) | {"more": 1}}, b"1"),
    "a missing field": tensors({"samples": {"dtype": "I8", "shape": [1]}}, b"1"),
    "100 axes": tensors({"samples": entry([1] * 100, 0, 1)}, b"1"),
    "booleans of 7": tensors({"samples": entry([1], 0, 1, "BOOL")}, b"\x07"),
    "a dtype of lists": tensors({"samples": entry([1], 0, 1, ["I8"])}, b"1"),
}


@pytest.mark.parametrize("name", BROKEN_SAFETENSORS)
def test_broken_safetensors_are_malformed(name: str) -> None:
    with pytest.raises(MalformedError, match="is not a safetensors file"):
        read(SAFETENSORS, BROKEN_SAFETENSORS[name])


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (tensors({"weights": entry([1], 0, 1)}, b"1"), InvalidValueError, "arrays named mask and samples are read"),
        (tensors({"samples": entry([1], 0, 2, "BF16")}, b"12"), InvalidValueError, "numbers were expected"),
        (tensors({"samples": entry([1], 0, 1, "F8_E4M3")}, b"1"), InvalidValueError, "numbers were expected"),
        (tensors({"samples": entry([4001], 0, 4001)}, b"1" * 4001), LimitExceededError, "MAX_SAMPLE_VALUES"),
        (tensors({"samples": entry([0, 2**62, 2**62], 0, 0)}), InvalidValueError, "larger than any array"),
    ],
)
def test_other_safetensors_are_named(data: bytes, error: type[HelmholtzError], words: str) -> None:
    with pytest.raises(error, match=words):
        read(SAFETENSORS, data)


def stream(table: Any, **options: Any) -> bytes:  # noqa: ANN401 - pyarrow's
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, **options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def lists(values: Any, size: int = 2) -> Any:  # noqa: ANN401 - as above
    return pa.FixedSizeListArray.from_arrays(values, size)


NUMBERS = pa.array(np.arange(8, dtype=np.int8))
TABLE = pa.table({"samples": lists(NUMBERS)})
GOOD = stream(TABLE)


def permuted() -> Any:  # noqa: ANN401 - as above
    kind = pa.fixed_shape_tensor(pa.int8(), [2, 2], permutation=[1, 0])
    return pa.ExtensionArray.from_storage(kind, lists(NUMBERS, 4))


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"", MalformedError, "not an Arrow IPC stream"),
        (b"ARROW1\0\0", MalformedError, "not an Arrow IPC stream"),
        (GOOD[:-20], MalformedError, "not an Arrow IPC stream"),
        (GOOD + b"x", MalformedError, "bytes follow its end"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f", MalformedError, "not an Arrow IPC stream"),
        (stream(TABLE, options=pa.ipc.IpcWriteOptions(compression="zstd")), MalformedError, "compressed"),
        (stream(TABLE, options=pa.ipc.IpcWriteOptions(compression="lz4")), MalformedError, "compressed"),
        (stream(TABLE.slice(0, 0)), InvalidValueError, "no record batch"),
        (stream(pa.table({"weights": lists(NUMBERS)})), InvalidValueError, "columns? 'weights'"),
        (stream(pa.table([NUMBERS, NUMBERS], names=["samples"] * 2)), InvalidValueError, "twice"),
        (stream(pa.table({"samples": pa.array(["a"])})), InvalidValueError, "numbers were expected"),
        (
            stream(pa.table({"samples": pa.array(["a"]).dictionary_encode()})),
            InvalidValueError,
            "numbers were expected",
        ),
        (stream(pa.table({"samples": pa.array([[1], [1, 2]])})), InvalidValueError, "numbers were expected"),
        (stream(pa.table({"samples": pa.array([1, None])})), InvalidValueError, "nulls"),
        (stream(pa.table({"samples": lists(pa.array([1, None]))})), InvalidValueError, "nulls"),
        (stream(pa.table({"samples": pa.nulls(3)})), InvalidValueError, "numbers were expected"),
        (stream(pa.table({"samples": permuted()})), InvalidValueError, "permuted"),
        (stream(pa.table({"samples": np.zeros(4001)})), LimitExceededError, "MAX_SAMPLE_VALUES"),
    ],
)
def test_other_arrow_streams_are_named(data: bytes, error: type[HelmholtzError], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        read(ARROW, data)
    assert "\n" not in caught.value.detail


def test_a_slice_of_an_arrow_column_is_read_where_it_lies() -> None:
    nested = pa.table(
        {"samples": lists(lists(pa.array(I8.reshape(-1)), 2), 3), "mask": lists(pa.array([True] * 12), 3)}
    )
    found = read(ARROW, stream(nested.slice(1, 2)))
    np.testing.assert_array_equal(found["samples"], I8[1:3])
    assert found["mask"].dtype == np.bool_


PARTED = {"samples": PartedArray((F32[:1], F32[1:])), "mask": PartedArray((I8,))}
VALID = {kind: b"".join(write_arrays(kind, PARTED, {"a": "b"})) for kind in (NPY, NPZ, SAFETENSORS, ARROW)}


def test_what_is_mutated_below_was_right() -> None:
    for kind, data in VALID.items():
        np.testing.assert_array_equal(read(kind, data)["samples"], F32)


def survives(work: Callable[[], object]) -> None:
    """``work`` gives a result or raises an error of ours."""
    try:
        work()
    except HelmholtzError as error:
        assert error.detail  # noqa: PT017 - either outcome is right


MUTATIONS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8)


@pytest.mark.parametrize("kind", VALID)
@MANY
@given(mutations=MUTATIONS, cut=st.none() | st.floats(0, 1))
@pytest.mark.filterwarnings("ignore")  # numpy's, of the Python literal in a npy header
def test_changed_files_are_arrays_or_an_error_of_ours(
    kind: str, mutations: list[tuple[float, int]], cut: float | None
) -> None:
    data = bytearray(VALID[kind])
    for place, value in mutations:
        data[int(place * len(data))] = value
    survives(lambda: read(kind, bytes(data if cut is None else data[: int(cut * len(data))])))


@pytest.mark.parametrize("kind", VALID)
@MANY
@given(data=st.binary(max_size=300), start=st.sampled_from([0, 6, 8, 16, 64]))
@pytest.mark.filterwarnings("ignore")  # as above
def test_any_bytes_are_arrays_or_an_error_of_ours(kind: str, data: bytes, start: int) -> None:
    survives(lambda: read(kind, VALID[kind][:start] + data))


LENGTHS = st.sampled_from([0, 1, 2, 3, 4, 2**31, 2**63, 2**64, -1, 1.5, None, "1", True, [1]])
ENTRIES = st.builds(entry, st.lists(LENGTHS, max_size=3), LENGTHS, LENGTHS, st.sampled_from(["I8", "F64", "BOOL", "x"]))


@MANY
@given(
    header=st.dictionaries(st.sampled_from(["samples", "mask", "__metadata__", "x"]), ENTRIES, max_size=3),
    data=st.binary(max_size=16),
)
def test_what_our_reader_takes_the_library_takes_too(header: dict[str, Any], data: bytes) -> None:
    body = tensors(header, data)
    try:
        found = read(SAFETENSORS, body)
    except HelmholtzError:
        return
    by_library = safetensors.deserialize(body)  # type: ignore[no-untyped-call]  # the library has no types
    assert {name: list(array.shape) for name, array in found.items()} == {
        name: about["shape"] for name, about in by_library
    }


def test_an_arrow_message_that_lies_of_its_size_takes_no_memory() -> None:
    """The length of the record batch's body, 8 bytes somewhere in its metadata, is made 2^60."""
    body = len(TABLE.column("samples").chunk(0).flatten().buffers()[1])
    lying = GOOD.replace(struct.pack("<q", body), struct.pack("<q", 2**60))
    assert lying != GOOD
    with pytest.raises(MalformedError):
        read(ARROW, lying)


def test_rows_that_are_not_there_are_not_read() -> None:
    """The number of rows, which the record batch and its column say, is made larger than the numbers that came."""
    lying = GOOD.replace(struct.pack("<q", len(TABLE)), struct.pack("<q", 4 * len(TABLE)))
    assert lying != GOOD
    with pytest.raises(MalformedError):
        read(ARROW, lying)


@pytest.mark.parametrize("encoding", ENCODINGS)
@MANY
@given(data=st.binary(max_size=2000), mutations=st.just([]) | MUTATIONS, most=st.integers(0, 2000))
def test_any_bytes_inflate_within_the_bound_or_are_an_error_of_ours(
    encoding: str, data: bytes, mutations: list[tuple[float, int]], most: int
) -> None:
    packed = bytearray(b"".join(deflated([data[:7], data[7:]], encoding)))
    for place, value in mutations:
        packed[int(place * len(packed))] = value
    if not mutations and len(data) <= most:
        assert inflate(bytes(packed), encoding, most) == data
        return
    try:
        assert len(inflate(bytes(packed), encoding, most)) <= most
    except HelmholtzError as error:
        assert error.detail  # noqa: PT017 - either outcome is right
