"""What each symmetry that a target may claim does to configurations, so that the claim can be measured."""

from collections.abc import Callable
from itertools import combinations

import torch
from torch import Tensor

from zoo.core.spaces import ContinuousSpace, Space
from zoo.specs.symmetries import ModelSymmetry
from zoo.specs.targets.base import Symmetry, TargetSpec

NO_LATTICE = frozenset({"gaussian", "gaussian_mixture", "ring", "mueller_brown", "double_well"})
"""Kinds on reals whose axes are coordinates rather than sites: lattice symmetries are not measured there."""

_ON_LATTICES = frozenset({"spins", "bits", "categorical", "reals", "torus", "spheres"})

Images = list[Tensor]


def images(symmetry: Symmetry, x: Tensor, spec: TargetSpec, space: Space) -> Images:
    """``x`` under generators of the symmetry; empty where it means nothing in this space."""
    return _IMAGES[symmetry](x, spec, space)


def lattice_images(symmetry: ModelSymmetry, x: Tensor, space: Space) -> Images:
    """``x`` under generators of a symmetry that a model may have, the event being a lattice of any kind of values."""
    axes = list(range(1, 1 + len(space.spec.lattice_shape)))
    if symmetry == "z2":
        return _flipped(x, space)
    return _shifted(x, axes) if symmetry == "lattice_translation" else _turned(x, axes)


def _lattice_axes(x: Tensor, spec: TargetSpec) -> list[int]:
    if spec.space.kind not in _ON_LATTICES or spec.kind in NO_LATTICE:
        return []
    first = 2 if spec.kind == "u1_gauge" else 1
    return list(range(first, 1 + len(spec.space.lattice_shape)))


def _flipped(x: Tensor, space: Space) -> Images:
    if space.spec.kind == "categorical":
        return []
    if space.spec.kind == "bits":
        return [1 - x]
    return [space.canonical(-x) if isinstance(space, ContinuousSpace) else -x]


def _shifted(x: Tensor, axes: list[int]) -> Images:
    return [x.roll(1, axis) for axis in axes]


def _turned(x: Tensor, axes: list[int]) -> Images:
    exchanges = [(a, b) for a, b in combinations(axes, 2) if x.shape[a] == x.shape[b]]
    return [x.flip(axis) for axis in axes] + [x.transpose(a, b) for a, b in exchanges]


def _z2(x: Tensor, spec: TargetSpec, space: Space) -> Images:
    return _flipped(x, space)


def _lattice_translation(x: Tensor, spec: TargetSpec, space: Space) -> Images:
    return _shifted(x, _lattice_axes(x, spec))


def _lattice_point_group(x: Tensor, spec: TargetSpec, space: Space) -> Images:
    if spec.kind == "u1_gauge":  # a reflection turns links round as well
        return []
    return _turned(x, _lattice_axes(x, spec))


def _global_shift(x: Tensor, spec: TargetSpec, space: Space) -> Images:
    if spec.space.kind != "torus" or not isinstance(space, ContinuousSpace):
        return []
    return [space.canonical(x + 0.7)]


def _gauge(x: Tensor, spec: TargetSpec, space: Space) -> Images:
    if spec.kind != "u1_gauge" or not isinstance(space, ContinuousSpace):
        return []
    alpha = torch.rand(x[:, 0].shape, generator=torch.Generator().manual_seed(3), dtype=x.dtype)
    moved = torch.stack([x[:, mu] + alpha - alpha.roll(-1, 1 + mu) for mu in (0, 1)], 1)
    return [space.canonical(moved)]


def _value_permutation(x: Tensor, spec: TargetSpec, space: Space) -> Images:
    q = spec.space.num_values
    return [] if q is None else [((x.long() + 1) % q).to(x.dtype)]


def _permutation(x: Tensor, spec: TargetSpec, space: Space) -> Images:
    return [x.roll(1, -2), x.flip(-2)] if spec.space.kind == "particles" else []


def _rotation(x: Tensor, spec: TargetSpec, space: Space) -> Images:
    if spec.space.kind not in {"particles", "spheres"} or spec.space.box is not None:
        return []
    dimension = x.shape[-1]
    random = torch.randn(dimension, dimension, generator=torch.Generator().manual_seed(4), dtype=x.dtype)
    return [x @ torch.linalg.qr(random).Q]


def _translation(x: Tensor, spec: TargetSpec, space: Space) -> Images:
    if spec.space.kind != "particles" or not isinstance(space, ContinuousSpace):
        return []
    moved = x + torch.tensor([0.31, -0.17, 0.23], dtype=x.dtype)[: x.shape[-1]]
    return [moved if spec.space.centered else space.canonical(moved)]


_IMAGES: dict[Symmetry, Callable[[Tensor, TargetSpec, Space], Images]] = {
    "z2": _z2,
    "lattice_translation": _lattice_translation,
    "lattice_point_group": _lattice_point_group,
    "global_shift": _global_shift,
    "gauge": _gauge,
    "value_permutation": _value_permutation,
    "permutation": _permutation,
    "rotation": _rotation,
    "translation": _translation,
}
SYMMETRIES: tuple[Symmetry, ...] = tuple(_IMAGES)
