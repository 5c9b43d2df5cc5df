"""The bars-and-stripes distribution as a user writes it."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Symmetry, TargetSpec

MAX_SIDE = 32
"""Longest side: patterns are then counted, and drawn, by 34-bit numbers."""

Side = Annotated[int, Field(strict=True, ge=1, le=MAX_SIDE)]


class BarsAndStripesSpec(TargetSpec):
    """The uniform distribution over the pictures of h x w bits whose rows, or whose columns, are each of one value.

    All other pictures have infinite energy, so a model learns this distribution from its draws and not from its energy.
    """

    formula: ClassVar[str] = "E(b) = 0 where every row, or every column, is of one value (b = 0 or 1); else +infinity"
    units: ClassVar[str] = "energies are 0 or infinite: Z = 2^h + 2^w - 2 at every beta"
    citation: ClassVar[str] = (
        "MacKay, Information Theory, Inference, and Learning Algorithms (2003), section 43; "
        "Han et al., Phys. Rev. X 8, 031012 (2018)"
    )
    references: ClassVar[tuple[str, ...]] = ("count of the patterns, and the entropy",)
    energy_is_finite: ClassVar[bool] = False

    kind: Literal["bars_and_stripes"] = "bars_and_stripes"
    shape: tuple[Side, Side]
    """Height h and width w, each 1 to 32."""

    @property
    def space(self) -> SpaceSpec:
        """Bits of shape (h, w)."""
        return SpaceSpec(kind="bits", event_shape=self.shape)

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Complement, cyclic shifts, reflections, and transposition where h = w: each maps patterns to patterns."""
        return frozenset({"z2", "lattice_translation", "lattice_point_group"})
