"""Partly known configurations at the door: which sites are known, and their values, without torch."""

import numpy as np
from numpy.typing import NDArray

from zoo.specs.arrays import Array, as_configurations, as_model_inputs
from zoo.specs.errors import FieldError, InvalidValueError
from zoo.specs.spaces import SpaceSpec

Mask = NDArray[np.bool_]


def as_partly_known(samples: Array, mask: Array, space: SpaceSpec) -> tuple[Array, Mask]:
    """Configurations of ``space``, shape (n, *event_shape), and the mask of each, True where a site is known.

    ``mask`` has the shape of ``samples`` or that of one configuration.  Values where it is False are not looked at and
    become some value of the space.  What is known is checked as ``as_configurations`` checks it.

    Raises:
        InvalidValueError: a mask that is not boolean or has another shape, a known value that is missing (NaN), or one
            outside the space, naming the first offender.
    """
    whole = ("n", *space.event_shape)
    if samples.shape[1:] != space.event_shape or samples.ndim != len(whole) or len(samples) == 0:
        as_configurations(samples, space)  # which says so
    if mask.dtype != np.bool_:
        _refuse("mask", f"has dtype {mask.dtype}; booleans were expected, true where a site is known", "booleans")
    if mask.shape not in (samples.shape, space.event_shape):
        allowed = f"shape {space.event_shape} or {samples.shape}"
        _refuse("mask", f"has shape {mask.shape}; expected {space.event_shape} or {samples.shape}", allowed)
    known: Mask = np.ascontiguousarray(np.broadcast_to(mask, samples.shape))
    if samples.dtype.kind == "f" and (missing := known & np.isnan(samples)).any():
        path = "samples" + "".join(f"[{i}]" for i in np.unravel_index(int(np.argmax(missing)), missing.shape))
        _refuse(path, "is missing (null or NaN), and its mask is true; give its value, or make its mask false", None)
    filled = samples.copy()
    filled[~known] = 1 if space.kind == "spins" else 0
    return as_model_inputs(filled, space), known


def _refuse(path: str, message: str, allowed: str | None) -> None:
    raise InvalidValueError(f"{path} {message}", errors=(FieldError(path, message, allowed),))
