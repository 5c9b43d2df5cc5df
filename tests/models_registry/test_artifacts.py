"""One file holds weights and manifest; files whose header lies are refused before anything is read by it."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models_registry.artifacts import MANIFEST_KEY, MAX_HEADER_BYTES, pack, read_manifest, unpack
from zoo.specs.errors import MalformedError

MANIFEST = {"model": "m", "target": {"kind": "ising", "shape": [4, 4], "beta": 0.44}, "note": "β"}
TENSORS: dict[str, np.ndarray[Any, Any]] = {
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "bias": np.array([-1.5], dtype=np.float64),
    "empty": np.zeros((0, 3), dtype=np.int8),
    "scalar": np.array(7, dtype=np.int64),
    "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
}


def file(header: Any, body: bytes = b"") -> bytes:  # noqa: ANN401
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def with_manifest(**tensors: object) -> dict[str, object]:
    return {"__metadata__": {MANIFEST_KEY: json.dumps(MANIFEST)}, **tensors}


def f32(shape: list[Any], begin: Any, end: Any, dtype: Any = "F32") -> dict[str, Any]:  # noqa: ANN401
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_what_is_packed_is_unpacked() -> None:
    tensors, manifest = unpack(pack(TENSORS, MANIFEST))
    assert manifest == MANIFEST == read_manifest(pack(TENSORS, MANIFEST))
    assert set(tensors) == set(TENSORS)
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], tensor, strict=True)


def test_equal_content_gives_equal_bytes() -> None:
    shuffled = dict(reversed(TENSORS.items()))
    assert pack(shuffled, dict(reversed(MANIFEST.items()))) == pack(TENSORS, MANIFEST)


def test_a_well_formed_file_by_hand_is_read() -> None:
    """The cases below differ from this one in one thing each."""
    assert read_manifest(file(with_manifest(a=f32([2], 0, 8), b=f32([1], 8, 12)), bytes(12))) == MANIFEST


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends inside its header"),
        (b"\x01\x00\x00", "ends inside its header"),
        (file(with_manifest())[:-1], "ends inside its header"),
        ((MAX_HEADER_BYTES + 1).to_bytes(8, "little"), "at most"),
        (b"\xff" * 8, "at most"),
        (file(b"\xff\xfe"), "not UTF-8"),
        (file(b"{"), "not readable JSON"),
        (file(b"[" * 100_000), "not readable JSON"),
        (file(b'{"a": 1, "a": 2}'), "a key comes twice"),
        (file([]), "not a JSON object"),
        (file({}), "__metadata__ has no"),
        (file({"__metadata__": []}), "__metadata__ has no"),
        (file({"__metadata__": {MANIFEST_KEY: {}}}), "__metadata__ has no"),
        (file({"__metadata__": {MANIFEST_KEY: "3"}}), "manifest is not a JSON object"),
        (file(with_manifest(a=f32([2], 0, 8), b=f32([2], 4, 12)), bytes(12)), "overlaps"),
        (file(with_manifest(a=f32([2], 0, 8), b=f32([2], 0, 8)), bytes(8)), "overlaps"),
        (file(with_manifest(a=f32([1], 0, 4), b=f32([1], 8, 12)), bytes(12)), "gap"),
        (file(with_manifest(a=f32([1], 4, 8)), bytes(8)), "gap"),
        (file(with_manifest(a=f32([3], 0, 12)), bytes(8)), "take 12 bytes and the file has 8"),
        (file(with_manifest(a=f32([1], 0, 4)), bytes(8)), "take 4 bytes and the file has 8"),
        (file(with_manifest(a=f32([2], 0, 4)), bytes(4)), "not the size of F32"),
        (file(with_manifest(a=f32([2**62, 4], 0, 0))), "not the size of F32"),
        (file(with_manifest(a=f32([2**63], 0, 0))), "is not dtype, shape and data_offsets"),
        (file(with_manifest(a=f32([-1], 0, -4))), "is not dtype, shape and data_offsets"),
        (file(with_manifest(a=f32([True], 0, 4)), bytes(4)), "is not dtype, shape and data_offsets"),
        (file(with_manifest(a=f32([1.0], 0, 4)), bytes(4)), "is not dtype, shape and data_offsets"),
        (file(with_manifest(a=f32([1], "0", 4)), bytes(4)), "is not dtype, shape and data_offsets"),
        (file(with_manifest(a=f32([0] * 17, 0, 0))), "is not dtype, shape and data_offsets"),
        (file(with_manifest(a=f32([1], 0, 4, "F31")), bytes(4)), "is not dtype, shape and data_offsets"),
        (file(with_manifest(a=f32([1], 0, 4, ["F32"])), bytes(4)), "is not dtype, shape and data_offsets"),
        (file(with_manifest(a=3)), "is not dtype, shape and data_offsets"),
    ],
)
def test_a_header_that_lies_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        read_manifest(data)
    with pytest.raises(MalformedError, match=message):
        unpack(data)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_any_change_is_refused_or_harmless(data: st.DataObject) -> None:
    """No mutilation of a good file ends in anything but an answer or MalformedError."""
    good = bytearray(pack(TENSORS, MANIFEST))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    del good[data.draw(st.integers(len(good) // 2, 2 * len(good))) :]
    try:
        tensors, manifest = unpack(bytes(good))
    except MalformedError:
        return
    assert isinstance(manifest, dict)
    assert sum(math.prod(tensor.shape) for tensor in tensors.values()) <= len(good)
