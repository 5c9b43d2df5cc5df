"""Arrays on the gRPC wire: type name, shape, little-endian row-major bytes."""

from math import prod

import numpy as np
from numpy.typing import NDArray

from service.rpc.v1 import inference_pb2 as pb
from zoo.specs.errors import FieldError, InvalidValueError

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
        raise _refused(f"{name}.dtype", f"{tensor.dtype!r} is not known; the known ones are {', '.join(_DTYPES)}")
    dtype = np.dtype(tensor.dtype).newbyteorder("<")
    shape = tuple(tensor.shape)
    expected = prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or expected != len(tensor.data):
        message = f"shape {list(shape)} of {tensor.dtype} needs {expected} bytes and {len(tensor.data)} came"
        raise _refused(f"{name}.shape", message)
    try:
        array: NDArray[np.generic] = np.frombuffer(tensor.data, dtype).reshape(shape)
    except ValueError as error:  # more dimensions than numpy has, or lengths beside a zero that overflow
        raise _refused(f"{name}.shape", str(error)) from None
    return array


def _refused(path: str, message: str) -> InvalidValueError:
    return InvalidValueError(f"{path}: {message}", errors=(FieldError(path, message),))
