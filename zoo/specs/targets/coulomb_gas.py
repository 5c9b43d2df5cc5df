"""Charges in a harmonic trap as a user writes them."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import NonNegative, Positive, Symmetry, TargetSpec

MAX_PARTICLES = 4096
"""Most particles of a system with pair interactions: 8 million pairs."""

ParticleNumber = Annotated[int, Field(strict=True, ge=1, le=MAX_PARTICLES)]


class CoulombGasSpec(TargetSpec):
    """n like charges in free space, held together by a harmonic trap.

    Particles are labelled: Z is the integral of exp(-beta E) over d^(n d) x, without 1 / n!.  The trap is attached to
    the origin, so that the centre of mass moves.

    Distances below 1e-12 count as 1e-12, where v is 1e12 (inverse) or 27.6 (logarithmic): coincident charges have
    finite energies, so that sums and averages over samples stay numbers.
    """

    formula: ClassVar[str] = (
        "E(x) = k/2 sum_i |x_i|^2 + q^2 sum_{i<j} v(r_ij), v(r) = 1/r (inverse) or -ln r (logarithmic)"
    )
    units: ClassVar[str] = (
        "lengths in any unit l; q^2 in energy l (inverse) or energy (logarithmic, with r in l); k in energy / l^2"
    )
    citation: ClassVar[str] = "Ginibre, J. Math. Phys. 6, 440 (1965); Forrester, Log-Gases and Random Matrices (2010)"
    references: ClassVar[tuple[str, ...]] = (
        "closed form: one particle, or q^2 = 0",
        "Ginibre 1965: two dimensions, logarithmic, beta q^2 = 2, any n",
        "quadrature: two particles, unless parameters are extreme",
    )

    kind: Literal["coulomb_gas"] = "coulomb_gas"
    n: ParticleNumber
    """Number of particles, 1 to 4096."""
    dimension: Literal[2, 3] = 2
    """Dimension of space, 2 or 3."""
    trap: Positive = 1.0
    """Stiffness k of the trap, greater than 0: without it Z diverges."""
    interaction: Literal["inverse", "logarithmic"] = "inverse"
    """``inverse``: q^2 / r; ``logarithmic``: -q^2 ln r."""
    charge_squared: NonNegative = 1.0
    """q^2, at least 0: like charges repel each other."""

    @property
    def space(self) -> SpaceSpec:
        """Labelled particles in free space."""
        return SpaceSpec(kind="particles", event_shape=(self.n, self.dimension))

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Exchange of particles, rotations about the centre of the trap, inversion; the trap forbids translations."""
        return frozenset({"permutation", "rotation", "z2"})
