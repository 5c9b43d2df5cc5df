"""Inverse autoregressive flows as a user writes them."""

from typing import ClassVar, Literal

from zoo.specs.models.base import Capabilities
from zoo.specs.models.masked_flow import MaskedFlowSpec


class IafSpec(MaskedFlowSpec):
    """Inverse autoregressive flow: fast samples, sequential likelihoods of given configurations."""

    description: ClassVar[str] = (
        "inverse autoregressive flow, x_i = exp(s(z_<i)) z_i + t(z_<i) in several layers; samples with their "
        "likelihoods in one pass, likelihoods of others one variable after the other: for learning from an energy"
    )
    citation: ClassVar[str] = "Kingma et al., arXiv:1606.04934"
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("reals", "phase_space", "particles"),
        latent_space="reals",
        sampling="direct-parallel",
        log_likelihood="exact",
        trains_from="both",
        conditional_completion=False,
        encode=False,
    )

    family: Literal["iaf"] = "iaf"
