"""The XY model as a user writes it."""

from typing import ClassVar, Literal

from pydantic import Field

from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Coupling, Length, Symmetry, TargetSpec


class XYSpec(TargetSpec):
    """Planar spins (cos theta, sin theta) on a chain, a square or a cubic lattice.

    A periodic length of 2 counts each bond twice (the two neighbours coincide); a length of 1 has no bond in its
    direction.
    """

    formula: ClassVar[str] = "E(theta) = -J sum_<ij> cos(theta_i - theta_j); Z with d(theta) at each site"
    units: ClassVar[str] = "angles in radians; energies in the unit of J; beta in its inverse"
    citation: ClassVar[str] = "Kosterlitz and Thouless, J. Phys. C 6, 1181 (1973)"
    references: ClassVar[tuple[str, ...]] = (
        "transfer matrix (Bessel functions): chains, beta |J| up to 1e9 (rings of odd length with J < 0: up to 1e5, or "
        "twice the length if that is more)",
    )

    kind: Literal["xy"] = "xy"
    shape: tuple[Length, ...] = Field(min_length=1, max_length=3)
    """1 to 3 side lengths, each at least 1."""
    periodic: bool = True
    """Whether opposite faces of the lattice are joined."""
    J: Coupling = 1.0
    """Coupling of neighbours; ferromagnetic when positive."""

    @property
    def space(self) -> SpaceSpec:
        """One angle for each site."""
        return SpaceSpec(kind="torus", event_shape=self.shape)

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Change of sign, theta -> -theta, a common shift, reflections, and translations where no face breaks them.

        A cyclic shift of two sites is their exchange, which leaves an open lattice as it is too.
        """
        always: frozenset[Symmetry] = frozenset({"z2", "global_shift", "lattice_point_group"})
        translates = self.periodic or self.J == 0 or max(self.shape) <= 2
        return always | {"lattice_translation"} if translates else always
