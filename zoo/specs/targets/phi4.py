"""The scalar field with a quartic self-interaction as a user writes it."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Coupling, Length, NonNegative, Symmetry, TargetSpec


class Phi4Spec(TargetSpec):
    """Real scalar field on a periodic hypercubic lattice, in the scaling without a factor 1/2.

    (box phi)_x = sum over axes of 2 phi_x - phi_(x+e) - phi_(x-e).  Summed over the lattice, sum_x phi_x (box phi)_x is
    the sum of (phi_x - phi_y)^2 over the bonds.  On a length of 2 both neighbours coincide and are counted twice; on a
    length of 1 both neighbours are x itself, so the axis contributes 2 phi - phi - phi = 0.

    Other papers scale differently.  With a kinetic term of 1/2 (d phi)^2, S = sum_x [1/2 sum_mu (phi_(x+mu) - phi_x)^2
    + 1/2 m0^2 phi_x^2 + g0 phi_x^4], phi is sqrt(2) times ours: m0^2 = ``mass_squared``, g0 = ``coupling`` / 4 (or
    g = 6 ``coupling`` where the term is g phi^4 / 4!), and ln Z is larger by (N / 2) ln 2.  In the hopping form,
    S = sum_x [-2 kappa sum_mu phi_x phi_(x+mu) + phi_x^2 + l (phi_x^2 - 1)^2], ours is sqrt(kappa) times that phi:
    ``coupling`` = l / kappa^2, ``mass_squared`` = (1 - 2 l) / kappa - 2 d, and ln Z there is smaller than ours by
    (N / 2) ln kappa + N l.
    """

    formula: ClassVar[str] = (
        "S(phi) = sum_x [phi_x (box phi)_x + mass_squared phi_x^2 + coupling phi_x^4], "
        "(box phi)_x = 2 d phi_x - sum of the 2 d neighbours, periodic"
    )
    units: ClassVar[str] = "lattice units: S and phi dimensionless; beta, usually 1, multiplies S"
    citation: ClassVar[str] = "Albergo, Kanwar, Shanahan, Phys. Rev. D 100, 034515 (2019), arXiv:1904.12072"
    references: ClassVar[tuple[str, ...]] = (
        "determinant: coupling = 0, any shape",
        "quadrature: a single site",
        "transfer matrix, truncated and converged to 1e-9: chains, lattices with a side of at most 4, and 2 x 2 x L",
    )

    kind: Literal["phi4"] = "phi4"
    shape: tuple[Length, ...] = Field(min_length=1, max_length=4)
    """1 to 4 side lengths, each at least 1."""
    mass_squared: Coupling
    """m^2 in lattice units, of either sign; greater than 0 where the coupling is 0."""
    coupling: NonNegative
    """lambda, at least 0."""

    @model_validator(mode="after")
    def _is_bounded_below(self) -> Self:
        if self.coupling == 0 and self.mass_squared <= 0:
            msg = (
                f"mass_squared is {self.mass_squared:g} with coupling 0; the free field needs mass_squared > 0, since "
                "the uniform mode has no other restoring force and Z diverges (or give a coupling > 0)"
            )
            raise ValueError(msg)
        return self

    @property
    def space(self) -> SpaceSpec:
        """One real number for each site."""
        return SpaceSpec(kind="reals", event_shape=self.shape)

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Change of sign, phi -> -phi, and those of the periodic lattice."""
        return frozenset({"z2", "lattice_translation", "lattice_point_group"})
