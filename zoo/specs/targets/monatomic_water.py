"""Monatomic water as a user writes it."""

from math import inf, prod
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Positive, Symmetry, TargetSpec
from zoo.specs.targets.boxes import checked_box, cubic_box

SIGMA = 2.3925
"""Length of the model in Angstrom."""
EPSILON = 6.189
"""Energy of the model in kcal/mol."""
CUTOFF = 1.8 * SIGMA
"""Distance a sigma = 4.3065 Angstrom beyond which molecules do not interact."""
A, B = 7.049556277, 0.6022245584
"""Of the pair energy A eps [B (sigma/r)^4 - 1] exp(sigma / (r - a sigma)), whose minimum is -eps at 2^(1/6) sigma."""
SHORTEST_SIDE = 2 * CUTOFF
"""Shortest side of a box in Angstrom: in a shorter one, a molecule would see two images of another."""

ParticleNumber = Annotated[int, Field(strict=True, ge=2, le=4096)]


class MonatomicWaterSpec(TargetSpec):
    """n molecules of the mW model of water, points with two- and three-body forces, in a periodic box.

    Z is the integral over the coordinates in the box, the centre of mass free, over all labellings.  The published
    state of cubic and hexagonal ice (Wirnsberger et al., arXiv:2111.08696) is 200 K, beta = 1 / (0.0019872067 x 200) =
    2.516 mol/kcal, at density 0.033567184 / Angstrom^3.

    Distances below 0.001 sigma count as 0.001 sigma, where a pair has 1.5e13 kcal/mol: coincident molecules have finite
    energies, so that sums and averages over samples stay numbers.
    """

    formula: ClassVar[str] = (
        "E(x) = sum_{i<j} A eps [B (sigma/r)^4 - 1] exp(sigma / (r - a sigma)) + sum_i sum_{j<k} lambda eps "
        "(cos theta_jik + 1/3)^2 exp(gamma sigma / (r_ij - a sigma)) exp(gamma sigma / (r_ik - a sigma)), r < a sigma"
    )
    units: ClassVar[str] = "energies in kcal/mol, beta in mol/kcal, lengths in Angstrom, density in 1 / Angstrom^3"
    citation: ClassVar[str] = (
        "Molinero and Moore, J. Phys. Chem. B 113, 4008 (2009), arXiv:0809.2811; "
        "Stillinger and Weber, Phys. Rev. B 31, 5262 (1985)"
    )
    references: ClassVar[tuple[str, ...]] = ("quadrature: two molecules, unless beta is extreme",)

    kind: Literal["monatomic_water"] = "monatomic_water"
    n: ParticleNumber
    """Number of molecules, 2 to 4096."""
    density: Positive | None = None
    """Number of molecules per cubic Angstrom in a cubic box, greater than 0: 0.0335 in ice (1 g/cm^3 is 0.03343)."""
    box: tuple[Positive, Positive, Positive] | None = None
    """Sides of the periodic box in Angstrom, each at least 8.613, twice the cut-off; instead of ``density``."""

    @model_validator(mode="before")
    @classmethod
    def _one_of_two(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("density") is not None and data.get("box") is not None:
            checked_box(data["box"], data["density"], 3)  # before the range of either is complained of
        return data

    @field_validator("density")
    @classmethod
    def _leaves_room(cls, density: float | None, info: ValidationInfo) -> float | None:
        largest = info.data.get("n", inf) / SHORTEST_SIDE**3
        if density is not None and density > largest * (1 + 1e-12):
            msg = (
                f"density is {density:g} with n = {info.data['n']}; allowed: 0 < density <= {largest:g}, so that half "
                f"the box reaches the cut-off of the interaction, {CUTOFF:g} Angstrom"
            )
            raise ValueError(msg)
        return density

    @field_validator("box")
    @classmethod
    def _is_wide(cls, box: tuple[float, ...] | None, info: ValidationInfo) -> tuple[float, ...] | None:
        if box is not None and min(box) < SHORTEST_SIDE * (1 - 1e-12):
            msg = (
                f"box has a side of {min(box):g}; allowed: sides of at least {SHORTEST_SIDE:g}, twice the cut-off "
                "of the interaction in Angstrom"
            )
            raise ValueError(msg)
        return checked_box(box, info.data.get("density"), 3)

    @model_validator(mode="after")
    def _is_periodic(self) -> Self:
        if self.density is None and self.box is None:
            msg = "density or box is missing: give density > 0 in 1 / Angstrom^3, or box with three sides in Angstrom"
            raise ValueError(msg)
        return self

    @property
    def dimension(self) -> int:
        """3."""
        return 3

    @property
    def sigma(self) -> float:
        """2.3925 Angstrom."""
        return SIGMA

    @property
    def sides(self) -> tuple[float, ...]:
        """Sides of the periodic box in Angstrom."""
        return self.box or cubic_box(self.n, self.density or 0.0, 3)  # the validator has seen one of the two

    @property
    def volume(self) -> float:
        """Volume of the box in Angstrom^3."""
        return prod(self.sides)

    @property
    def space(self) -> SpaceSpec:
        """Points in a periodic box."""
        return SpaceSpec(kind="particles", event_shape=(self.n, 3), box=self.sides)

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Exchange of molecules, translations, inversion."""
        return frozenset({"permutation", "translation", "z2"})
