"""Particles with a double well in their distances, as a user writes them."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Coupling, NonNegative, Positive, Symmetry, TargetSpec

ParticleNumber = Annotated[int, Field(strict=True, ge=2, le=4096)]


class DoubleWellParticlesSpec(TargetSpec):
    """n particles whose distances have two favoured values; DW4 with the defaults: four particles in the plane.

    The centre of mass is fixed, sum_i x_i = 0: Z is the integral over that subspace with its Euclidean measure.  The
    integral over d^(n d) x delta(sum_i x_i / n) is n^(d/2) times as large.  Particles are labelled, without 1 / n!.

    The energy of coincident particles is finite by itself, [-a r0 + b r0^2 + c r0^4] / tau for a pair; distances below
    1e-12 count as 1e-12, since the direction of a force between them is not defined.
    """

    formula: ClassVar[str] = "E(x) = sum_{i<j} [a (r_ij - r0) + b (r_ij - r0)^2 + c (r_ij - r0)^4] / tau"
    units: ClassVar[str] = "lengths in the unit of r0; a / tau, b / tau, c / tau in energy over length to the 1, 2, 4"
    citation: ClassVar[str] = "Köhler, Klein and Noé, Equivariant flows, ICML (2020), arXiv:2006.02425"
    references: ClassVar[tuple[str, ...]] = ("quadrature: two particles, unless parameters are extreme",)

    kind: Literal["double_well_particles"] = "double_well_particles"
    n: ParticleNumber = 4
    """Number of particles, 2 to 4096."""
    dimension: Literal[1, 2, 3] = 2
    """Dimension of space, 1 to 3."""
    r0: NonNegative = 4.0
    """Distance about which the wells lie, at least 0."""
    a: Coupling = 0.0
    """Linear coefficient: tilts the wells."""
    b: Coupling = -4.0
    """Quadratic coefficient: negative for two wells."""
    c: NonNegative = 0.9
    """Quartic coefficient, at least 0; with c = 0, b must be greater than 0, and with b = 0, too, a."""
    tau: Positive = 1.0
    """Divides all coefficients, greater than 0."""

    @model_validator(mode="after")
    def _confines(self) -> Self:
        leading = next((value for value in (self.c, self.b, self.a) if value != 0), 0.0)
        if leading <= 0:
            msg = (
                f"c is {self.c:g} with b = {self.b:g} and a = {self.a:g}: particles escape, and Z diverges; "
                "allowed: c > 0, or c = 0 and b > 0, or c = b = 0 and a > 0"
            )
            raise ValueError(msg)
        return self

    @property
    def space(self) -> SpaceSpec:
        """Labelled particles with their centre of mass at the origin."""
        return SpaceSpec(kind="particles", event_shape=(self.n, self.dimension), centered=True)

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Exchange of particles, rotations, translations (of coordinates that are not centred), inversion."""
        return frozenset({"permutation", "rotation", "translation", "z2"})
