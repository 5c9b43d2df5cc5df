"""Arrays on the gRPC wire: type name, shape, little-endian row-major bytes."""

from math import prod

import numpy as np
from numpy.typing import NDArray

from service.rpc.v1 import inference_pb2 as pb
from zoo.specs.errors import FieldError, InvalidValueError
from zoo.specs.masks import Mask

_DTYPES = ("int8", "uint8", "int16", "int32", "int64", "float32", "float64")


def to_tensor(array: NDArray[np.generic] | None) -> pb.Tensor | None:
    """The array as a message; None stays None."""
    if array is None:
        return None
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return pb.Tensor(dtype=array.dtype.name, shape=array.shape, data=np.ascontiguousarray(little).tobytes())


def from_tensor(tensor: pb.Tensor, name: str = "samples") -> NDArray[np.generic]:
    """The array in a message.

    Raises:
        InvalidValueError: an unknown type, a shape that no array has, or bytes that do not fill it.
    """
    if tensor.dtype not in _DTYPES:
        raise refused(f"{name}.dtype", f"{tensor.dtype!r} is not known; the known ones are {', '.join(_DTYPES)}")
    return _shaped(tensor, np.dtype(tensor.dtype), name)


def mask_from_tensor(tensor: pb.Tensor) -> Mask:
    """The mask in a message, a byte for each site, 1 where it is known.

    Raises:
        InvalidValueError: another type than bool, other bytes than 0 and 1; and as ``from_tensor`` does.
    """
    if tensor.dtype != "bool":
        raise refused("mask.dtype", f"{tensor.dtype!r} came; bool was expected, true where a site is known")
    bytes_ = _shaped(tensor, np.dtype(np.uint8), "mask")
    if bytes_.size and int(bytes_.max()) > 1:
        raise refused("mask.data", f"holds the byte {int(bytes_.max())}; 0 and 1 are false and true")
    return bytes_.view(np.bool_)


def refused(path: str, message: str) -> InvalidValueError:
    """The error of one field."""
    return InvalidValueError(f"{path}: {message}", errors=(FieldError(path, message),))


def _shaped(tensor: pb.Tensor, dtype: np.dtype[np.generic], name: str) -> NDArray[np.generic]:
    dtype = dtype.newbyteorder("<")
    shape = tuple(tensor.shape)
    expected = prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or expected != len(tensor.data):
        message = f"shape {list(shape)[:8]} of {tensor.dtype} needs {expected} bytes and {len(tensor.data)} came"
        raise refused(f"{name}.shape", message)
    try:
        array: NDArray[np.generic] = np.frombuffer(tensor.data, dtype).reshape(shape)
    except ValueError as error:  # more dimensions than numpy has, or lengths beside a zero that overflow
        raise refused(f"{name}.shape", str(error)) from None
    return array
