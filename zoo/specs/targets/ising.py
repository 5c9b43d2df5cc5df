"""The Ising model as a user writes it."""

from typing import ClassVar, Literal

from pydantic import Field

from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Coupling, Length, Symmetry, TargetSpec


class IsingSpec(TargetSpec):
    """Ising model on a chain, a square or a cubic lattice.

    A periodic length of 2 counts each bond twice (the two neighbours coincide); a length of 1 has no bond in its
    direction.  The exact references agree with both.
    """

    formula: ClassVar[str] = "E(s) = -J sum_<ij> s_i s_j - h sum_i s_i, s_i = -1 or +1"
    units: ClassVar[str] = "energies in the unit of J and h; beta in its inverse"
    citation: ClassVar[str] = "Ising, Z. Phys. 31, 253 (1925); Onsager, Phys. Rev. 65, 117 (1944)"
    references: ClassVar[tuple[str, ...]] = (
        "transfer matrix: chains, and 2D strips with a side of at most 14 (any J, h and boundary)",
        "Kaufman 1949: 2D periodic, h = 0, J > 0 (J < 0 when both sides are even)",
        "enumeration: at most 24 sites",
    )

    kind: Literal["ising"] = "ising"
    lattice: Literal["square"] = "square"
    """Every site is joined to its 2d nearest neighbours along the axes."""
    shape: tuple[Length, ...] = Field(min_length=1, max_length=3)
    """1 to 3 side lengths, each at least 1."""
    periodic: bool = True
    """Whether opposite faces of the lattice are joined."""
    J: Coupling = 1.0
    """Coupling of neighbours; ferromagnetic when positive."""
    h: Coupling = 0.0
    """Uniform external field."""

    @property
    def space(self) -> SpaceSpec:
        """Spins on the lattice."""
        return SpaceSpec(kind="spins", event_shape=self.shape)

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Spin flip, when no field breaks it."""
        return frozenset({"z2"}) if self.h == 0 else frozenset()
