"""MADE as a user writes it."""

from typing import ClassVar, Literal

from pydantic import Field

from zoo.specs.models.base import Capabilities, ModelSpec
from zoo.specs.spaces import SpaceSpec


class MadeSpec(ModelSpec):
    """Masked autoencoder for distribution estimation: dense layers whose masks make them autoregressive."""

    description: ClassVar[str] = "masked dense network, q(s) = prod_i q(s_i | s_1..s_{i-1}); good on any graph of spins"
    citation: ClassVar[str] = "Germain et al., arXiv:1502.03509; Wu, Wang, Zhang, PRL 122, 080602 (2019)"
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("spins",),
        latent_space=None,
        sampling="direct-sequential",
        log_likelihood="exact",
        trains_from="energy",
        conditional_completion=False,
        encode=False,
    )

    family: Literal["made"] = "made"
    width: int = Field(default=256, ge=1, le=65536)
    """Hidden units of each layer."""
    depth: int = Field(default=1, ge=1, le=16)
    """Hidden layers."""
    symmetry: Literal["none", "z2"] = "none"
    """``z2``: q(-s) = q(s) exactly, by modelling s s_1 and drawing the sign of s_1 evenly."""

    def working_size(self, space: SpaceSpec) -> int:
        """Dense layers: sites to hidden, hidden to hidden, hidden to sites."""
        return 2 * space.num_sites * self.width + (self.depth - 1) * self.width**2
