"""Two-dimensional U(1) lattice gauge theory as a user writes it."""

from typing import ClassVar, Literal

from pydantic import Field

from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Length, Symmetry, TargetSpec


class U1GaugeSpec(TargetSpec):
    """Compact U(1) gauge theory with Wilson's action on a periodic L1 x L2 lattice of V = L1 L2 plaquettes.

    A configuration is (2, L1, L2) link angles: theta_0 along the axis of length L1, theta_1 along that of L2, and

        theta_p(x) = theta_0(x) + theta_1(x + e_0) - theta_0(x + e_1) - theta_1(x).

    Z is the integral with d(theta) on each of the 2 V links; with the normalised Haar measure d(theta) / 2 pi, ln Z is
    smaller by 2 V ln 2 pi.
    """

    formula: ClassVar[str] = (
        "E(theta) = -sum_p cos theta_p, theta_p(x) = theta_0(x) + theta_1(x + e_0) - theta_0(x + e_1) - theta_1(x), "
        "2D periodic; Z with d(theta) on each link"
    )
    units: ClassVar[str] = "angles in radians; E dimensionless; beta = 1 / g^2 is the gauge coupling"
    citation: ClassVar[str] = "Wilson, Phys. Rev. D 10, 2445 (1974); Kanwar et al., Phys. Rev. Lett. 125, 121601 (2020)"
    references: ClassVar[tuple[str, ...]] = ("character expansion: any shape, beta up to 1e9",)

    kind: Literal["u1_gauge"] = "u1_gauge"
    shape: tuple[Length, ...] = Field(min_length=2, max_length=2)
    """Two side lengths, each at least 1."""

    @property
    def space(self) -> SpaceSpec:
        """Link angles of shape (2, L1, L2)."""
        return SpaceSpec(kind="torus", event_shape=(2, *self.shape))

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Change of sign, translations of the last two axes, gauge transformations, and a shift of all links.

        In two dimensions every plaquette has two links of either sign, so a common shift cancels in it.
        """
        return frozenset({"z2", "lattice_translation", "global_shift", "gauge"})
