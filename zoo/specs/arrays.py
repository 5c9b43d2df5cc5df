"""Arrays at the door: whether numbers from outside are configurations of a space, without torch."""

from collections.abc import Callable
from math import pi

import numpy as np
from numpy.typing import NDArray

from zoo.specs.errors import FieldError, InvalidValueError
from zoo.specs.spaces import SpaceKind, SpaceSpec

Array = NDArray[np.generic]
Inside = NDArray[np.bool_]

CENTER_TOLERANCE = 1e-4
"""Largest distance of a centre of mass from the origin, relative to the largest coordinate (or to 1): float32 sums."""

LENGTH_TOLERANCE = 1e-4
"""Largest deviation of a unit vector's length from 1: five digits of each component."""

_LARGEST = float(np.finfo(np.float32).max)
_ROUNDING = 1 + 1e-6  # pi is below its own float32; what lies this far out is wrapped


def as_configurations(array: Array, space: SpaceSpec, name: str = "samples") -> Array:
    """``array`` as configurations of ``space``, shape (n, *event_shape), n >= 1.

    Discrete spaces give the space's wire dtype; the others float32 when that came, else float64.  Intervals of angles
    and of periodic boxes are half-open: a value at their upper end, or beyond an end by no more than a rounding to
    float32, is accepted and moved by one period, in its own precision.  Unit vectors whose lengths are off by more than
    a rounding to float32 are made unit.

    Raises:
        InvalidValueError: a wrong shape, or a value outside the space, naming the first offender.
    """
    expected = ("n", *space.event_shape)
    if array.dtype.kind not in "biuf":
        _refuse(name, f"has dtype {array.dtype}; numbers were expected", "a numeric dtype")
    if array.shape[1:] != space.event_shape or array.ndim != len(expected) or array.shape[0] == 0:
        shape = "(" + ", ".join(map(str, expected)) + ")"
        _refuse(name, f"has shape {tuple(array.shape)}; expected {shape} with n >= 1", f"shape {shape}")
    allowed, inside = _inside(array, space)
    if not inside.all():
        index = tuple(int(i) for i in np.unravel_index(int(np.argmin(inside)), inside.shape))
        path = name + "".join(f"[{i}]" for i in index)
        value = array[index] if inside.ndim == array.ndim else _vector_in_words(array[index], space)
        _refuse(path, f"is {value}; {space.kind} are {allowed}", allowed)
    if space.is_discrete:
        return array.astype(space.wire_dtype)
    kept = array if array.dtype == np.float32 else array.astype(np.float64)
    if space.kind == "torus":
        return _wrapped(kept, np.array(pi))
    if space.kind == "spheres":
        return _made_unit(kept)
    return kept if space.box is None else _wrapped(kept, np.array(space.box) / 2)


def as_model_inputs(array: Array, space: SpaceSpec, name: str = "samples") -> Array:
    """``as_configurations``, of numbers that a network of float32 can be given.

    Raises:
        InvalidValueError: as ``as_configurations``, or a number beyond the largest float32, naming the first offender.
    """
    configurations = as_configurations(array, space, name)
    if space.is_discrete or configurations.dtype == np.float32:
        return configurations
    inside = np.abs(configurations) <= _LARGEST
    if not inside.all():
        index = tuple(int(i) for i in np.unravel_index(int(np.argmin(inside)), inside.shape))
        path = name + "".join(f"[{i}]" for i in index)
        allowed = f"numbers of modulus at most {_LARGEST:.3g}"
        _refuse(path, f"is {configurations[index]:.3g}; networks compute in float32, {allowed} were expected", allowed)
    return configurations


def _wrapped(x: Array, half: NDArray[np.float64]) -> Array:
    """``x`` with what is not in [-half, half) moved by one period, 2 half; the rest as it is, bit for bit."""
    exact = x.astype(np.float64)
    if ((exact >= -half) & (exact < half)).all():
        return x
    moved = np.where(exact >= half, exact - 2 * half, np.where(exact < -half, exact + 2 * half, exact)).astype(x.dtype)
    outside = (moved.astype(np.float64) < -half) | (moved.astype(np.float64) >= half)  # rounded back over the end
    return np.where(outside, np.nextafter(moved, np.zeros_like(moved)), moved)


def _made_unit(x: Array) -> Array:
    """``x`` with the vectors that are not of length 1 to the rounding of float32 divided by theirs; the rest as is."""
    length = np.linalg.norm(x.astype(np.float64), axis=-1, keepdims=True)
    off = np.abs(length - 1) > _ROUNDING - 1
    return np.where(off, x / length, x).astype(x.dtype) if off.any() else x


def _vector_in_words(value: Array, space: SpaceSpec) -> str:
    """What is wrong with a vector, or with a configuration as a whole."""
    return f"of length {np.linalg.norm(value):.6g}" if space.kind == "spheres" else "centred elsewhere"


def _inside(array: Array, space: SpaceSpec) -> tuple[str, Inside]:
    """What is allowed in words, and whether each value (or each configuration as a whole) is."""
    if not space.is_discrete:
        finite = np.isfinite(array)
        if not finite.all():
            return "finite numbers", finite
    return _CHECKS[space.kind](array, space)


def _spins(array: Array, space: SpaceSpec) -> tuple[str, Inside]:
    return "-1 or 1", np.isin(array, (-1, 1))


def _bits(array: Array, space: SpaceSpec) -> tuple[str, Inside]:
    return "0 or 1", np.isin(array, (0, 1))


def _categories(array: Array, space: SpaceSpec) -> tuple[str, Inside]:
    number = space.num_values or 0
    return f"whole numbers from 0 to {number - 1}", np.isin(array, np.arange(number))


def _reals(array: Array, space: SpaceSpec) -> tuple[str, Inside]:
    return "finite numbers", np.isfinite(array)


def _angles(array: Array, space: SpaceSpec) -> tuple[str, Inside]:
    return "angles from -pi to pi", np.abs(array.astype(np.float64)) <= pi * _ROUNDING


def _unit_vectors(array: Array, space: SpaceSpec) -> tuple[str, Inside]:
    length = np.linalg.norm(array.astype(np.float64), axis=-1)
    return "vectors of length 1 (divide each by its length)", np.abs(length - 1) <= LENGTH_TOLERANCE


def _particles(array: Array, space: SpaceSpec) -> tuple[str, Inside]:
    x = array.astype(np.float64)
    if space.box is not None:
        sides = ", ".join(f"{side:g}" for side in space.box)
        return f"coordinates within half the box ({sides}) of the origin", np.abs(x) <= np.array(
            space.box
        ) / 2 * _ROUNDING
    if space.centered:
        off = np.abs(x.mean(1)).max(-1) > CENTER_TOLERANCE * np.maximum(1, np.abs(x).max((1, 2)))
        return "coordinates with the centre of mass at the origin (subtract the mean over the particles)", ~off
    return "finite numbers", np.isfinite(x)


_CHECKS: dict[SpaceKind, Callable[[Array, SpaceSpec], tuple[str, Inside]]] = {
    "spins": _spins,
    "bits": _bits,
    "categorical": _categories,
    "reals": _reals,
    "phase_space": _reals,
    "torus": _angles,
    "spheres": _unit_vectors,
    "particles": _particles,
}


def _refuse(path: str, message: str, allowed: str) -> None:
    raise InvalidValueError(f"{path} {message}", errors=(FieldError(path, message, allowed),))
