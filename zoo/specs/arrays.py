"""Arrays at the door: whether numbers from outside are configurations of a space, without torch."""

import numpy as np
from numpy.typing import NDArray

from zoo.specs.errors import FieldError, InvalidValueError
from zoo.specs.spaces import SpaceKind, SpaceSpec

_VALUES: dict[SpaceKind, tuple[int, ...]] = {"spins": (-1, 1), "bits": (0, 1)}


def as_configurations(array: NDArray[np.generic], space: SpaceSpec, name: str = "samples") -> NDArray[np.generic]:
    """``array`` as configurations of ``space`` in the space's wire dtype, shape (n, *event_shape), n >= 1.

    Raises:
        InvalidValueError: a wrong shape, or a value outside the space, naming the first offender.
    """
    expected = ("n", *space.event_shape)
    if array.dtype.kind not in "biuf":
        _refuse(name, f"has dtype {array.dtype}; numbers were expected", "a numeric dtype")
    if array.shape[1:] != space.event_shape or array.ndim != len(expected) or array.shape[0] == 0:
        shape = "(" + ", ".join(map(str, expected)) + ")"
        _refuse(name, f"has shape {tuple(array.shape)}; expected {shape} with n >= 1", f"shape {shape}")
    low, high = _VALUES[space.kind]
    outside = ~np.isin(array, (low, high))
    if outside.any():
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(outside)), array.shape))
        path = name + "".join(f"[{i}]" for i in index)
        _refuse(path, f"is {array[index]}; {space.kind} are {low} or {high}", f"{low} or {high}")
    return array.astype(space.wire_dtype)


def _refuse(path: str, message: str, allowed: str) -> None:
    raise InvalidValueError(f"{path} {message}", errors=(FieldError(path, message, allowed),))
