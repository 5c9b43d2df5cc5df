"""The Ising model as a user writes it."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Coupling, Length, Symmetry, TargetSpec


class IsingSpec(TargetSpec):
    """Ising model on a chain, a square, cubic or triangular lattice.

    A periodic length of 2 counts each bond twice (the two neighbours coincide); a length of 1 has no bond in its
    direction.  The exact references agree with both.
    """

    formula: ClassVar[str] = "E(s) = -J sum_<ij> s_i s_j - h sum_i s_i, s_i = -1 or +1"
    units: ClassVar[str] = "energies in the unit of J and h; beta in its inverse"
    citation: ClassVar[str] = "Ising, Z. Phys. 31, 253 (1925); Onsager, Phys. Rev. 65, 117 (1944)"
    references: ClassVar[tuple[str, ...]] = (
        "transfer matrix: chains of any length, J, h and beta; 2D strips with a side of at most 14, square or "
        "triangular, any J, h and boundary, at any beta where a side is at most 6 or the boundary open, else while "
        "side (4 beta |J| + 2 beta |h|) (triangular: 6 beta |J|) is below 600 or the sides at most about 12; where "
        "J < 0, the length is odd and beta so large that eigenvalues cancel, up to a length of some 250 at width 14",
        "Kaufman 1949: square lattice, 2D periodic, h = 0, J > 0 (J < 0 when both sides are even), any beta",
        "enumeration: at most 24 sites",
        "Onsager 1944: the infinite square lattice at h = 0, given beside the finite value as onsager_beta_f_per_site",
    )
    is_pairwise: ClassVar[bool] = True

    kind: Literal["ising"] = "ising"
    lattice: Literal["square", "triangular"] = "square"
    """``square``: every site is joined to its 2d nearest neighbours along the axes.  ``triangular``: in two dimensions,
    also to the two along one diagonal, (r, c) to (r + 1, c + 1)."""
    shape: tuple[Length, ...] = Field(min_length=1, max_length=3)
    """1 to 3 side lengths, each at least 1; 2 for the triangular lattice."""
    periodic: bool = True
    """Whether opposite faces of the lattice are joined."""
    J: Coupling = 1.0
    """Coupling of neighbours; ferromagnetic when positive."""
    h: Coupling = 0.0
    """Uniform external field."""

    @model_validator(mode="after")
    def _triangles_are_planar(self) -> Self:
        if self.lattice == "triangular" and len(self.shape) != 2:
            msg = (
                f"shape has {len(self.shape)} lengths; the triangular lattice is two-dimensional, so its shape has 2, "
                "such as [8, 8]"
            )
            raise ValueError(msg)
        return self

    @property
    def space(self) -> SpaceSpec:
        """Spins on the lattice."""
        return SpaceSpec(kind="spins", event_shape=self.shape)

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Spin flip, when no field breaks it; and the shifts and reflections that leave the bonds what they are."""
        found: set[Symmetry] = set() if self.h else {"z2"}
        if self.J == 0 or self._bonds_can_be_shifted():
            found.add("lattice_translation")
        if self.J == 0 or self._bonds_can_be_reflected():
            found.add("lattice_point_group")
        return frozenset(found)

    def _bonds_can_be_shifted(self) -> bool:
        """On a torus; on open lattices only where a shift is a reflection (sides of 2) that keeps the diagonals."""
        return self.periodic or (max(self.shape) <= 2 and (self.lattice == "square" or min(self.shape) == 1))

    def _bonds_can_be_reflected(self) -> bool:
        """A reflection of one axis turns the diagonals, unless a periodic side of 2 joins both ways, or a side is 1."""
        return self.lattice == "square" or min(self.shape) <= (2 if self.periodic else 1)
