"""Flows with extra variables as a user writes them."""

from typing import ClassVar, Literal

from pydantic import Field

from zoo.specs.models.base import Capabilities
from zoo.specs.models.flow import FlowSpec
from zoo.specs.spaces import SpaceSpec


class AugmentedFlowSpec(FlowSpec):
    """An affine coupling flow of the configuration x and of extra variables a, which a network draws given x.

    Layers map x given a and a given x in turn, so that each sees all of the other.
    """

    description: ClassVar[str] = (
        "affine couplings between the configuration and extra variables; samples have exact weights, and no likelihood"
    )
    citation: ClassVar[str] = "Huang, Dinh, Courville, arXiv:2002.07101"
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("reals", "phase_space", "particles"),
        latent_space="reals",
        sampling="direct-parallel",
        log_likelihood="none",
        weighs_paths=True,
        trains_from="both",
        conditional_completion=False,
        encode=False,
    )

    family: Literal["augmented_flow"] = "augmented_flow"
    extra: int | None = Field(default=None, ge=1, le=65536)
    """Extra variables; default: as many as the configuration has."""
    couplings: int = Field(default=8, ge=1, le=128)
    """Layers, 1 to 128."""
    width: int = Field(default=64, ge=1, le=65536)
    """Hidden units of each layer of a network."""
    depth: int = Field(default=2, ge=1, le=16)
    """Hidden layers of a network."""

    def num_extra(self, space: SpaceSpec) -> int:
        """How many extra variables there are."""
        return space.num_sites if self.extra is None else self.extra

    def working_size(self, space: SpaceSpec) -> int:
        """Weights of all layers, and of the network of a given x."""
        sites, extra = space.num_sites, self.num_extra(space)
        inner = (self.depth - 1) * self.width**2
        layers = self.couplings * (self.width * (sites + extra) * 3 // 2 + inner)
        return layers + self.width * (sites + 2 * extra) + inner

    def unsupported_reason(self, space: SpaceSpec) -> str | None:
        """Beyond flows: it has neither conditions nor symmetries by averaging, for which likelihoods are needed."""
        if (reason := super().unsupported_reason(space)) is not None:
            return reason
        if self.condition_on.names:
            return "family 'augmented_flow' has no conditions; leave condition_on out"
        if self.symmetry != "none":
            return "family 'augmented_flow' has no likelihood to average over images; use symmetry 'none'"
        if self.base != "normal":
            return "family 'augmented_flow' begins with the configuration and the extra variables; use base 'normal'"
        return None
