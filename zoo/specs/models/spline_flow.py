"""Spline couplings as a user writes them."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from zoo.specs.models.base import Capabilities
from zoo.specs.models.flow import CouplingSpec
from zoo.specs.spaces import SpaceSpec


class SplineFlowSpec(CouplingSpec):
    """Coupling layers of monotone rational-quadratic splines, on real variables and on angles."""

    description: ClassVar[str] = (
        "rational-quadratic spline coupling flow; on angles circular splines; more flexible than affine maps, slower"
    )
    citation: ClassVar[str] = "Durkan et al., arXiv:1906.04032; on angles Rezende et al., arXiv:2002.02428"
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("reals", "torus", "phase_space", "particles"),
        latent_space="reals",
        sampling="direct-parallel",
        log_likelihood="exact",
        trains_from="both",
        conditional_completion=False,
        encode=False,
    )

    family: Literal["spline_flow"] = "spline_flow"
    bins: int = Field(default=8, ge=1, le=128)
    """Bins of a spline."""
    bound: Annotated[float, Field(gt=0, ge=1e-9, le=1e9)] = 5.0
    """Real variables are mapped between -bound and bound and stay what they are outside, with a continuous slope."""

    @property
    def map_parameters(self) -> int:
        """Widths, heights and slopes, and on angles a rotation."""
        return 3 * self.bins + 1

    def unsupported_reason(self, space: SpaceSpec) -> str | None:
        """Beyond couplings: what is periodic is not odd in the way real variables are."""
        if (reason := super().unsupported_reason(space)) is not None:
            return reason
        if space.kind == "torus" and self.odd:
            return (
                "odd networks are for real variables, and the target lives on torus; use symmetry 'z2', the average "
                "over both signs"
            )
        return None
