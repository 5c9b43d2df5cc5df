"""safetensors: arrays in untrusted bytes, whose header is checked before anything is made of it; and as such bytes.

Eight bytes of length, a JSON object that gives each array its dtype, shape and place, and the numbers, row-major and
little-endian, without holes.  https://github.com/huggingface/safetensors#format
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, NoReturn

import numpy as np

from service.rest.formats.checks import check_count, no_number, unknown_name
from service.rest.formats.parted import Array, Buffer, PartedArray
from workers.settings import Settings
from zoo.specs.errors import InvalidValueError, MalformedError

_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 2**16
_MAX_DEPTH = 4  # of the header's brackets: an object of objects of lists, and one to spare
_MAX_AXES = 32
_MOST = 2**63 - 1
_ALIGNMENT = 8
_ABOUT = "__metadata__"
_DTYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "F16": "<f2",
    "U32": "<u4",
    "I32": "<i4",
    "F32": "<f4",
    "U64": "<u8",
    "I64": "<i8",
    "F64": "<f8",
}
_NAMES = {np.dtype(code): name for name, code in _DTYPES.items()}


@dataclass(frozen=True)
class _Tensor:
    """What the header says of one array, which lies from byte ``begin`` to before ``end`` of the numbers."""

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    begin: int
    end: int


def read(data: bytes, known: frozenset[str], settings: Settings) -> dict[str, Array]:
    """The arrays in the bytes of a safetensors file, whose names are among ``known``, as views of the bytes.

    Raises:
        MalformedError: not safetensors, cut short, or a header that lies: holes, overlaps, spans that do not fit.
        InvalidValueError: an array that is not ``known``, or a dtype that is not read here.
        LimitExceededError: an array of more numbers than are read here.
    """
    header, start = _header(data)
    tensors = [_tensor(name, entry, known) for name, entry in header.items() if name != _ABOUT]
    at = 0
    for tensor in sorted(tensors, key=lambda tensor: (tensor.begin, tensor.end)):
        if tensor.begin != at:
            raise _broken(f"byte {at} of the numbers is followed by array {tensor.name!a} at byte {tensor.begin}")
        at = tensor.end
        check_count(prod(tensor.shape), f"array {tensor.name!r} of the safetensors file", settings)
    if at != len(data) - start:
        raise _broken(f"its arrays have {at} bytes and {len(data) - start} follow the header")
    return {tensor.name: _array(data, tensor, start) for tensor in tensors}


def write(arrays: Mapping[str, PartedArray], metadata: Mapping[str, str]) -> list[Buffer]:
    """The arrays as a safetensors file; those of the largest numbers come first, so that all of them are aligned."""
    header: dict[str, Any] = {_ABOUT: dict(metadata)}
    ordered = sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize)
    end = 0
    for name, array in ordered:
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": _NAMES[array.dtype], "shape": array.shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return [len(text).to_bytes(_LENGTH_BYTES, "little") + text, *(b for _, array in ordered for b in array.buffers())]


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    """The header, and where the numbers begin."""
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    start = _LENGTH_BYTES + length
    if len(data) < _LENGTH_BYTES or length > _MAX_HEADER_BYTES or start > len(data):
        raise _broken(f"its header claims {length} bytes; at most {_MAX_HEADER_BYTES} are read, and they must be there")
    text = data[_LENGTH_BYTES:start]
    if not text.startswith(b"{") or _depth(text) > _MAX_DEPTH:
        raise _broken("its header is not a JSON object of objects")
    try:
        header = json.loads(text, object_pairs_hook=_each_once, parse_constant=_no_json, parse_float=_no_json)
    except ValueError:
        raise _broken("its header is not JSON, or has a key twice") from None
    about = header.get(_ABOUT, {})
    if not isinstance(about, dict) or not all(isinstance(value, str) for value in about.values()):
        raise _broken(f"its {_ABOUT} is not an object of texts")
    return header, start


def _depth(text: bytes) -> int:
    """The deepest nesting of brackets, an upper bound on the JSON's (brackets inside strings count too)."""
    steps = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
    deepest = depth = 0
    for character in text:
        depth += steps.get(character, 0)
        deepest = max(deepest, depth)
    return deepest


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        msg = "a key comes twice"
        raise ValueError(msg)
    return found


def _no_json(text: str) -> NoReturn:
    msg = f"{text} does not belong here"
    raise ValueError(msg)


def _tensor(name: str, entry: object, known: frozenset[str]) -> _Tensor:
    """One entry of the header, after what it says was found to make sense."""
    if name not in known:
        raise unknown_name("the safetensors file has an array", name, known)
    match entry:
        case {"dtype": str(code), "shape": [*shape], "data_offsets": [begin, end]} if (
            isinstance(entry, dict)
            and len(entry) == 3
            and len(shape) <= _MAX_AXES
            and all(map(_is_length, (*shape, begin, end)))
        ):
            if code not in _DTYPES:
                raise no_number(f"array {name!r} of the safetensors file", code)
            tensor = _Tensor(name, np.dtype(_DTYPES[code]), tuple(shape), begin, end)
            expected = prod(shape) * tensor.dtype.itemsize
            if end - begin != expected:
                raise _broken(
                    f"array {name!r} of shape {shape} of {code} needs {expected} bytes; {end - begin} are its"
                )
            return tensor
    raise _broken(f"its header does not say dtype, shape and data_offsets of array {name!r} as it should")


def _array(data: bytes, tensor: _Tensor, start: int) -> Array:
    count, at = prod(tensor.shape), start + tensor.begin
    if tensor.dtype.kind == "b" and np.frombuffer(data, np.uint8, count, at).max(initial=0) > 1:
        raise _broken(f"array {tensor.name!r} holds booleans that are neither 0 nor 1")
    try:
        return np.frombuffer(data, tensor.dtype, count, at).reshape(tensor.shape)
    except ValueError:  # no numbers at all, along axes whose product overflows
        msg = f"array {tensor.name!r} of the safetensors file has a shape larger than any array's"
        raise InvalidValueError(msg) from None


def _is_length(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST


def _broken(why: str) -> MalformedError:
    return MalformedError(f"the body is not a safetensors file: {why}; write it with safetensors.numpy.save")
