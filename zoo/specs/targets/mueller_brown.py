"""The Mueller-Brown surface as a user writes it."""

from typing import ClassVar, Literal

from pydantic import Field

from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import MAX_BETA, MIN_BETA, Symmetry, TargetSpec


class MuellerBrownSpec(TargetSpec):
    """The four-term surface with three minima and two saddle points, in its published units.

    Minima: -146.700 at (-0.558, 1.442), -108.167 at (0.623, 0.028), -80.768 at (-0.050, 0.467).  Saddle points: -40.665
    at (-0.822, 0.624), -72.249 at (0.212, 0.293).
    """

    formula: ClassVar[str] = (
        "E(x, y) = sum_k A_k exp[a_k (x - X_k)^2 + b_k (x - X_k)(y - Y_k) + c_k (y - Y_k)^2], "
        "A = (-200, -100, -170, 15), a = (-1, -1, -6.5, 0.7), b = (0, 0, 11, 0.6), c = (-10, -10, -6.5, 0.7), "
        "X = (1, 0, -0.5, -1), Y = (0, 0.5, 1.5, 1)"
    )
    units: ClassVar[str] = "energies and lengths as published (dimensionless); beta in the inverse of the energy"
    citation: ClassVar[str] = "Mueller and Brown, Theor. Chim. Acta 53, 75 (1979)"
    references: ClassVar[tuple[str, ...]] = ("quadrature in two dimensions: beta up to about 1e6",)

    kind: Literal["mueller_brown"] = "mueller_brown"
    beta: float = Field(default=0.05, ge=MIN_BETA, le=MAX_BETA)
    """Inverse temperature, 1e-9 to 1e9.  At the default the barrier from the deepest minimum is 5.3 kT."""

    @property
    def space(self) -> SpaceSpec:
        """The plane."""
        return SpaceSpec(kind="reals", event_shape=(2,))

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """None."""
        return frozenset()
