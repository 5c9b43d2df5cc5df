"""Symmetries that a model can have, and how many images of a configuration each gives."""

from collections import Counter
from collections.abc import Iterable
from math import factorial, prod
from typing import Literal

from zoo.specs.spaces import SpaceSpec

ModelSymmetry = Literal["z2", "lattice_translation", "lattice_point_group"]

MAX_AVERAGED = 2048
"""Most images that a likelihood is averaged over."""


def group_order(symmetries: Iterable[ModelSymmetry], space: SpaceSpec) -> int:
    """Number of images of a configuration under all products of the symmetries, counted once for each element.

    ``z2``: 2.  ``lattice_translation``: one for each site.  ``lattice_point_group``: a reflection of each axis longer
    than 1, and the exchanges of axes of equal length.
    """
    sides = [side for side in space.lattice_shape if side > 1]
    orders: dict[ModelSymmetry, int] = {
        "z2": 2,
        "lattice_translation": prod(space.lattice_shape),
        "lattice_point_group": 2 ** len(sides) * prod(factorial(n) for n in Counter(sides).values()),
    }
    return prod(orders[name] for name in symmetries)
