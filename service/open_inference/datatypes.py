"""Tensors of the Open Inference Protocol: names of datatypes, shapes, and numbers as bytes or in lists."""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from zoo.specs.errors import FieldError, InvalidValueError

Array = NDArray[np.generic]

DTYPES = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""What numpy calls each datatype that is read or answered here, little-endian as the protocol has it."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}
MAX_AXES = 32
"""Most axes of a tensor that is read here."""

_MOST_AXIS = 2**63 - 1
_SHOWN = 80


@dataclass(frozen=True)
class Header:
    """What a tensor says of itself: its name, a datatype of ``DTYPES`` and a shape of lengths from 0."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The datatype as numpy's."""
        return DTYPES[self.datatype]

    @property
    def num_values(self) -> int:
        """Product of the shape, exact however large."""
        return prod(self.shape)


def header_of(name: object, datatype: object, shape: object) -> Header:
    """The header of a tensor, after what it says was found to make sense.

    Raises:
        InvalidValueError: no name, a datatype that is not read here, or a shape that no array has.
    """
    if not isinstance(name, str) or not name:
        raise refused("inputs", "each input has a name, a text that is not empty")
    if not isinstance(datatype, str) or datatype not in DTYPES:
        known = ", ".join(DTYPES)
        why = "; it holds texts, and every tensor here holds numbers" if datatype == "BYTES" else ""
        raise refused(name, f"datatype {str(datatype)[:_SHOWN]!a} is not read{why}; {known} are", known)
    if not isinstance(shape, list) or len(shape) > MAX_AXES or not all(map(_is_length, shape)):
        expected = f"a list of at most {MAX_AXES} lengths from 0"
        raise refused(name, f"shape {str(shape)[:_SHOWN]} came; {expected} was expected", expected)
    return Header(name, datatype, tuple(shape))


def array_from_bytes(header: Header, data: bytes | memoryview) -> Array:
    """The row-major little-endian numbers in ``data``, as a view of them.

    Raises:
        InvalidValueError: more or fewer bytes than the shape has, or booleans that are neither 0 nor 1.
    """
    expected = header.num_values * header.dtype.itemsize
    if expected != len(data):
        what = f"shape {list(header.shape)} of {header.datatype} needs {expected} bytes"
        raise refused(header.name, f"{what} and {len(data)} came")
    if header.datatype == "BOOL" and np.frombuffer(data, np.uint8).max(initial=0) > 1:
        raise refused(header.name, "holds booleans that are neither 0 nor 1")
    return _shaped(header, np.frombuffer(data, header.dtype))


def array_from_numbers(header: Header, values: Array) -> Array:
    """``values``, of any shape and of numpy's own choice of type, as the header has them.

    Raises:
        InvalidValueError: more or fewer numbers than the shape has, or one that the datatype does not hold.
    """
    if header.num_values != values.size:
        what = f"shape {list(header.shape)} has {header.num_values} values"
        raise refused(header.name, f"{what} and {values.size} came")
    if not _holds(header.dtype, values):
        raise refused(header.name, f"holds a value that is no finite {header.datatype}")
    return _shaped(header, values.astype(header.dtype).reshape(-1))


def datatype_of(array: Array) -> str:
    """The protocol's name of an array's type."""
    return _NAMES[array.dtype.newbyteorder("<")]


def little_endian(array: Array) -> Array:
    """``array`` row-major and little-endian; itself where it is so already."""
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))


def refused(name: str, message: str, allowed: str | None = None) -> InvalidValueError:
    """The error of a tensor, or of another part of a request, that is not as it should be."""
    return InvalidValueError(f"{name[:_SHOWN]}: {message}", errors=(FieldError(name[:_SHOWN], message, allowed),))


def _holds(dtype: np.dtype[np.generic], values: Array) -> bool:
    """Whether every value is one of ``dtype``'s, a floating-point one after rounding."""
    if dtype.kind == "b" or values.dtype.kind == "b":
        return dtype.kind == values.dtype.kind
    if values.dtype.kind not in "iuf":
        return False  # a whole number beyond 64 bits
    if dtype.kind == "f":
        most = float(np.finfo(str(dtype)).max)
        return bool((np.abs(values.astype(np.float64)) <= most).all())
    if values.dtype.kind == "f" or not values.size:
        return not values.size
    bounds = np.iinfo(str(dtype))
    return int(values.min()) >= bounds.min and int(values.max()) <= bounds.max


def _shaped(header: Header, flat: Array) -> Array:
    try:
        return flat.reshape(header.shape)
    except ValueError:  # no numbers at all, along axes whose product overflows
        raise refused(header.name, f"shape {list(header.shape)} is larger than any array's") from None


def _is_length(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_AXIS
