"""npy: one array in untrusted bytes, bounded before anything is made of it, never pickled; and arrays as such bytes.

A npy file is six bytes of magic, two bytes of version, the length of the header, the header (a Python literal with the
keys ``descr``, ``fortran_order`` and ``shape``), and the numbers, row-major or column-major.
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import ast
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from service.rest.formats.checks import check_count, no_number
from service.rest.formats.parted import Array, Buffer, PartedArray
from workers.settings import Settings
from zoo.specs.errors import MalformedError

_MAGIC = b"\x93NUMPY"
_MAX_HEADER_BYTES = 10_000  # numpy's own bound
_MAX_AXES = 32
_NUMBER = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")


@dataclass(frozen=True)
class _Header:
    """What a npy file says of its numbers, which begin at byte ``start``."""

    dtype: np.dtype[np.generic]
    column_major: bool
    shape: tuple[int, ...]
    start: int


def array_from_npy(data: bytes, settings: Settings | None = None, name: str = "the body") -> Array:
    """The array in the bytes of a npy file, version 1 to 3, as a view of them that cannot be written to.

    Raises:
        MalformedError: not npy, cut short, with trailing bytes, a header that lies, or pickled objects.
        InvalidValueError: something else than booleans, integers or floating-point numbers of 2, 4 or 8 bytes.
        LimitExceededError: more numbers than ``settings`` allow; without settings the bytes are the only bound.
    """
    header = _read_header(data, name)
    count = prod(header.shape)
    if settings is not None:
        check_count(count, name, settings)
    end = header.start + count * header.dtype.itemsize
    if end > len(data):
        raise _not_npy(
            name, f"its header promises {count} numbers of {header.dtype}, {end} bytes, and {len(data)} came"
        )
    if end < len(data):
        msg = f"the npy array of {name} ends at byte {end} and {len(data) - end} bytes follow it"
        raise MalformedError(msg)
    return _numbers(data, header, count, name)


def read(data: bytes, known: frozenset[str], settings: Settings) -> dict[str, Array]:
    """The array in the bytes of a npy file, which has no name: ``samples``; raises as ``array_from_npy`` does."""
    return {"samples": array_from_npy(data, settings)}


def write(arrays: Mapping[str, PartedArray], metadata: Mapping[str, str]) -> list[Buffer]:
    """The first of ``arrays`` as a npy file; the format has no place for the others, nor for ``metadata``."""
    array = next(iter(arrays.values()))
    return [npy_header(array), *array.buffers()]


def npy_header(array: PartedArray) -> bytes:
    """What stands before the numbers in a npy file."""
    stream = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(array.dtype)
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": array.shape})
    return stream.getvalue()


def _numbers(data: bytes, header: _Header, count: int, name: str) -> Array:
    if header.dtype.kind == "b" and np.frombuffer(data, np.uint8, count, header.start).max(initial=0) > 1:
        raise _not_npy(name, "it holds booleans that are neither 0 nor 1")
    try:
        numbers = np.frombuffer(data, header.dtype, count, header.start)
        return numbers.reshape(header.shape, order="F" if header.column_major else "C")
    except ValueError:  # no numbers at all, along axes whose product overflows
        raise _not_npy(name, "its shape is larger than any array can be") from None


def _read_header(data: bytes, name: str) -> _Header:
    if data[:6] != _MAGIC or len(data) < 10:
        raise _not_npy(name, "it does not begin as one")
    version = tuple(data[6:8])
    if version not in {(1, 0), (2, 0), (3, 0)}:
        raise _not_npy(name, f"version {version[0]}.{version[1]} is not known; 1.0, 2.0 and 3.0 are")
    width = 2 if version == (1, 0) else 4
    length = int.from_bytes(data[8 : 8 + width], "little")
    start = 8 + width + length
    if length > _MAX_HEADER_BYTES or start > len(data):
        raise _not_npy(
            name, f"its header claims {length} bytes; at most {_MAX_HEADER_BYTES} are read, and they must be there"
        )
    try:
        fields = ast.literal_eval(data[8 + width : start].decode("utf-8" if version == (3, 0) else "latin1"))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise _not_npy(name, "its header is not readable") from None
    return _checked(fields, start, name)


def _checked(fields: object, start: int, name: str) -> _Header:
    """The header, after what it says was found to make sense."""
    match fields:
        case {"descr": descr, "fortran_order": bool(column_major), "shape": tuple(shape)} if (
            isinstance(fields, dict) and len(fields) == 3 and len(shape) <= _MAX_AXES and all(map(_is_length, shape))
        ):
            return _Header(_dtype(descr, name), column_major, shape, start)
    raise _not_npy(name, "its header does not say descr, fortran_order and shape as it should")


def _dtype(descr: object, name: str) -> np.dtype[np.generic]:
    if isinstance(descr, str) and descr.lstrip("<>|=") == "O":
        raise _not_npy(name, "pickled objects are not read")
    if not isinstance(descr, str) or not _NUMBER.fullmatch(descr):
        raise no_number(name, str(descr))
    return np.dtype(descr)


def _is_length(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _not_npy(name: str, why: str) -> MalformedError:
    return MalformedError(f"{name} is not a npy array: {why}; write it with numpy.save(..., allow_pickle=False)")
