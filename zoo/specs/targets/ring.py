"""Rings in the plane as a user writes them."""

from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Positive, Symmetry, TargetSpec

MAX_RINGS = 64


class RingSpec(TargetSpec):
    """One ring, or concentric ones, each the trough of a parabola in the distance from the origin.

    The defaults are the "ring" of Song et al.; their "ring5" has radii 1, 2, 3, 4, 5 and width sqrt(0.02).
    """

    formula: ClassVar[str] = "E(x) = min_i (|x| - R_i)^2 / (2 w^2), x in the plane"
    units: ClassVar[str] = "energies in kT at beta = 1 (dimensionless); lengths in the unit of the radii"
    citation: ClassVar[str] = "Song, Zhao and Ermon, A-NICE-MC, NeurIPS (2017), arXiv:1706.07561, app. C"
    references: ClassVar[tuple[str, ...]] = ("closed form: error functions, any parameters",)

    kind: Literal["ring"] = "ring"
    radii: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=MAX_RINGS)] = (2.0,)
    """R_i, 1 to 64 of them, greater than 0 and increasing."""
    width: Positive = 0.4
    """w, the standard deviation of the distance from a ring at beta = 1: greater than 0."""

    @model_validator(mode="after")
    def _increases(self) -> Self:
        for i, (inner, outer) in enumerate(pairwise(self.radii)):
            if not inner < outer:
                msg = f"radii[{i + 1}] is {outer}, and radii[{i}] is {inner}; radii increase"
                raise ValueError(msg)
        return self

    @property
    def space(self) -> SpaceSpec:
        """The plane."""
        return SpaceSpec(kind="reals", event_shape=(2,))

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """The flip x -> -x; the energy is the same in all directions."""
        return frozenset({"z2"})
