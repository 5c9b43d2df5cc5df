"""Classical vector spins, the O(d) model, as a user writes them."""

from typing import ClassVar, Literal

from pydantic import Field

from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Coupling, Length, Symmetry, TargetSpec


class VectorSpinsSpec(TargetSpec):
    """Unit vectors of d components on a chain, a square or a cubic lattice: Heisenberg's classical model for d = 3.

    A periodic length of 2 counts each bond twice (the two neighbours coincide); a length of 1 has no bond in its
    direction.
    """

    formula: ClassVar[str] = "E(s) = -J sum_<ij> s_i . s_j - h sum_i s_i^d, |s_i| = 1; Z with the area of each sphere"
    units: ClassVar[str] = "spins dimensionless; energies in the unit of J and h; beta in its inverse"
    citation: ClassVar[str] = "Stanley, Phys. Rev. Lett. 20, 589 (1968); Fisher, Am. J. Phys. 32, 343 (1964)"
    references: ClassVar[tuple[str, ...]] = (
        "transfer matrix (Bessel functions): chains without a field, beta |J| up to 1e4 (odd rings with J < 0, as long "
        "as their alternating sum keeps its digits)",
        "independent spins (J = 0, or one site): any field, beta |h| up to 1e4",
    )

    kind: Literal["vector_spins"] = "vector_spins"
    shape: tuple[Length, ...] = Field(min_length=1, max_length=3)
    """1 to 3 side lengths, each at least 1."""
    components: int = Field(default=3, strict=True, ge=2, le=8)
    """Components d of each vector, 2 to 8; 2: the XY model in vectors, 3: Heisenberg's model."""
    periodic: bool = True
    """Whether opposite faces of the lattice are joined."""
    J: Coupling = 1.0
    """Coupling of neighbours; ferromagnetic when positive."""
    h: Coupling = 0.0
    """Field along the last component."""

    @property
    def space(self) -> SpaceSpec:
        """One unit vector for each site, its components along the last axis."""
        return SpaceSpec(kind="spheres", event_shape=(*self.shape, self.components))

    @property
    def has_bonds(self) -> bool:
        """Whether any two spins interact."""
        return self.J != 0 and max(self.shape) > 1

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Without a field the signs and all rotations of the spins; reflections and translations of the lattice.

        A cyclic shift of two sites is their exchange, which leaves an open lattice as it is too.
        """
        found: set[Symmetry] = {"lattice_point_group"}
        if self.h == 0:
            found |= {"z2", "rotation"}
        if self.periodic or not self.has_bonds or max(self.shape) <= 2:
            found |= {"lattice_translation"}
        return frozenset(found)
