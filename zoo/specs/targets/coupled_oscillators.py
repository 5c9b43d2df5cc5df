"""A chain or ring of harmonic oscillators as a user writes it."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import NonNegative, Positive, Symmetry, TargetSpec

MAX_OSCILLATORS = 1024
"""Most oscillators: their normal modes are a matrix of this size."""

Boundary = Literal["ring", "free", "fixed"]


class CoupledOscillatorsSpec(TargetSpec):
    """Harmonic oscillators of mass 1 on a line or a ring, each held by a spring of its own and tied to its neighbours.

    A ring of 2 has two springs between its oscillators, since both neighbours of one are the other; a ring of 1 has
    none.  A chain with fixed ends has n + 1 springs, the first and the last to walls at x_0 = x_{n+1} = 0.
    """

    formula: ClassVar[str] = "E(x) = sum_i 1/2 k0 x_i^2 + sum_bonds 1/2 k1 (x_i - x_j)^2 [+ sum_i 1/2 p_i^2]"
    units: ClassVar[str] = "energies in the unit of k0 x^2 and k1 x^2; beta in its inverse; masses 1"
    citation: ClassVar[str] = "Born and von Karman, Phys. Z. 13, 297 (1912); Goldstein, Classical Mechanics, ch. 6"
    references: ClassVar[tuple[str, ...]] = (
        "closed form: normal modes, ln Z_q = sum_k 1/2 ln(2 pi / (beta omega_k^2))",
    )

    kind: Literal["coupled_oscillators"] = "coupled_oscillators"
    n: int = Field(strict=True, ge=1, le=MAX_OSCILLATORS)
    """Number of oscillators, 1 to 1024."""
    onsite: NonNegative = 0.0
    """k0, the stiffness of each oscillator's own spring: at least 0, and greater than 0 on a ring or with free ends."""
    spring: Positive = 1.0
    """k1, the stiffness of the springs between neighbours: greater than 0."""
    periodic: bool = False
    """Whether the last oscillator is tied to the first."""
    ends: Literal["free", "fixed"] | None = None
    """``free``, or ``fixed`` to walls at 0, which is what None means for a chain; a ring has none."""
    momenta: bool = False
    """Whether the n momenta belong to the configuration, after the n positions."""

    @model_validator(mode="after")
    def _has_a_partition_function(self) -> Self:
        if self.periodic and self.ends is not None:
            msg = f"ends is {self.ends!r}, and periodic is true: a ring has no ends; leave ends out, or periodic false"
            raise ValueError(msg)
        if self.onsite == 0 and self.boundary != "fixed":
            msg = (
                f"onsite is 0 with {'a ring' if self.periodic else 'free ends'}: the whole chain moves without cost, "
                "and Z diverges; allowed are onsite > 0, or periodic false with ends 'fixed'"
            )
            raise ValueError(msg)
        return self

    @property
    def boundary(self) -> Boundary:
        """What is at the ends."""
        return "ring" if self.periodic else self.ends or "fixed"

    @property
    def space(self) -> SpaceSpec:
        """R^n, or the phase space of n positions and n momenta."""
        if self.momenta:
            return SpaceSpec(kind="phase_space", event_shape=(2 * self.n,))
        return SpaceSpec(kind="reals", event_shape=(self.n,))

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """The flip x -> -x; of positions alone the reflection of the chain, and cyclic shifts of a ring.

        The shift of a chain of 1 or 2 is the identity or the reflection.
        """
        if self.momenta:
            return frozenset({"z2"})
        if self.periodic or self.n <= 2:
            return frozenset({"z2", "lattice_point_group", "lattice_translation"})
        return frozenset({"z2", "lattice_point_group"})
