"""The Potts model as a user writes it."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from zoo.specs.spaces import MAX_CATEGORIES, SpaceSpec
from zoo.specs.targets.base import Coupling, Length, Symmetry, TargetSpec


class PottsSpec(TargetSpec):
    """Potts model on a chain, a square or a cubic lattice.

    A periodic length of 2 counts each bond twice (the two neighbours coincide); a length of 1 has no bond in its
    direction.  The exact references agree with both.  For q = 2 it is the Ising model of coupling J / 2, with
    E_Potts = E_Ising - J / 2 for each bond.
    """

    formula: ClassVar[str] = "E(s) = -J sum_<ij> delta(s_i, s_j), s_i = 0 .. q - 1"
    units: ClassVar[str] = "energies in the unit of J; beta in its inverse"
    citation: ClassVar[str] = "Potts, Proc. Camb. Phil. Soc. 48, 106 (1952); Wu, Rev. Mod. Phys. 54, 235 (1982)"
    references: ClassVar[tuple[str, ...]] = (
        "closed form: chains (any J and boundary)",
        "transfer matrix: 2D strips with q^side at most 128, any length, J, beta and boundary; with q^side at most "
        "16384 while 2 side beta |J| is at most 600, open of any length, periodic while the multiplications, about "
        "6 length q^(3 side / 2) times the classes of rows under rotation, reflection and exchange of values, are at "
        "most 2e12: up to a length of 430 for q = 2 and side 14, 1700 for q = 4 and side 7, 6000 for q = 3 and side 8",
        "enumeration: at most 2^24 configurations",
    )

    kind: Literal["potts"] = "potts"
    shape: tuple[Length, ...] = Field(min_length=1, max_length=3)
    """1 to 3 side lengths, each at least 1."""
    q: Annotated[int, Field(strict=True, ge=2, le=MAX_CATEGORIES)]
    """Number of values of each site, 2 to 256."""
    J: Coupling = 1.0
    """Coupling of neighbours with equal values; ferromagnetic when positive."""
    periodic: bool = True
    """Whether opposite faces of the lattice are joined."""

    @property
    def space(self) -> SpaceSpec:
        """Values 0 .. q - 1 on the lattice."""
        return SpaceSpec(kind="categorical", event_shape=self.shape, num_values=self.q)

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Permutations of the values and reflections; shifts of a torus, or where a shift is a reflection."""
        found: set[Symmetry] = {"value_permutation", "lattice_point_group"}
        if self.periodic or max(self.shape) <= 2 or self.J == 0:
            found.add("lattice_translation")
        return frozenset(found)
