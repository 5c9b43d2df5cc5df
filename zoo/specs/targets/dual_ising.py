"""The continuous field dual to the Ising model as a user writes it."""

from typing import ClassVar, Literal

from pydantic import Field

from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Length, Symmetry, TargetSpec


class DualIsingSpec(TargetSpec):
    """Field of the Hubbard-Stratonovich transform of the Ising model on a periodic square lattice, J = 1.

    The field x has the joint density exp(-1/2 x^T (K + o I)^-1 x + s^T x) with the spins s, so, given the field,
    the spins are independent with means tanh x_i, and alone they are an Ising model at ``beta``.  A length of 2 counts
    each bond twice; a length of 1 has no bond in its direction.
    """

    formula: ClassVar[str] = (
        "S(x) = 1/2 x^T (K + o I)^-1 x - sum_i ln cosh x_i, K = beta A with the adjacency matrix A of the periodic "
        "square lattice, o = 0.1 - smallest eigenvalue of K; p(x) = exp(-S(x)) / Z"
    )
    units: ClassVar[str] = "S and x dimensionless; beta in 1 / J of the spins, whose coupling is J = 1"
    citation: ClassVar[str] = (
        "Hubbard, Phys. Rev. Lett. 3, 77 (1959); Li and Wang, Phys. Rev. Lett. 121, 260601 (2018), arXiv:1802.02840"
    )
    references: ClassVar[tuple[str, ...]] = ("Kaufman 1949, by the transform: any shape",)

    kind: Literal["dual_ising"] = "dual_ising"
    shape: tuple[Length, ...] = Field(min_length=2, max_length=2)
    """Two side lengths, each at least 1."""

    @property
    def space(self) -> SpaceSpec:
        """One real number for each site."""
        return SpaceSpec(kind="reals", event_shape=self.shape)

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Change of sign, x -> -x, and those of the periodic lattice."""
        return frozenset({"z2", "lattice_translation", "lattice_point_group"})

    @property
    def state_beta(self) -> float:
        """1: ``beta`` is the spins' inverse temperature, and S holds it already."""
        return 1.0
