"""MADE as a user writes it."""

from typing import ClassVar, Literal

from pydantic import Field

from zoo.specs.models.autoregressive import AutoregressiveSpec
from zoo.specs.models.base import Capabilities
from zoo.specs.spaces import SpaceSpec


class MaskedDenseSpec(AutoregressiveSpec):
    """What a family of masked dense layers has."""

    width: int = Field(default=256, ge=1, le=65536)
    """Hidden units of each layer."""
    depth: int = Field(default=1, ge=1, le=16)
    """Hidden layers."""

    def working_size(self, space: SpaceSpec) -> int:
        """Dense layers: sites to hidden, hidden to hidden, hidden to sites, and sites to sites."""
        inputs = space.num_sites * (space.num_values or 1)
        return 2 * inputs * self.width + (self.depth - 1) * self.width**2 + inputs**2


class MadeSpec(MaskedDenseSpec):
    """Masked autoencoder for distribution estimation: dense layers whose masks make them autoregressive."""

    description: ClassVar[str] = "masked dense network, q(x) = prod_i q(x_i | x_1..x_{i-1}); good on any graph"
    citation: ClassVar[str] = "Germain et al., arXiv:1502.03509; Wu, Wang, Zhang, PRL 122, 080602 (2019)"
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("spins", "categorical"),
        latent_space=None,
        sampling="direct-sequential",
        log_likelihood="exact",
        trains_from="both",
        conditional_completion=True,
        encode=False,
    )

    family: Literal["made"] = "made"
