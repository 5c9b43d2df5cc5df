"""Discrete flows as a user writes them."""

from typing import ClassVar, Literal

from pydantic import Field

from zoo.specs.models.base import Capabilities
from zoo.specs.models.distribution import DistributionSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.symmetries import ModelSymmetry

_NANOSECONDS_PER_WEIGHT = 0.06


class DiscreteFlowSpec(DistributionSpec):
    """Independent sites whose values are shifted, modulo their number, by amounts that depend on other sites."""

    description: ClassVar[str] = (
        "flow of modular shifts x_a = (z_a + s(z_b)) mod q between two halves in turn; parallel both ways, exact "
        "likelihood; the shifts are learnt by the straight-through gradient, which is biased"
    )
    citation: ClassVar[str] = "Tran et al., arXiv:1905.10347; straight-through: Bengio et al., arXiv:1308.3432"
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("spins", "bits", "categorical"),
        latent_space="categorical",
        sampling="direct-parallel",
        log_likelihood="exact",
        trains_from="both",
        conditional_completion=False,
        encode=False,
    )

    family: Literal["discrete_flow"] = "discrete_flow"
    couplings: int = Field(default=4, ge=1, le=128)
    """Layers, 1 to 128; each shifts one half of the sites."""
    width: int = Field(default=64, ge=1, le=65536)
    """Hidden units of each layer of a network."""
    depth: int = Field(default=2, ge=1, le=16)
    """Hidden layers of a network."""
    temperature: float = Field(default=0.3, ge=1e-3, le=1e3)
    """Of the softmax whose derivative stands for that of the largest output: samples and likelihoods do not depend on
    it, the bias of the gradient does."""

    def averaged_symmetries(self, space: SpaceSpec) -> tuple[ModelSymmetry, ...]:
        """All of them: there is no first site whose sign could be drawn."""
        return self.symmetries

    def working_size(self, space: SpaceSpec) -> int:
        """Weights of all layers, and the base."""
        values = space.num_sites * (space.num_values or 2)
        return self.couplings * (values * self.width + (self.depth - 1) * self.width**2) + values

    def network_nanoseconds(self, space: SpaceSpec) -> float:
        """One product for each weight, and the exchange of values for each layer."""
        exchange = 20.0 * self.couplings * space.num_sites * (space.num_values or 2)
        return 20.0 * space.num_sites + exchange + _NANOSECONDS_PER_WEIGHT * self.working_size(space)
