"""One file for a trained model: a safetensors file whose header carries the manifest.

Layout (https://github.com/huggingface/safetensors#format): 8 bytes, the length n of the header as a little-endian
unsigned integer; n bytes of JSON, ``{name: {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {str:
str}}``; then the tensors, little-endian and row-major, without gaps.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import orjson
from safetensors.numpy import load, save

from zoo.specs.errors import MalformedError

MANIFEST_KEY: Final = "helmholtz"
MAX_HEADER_BYTES: Final = 8 * 2**20
MAX_DIMENSIONS: Final = 16
LENGTH_BYTES: Final = 8
ITEM_BYTES: Final = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip


def pack(tensors: Mapping[str, np.ndarray[Any, Any]], manifest: Mapping[str, Any]) -> bytes:
    """A safetensors file with these tensors and the manifest; equal arguments give equal bytes."""
    text = orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS).decode()
    contiguous = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    return bytes(save(contiguous, metadata={MANIFEST_KEY: text}))


def unpack(data: bytes) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """The tensors and the manifest of a file, its header checked first.

    Raises:
        MalformedError: as ``read_manifest`` does.
    """
    manifest = read_manifest(data)
    return load(data), manifest


def read_manifest(data: bytes) -> dict[str, Any]:
    """The manifest in the header of a safetensors file, after every offset in it was checked.

    Raises:
        MalformedError: the file is truncated, the header is too large or not JSON, tensors overlap, leave gaps, reach
            outside the file or have another size than their shape says, or there is no manifest.
    """
    header = _read_header(data)
    metadata = header.pop("__metadata__", {})
    length = int.from_bytes(data[:LENGTH_BYTES], "little")
    _check_layout(header, len(data) - LENGTH_BYTES - length)
    text = metadata.get(MANIFEST_KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        msg = f"the file's __metadata__ has no {MANIFEST_KEY!r}; expected a safetensors file that this service wrote"
        raise MalformedError(msg)
    return _parse_object(text, "manifest")


def _read_header(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:LENGTH_BYTES], "little")
    if length > MAX_HEADER_BYTES:
        msg = f"the safetensors header claims {length} bytes; at most {MAX_HEADER_BYTES} are read"
        raise MalformedError(msg)
    raw = data[LENGTH_BYTES : LENGTH_BYTES + length]
    if len(data) < LENGTH_BYTES or len(raw) < length:
        msg = f"the safetensors file ends inside its header: {LENGTH_BYTES + length} bytes expected, {len(data)} came"
        raise MalformedError(msg)
    try:
        return _parse_object(raw.decode(), "safetensors header")
    except UnicodeDecodeError:
        msg = "the safetensors header is not UTF-8"
        raise MalformedError(msg) from None


def _parse_object(text: str, what: str) -> dict[str, Any]:
    """The JSON object in ``text``; a key that comes twice is refused, for readers disagree on which one counts."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            msg = "a key comes twice"
            raise ValueError(msg)
        return dict(pairs)

    try:
        content = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        msg = f"the {what} is not readable JSON: {error}"
        raise MalformedError(msg) from None
    if not isinstance(content, dict):
        msg = f"the {what} is not a JSON object"
        raise MalformedError(msg)
    return content


def _check_layout(tensors: Mapping[str, Any], body_bytes: int) -> None:
    """The tensors tile the body: each begins where the one before ends, and the last ends with the file."""
    end = 0
    for begin, stop, name in sorted((*_span(name, entry), name) for name, entry in tensors.items()):
        if begin != end:
            problem = "overlaps the one before" if begin < end else "leaves a gap after the one before"
            msg = f"tensor {name[:80]!a} at bytes {begin} to {stop} {problem}, which ends at {end}"
            raise MalformedError(msg)
        end = stop
    if end != body_bytes:
        msg = f"the tensors take {end} bytes and the file has {body_bytes} after its header"
        raise MalformedError(msg)


def _span(name: str, entry: object) -> tuple[int, int]:
    """Where a tensor begins and ends, after its size was found to agree with its dtype and shape."""
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [begin, end]} if (
            dtype in ITEM_BYTES and len(shape) <= MAX_DIMENSIONS and all(_is_length(n) for n in (*shape, begin, end))
        ):
            if end - begin == math.prod(shape) * ITEM_BYTES[dtype]:
                return begin, end
            problem = f"bytes {begin} to {end}, which is not the size of {dtype} times {shape}"
        case _:
            problem = "an entry that is not dtype, shape and data_offsets of a known type"
    msg = f"tensor {name[:80]!a} has {problem[:200]}"
    raise MalformedError(msg)


def _is_length(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
