"""Masked autoregressive flows as a user writes them."""

from typing import ClassVar, Literal

from zoo.specs.models.base import Capabilities
from zoo.specs.models.masked_flow import MaskedFlowSpec
from zoo.specs.spaces import SpaceSpec

_NANOSECONDS_PER_TURN = 80.0  # of one variable in one layer: what is made for it alone, in a large batch


class MafSpec(MaskedFlowSpec):
    """Masked autoregressive flow: fast likelihoods, sequential samples."""

    description: ClassVar[str] = (
        "masked autoregressive flow, x_i = exp(s(x_<i)) z_i + t(x_<i) in several layers; likelihoods in one pass, "
        "samples one variable after the other: for learning from data"
    )
    citation: ClassVar[str] = "Papamakarios, Pavlakou, Murray, arXiv:1705.07057"
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("reals", "phase_space", "particles"),
        latent_space="reals",
        sampling="direct-sequential",
        log_likelihood="exact",
        trains_from="both",
        conditional_completion=False,
        encode=False,
    )

    family: Literal["maf"] = "maf"

    def network_nanoseconds(self, space: SpaceSpec) -> float:
        """Beyond the products: every variable has its turn in every layer."""
        return super().network_nanoseconds(space) + _NANOSECONDS_PER_TURN * self.layers * space.num_sites
