"""A double well with harmonic directions as a user writes it."""

from typing import ClassVar, Literal

from pydantic import Field

from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Coupling, Positive, Symmetry, TargetSpec

MAX_DIMENSION = 4096
"""Most coordinates."""


class DoubleWellSpec(TargetSpec):
    """Two wells along the first coordinate, harmonic along the others.

    The wells are near x_0 = -sqrt(b) and +sqrt(b), with a barrier of about a b^2 between them; c > 0 lowers the left
    one.  Where 27 c^2 >= 64 a^2 b^3 there is one well only.
    """

    formula: ClassVar[str] = "E(x) = a (x_0^2 - b)^2 + c x_0 + 1/2 k sum_{i>=1} x_i^2"
    units: ClassVar[str] = "energies in the unit of a x^4; beta in its inverse"
    citation: ClassVar[str] = "Noe, Olsson, Koehler and Wu, Science 365, eaaw1147 (2019), suppl. (rescaled)"
    references: ClassVar[tuple[str, ...]] = (
        "quadrature along x_0, closed form for the others: all parameters but those so extreme that 16 digits "
        "leave too few of exp(-beta E): a lowest beta E beyond about 1e8, or beta a b^2 above about 1e18",
    )

    kind: Literal["double_well"] = "double_well"
    dimension: int = Field(default=2, strict=True, ge=1, le=MAX_DIMENSION)
    """Number of coordinates, 1 to 4096."""
    a: Positive = 1.0
    """Strength of the quartic term: greater than 0."""
    b: Coupling = 2.0
    """Squared position of the wells without tilt; one well where it is not positive."""
    c: Coupling = 0.0
    """Tilt: c > 0 favours x_0 < 0."""
    k: Positive = 1.0
    """Stiffness of the harmonic coordinates: greater than 0."""

    @property
    def space(self) -> SpaceSpec:
        """R^dimension."""
        return SpaceSpec(kind="reals", event_shape=(self.dimension,))

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """The flip x -> -x, when no tilt breaks it."""
        return frozenset({"z2"}) if self.c == 0 else frozenset()
