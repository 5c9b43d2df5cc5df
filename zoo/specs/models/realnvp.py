"""Affine couplings as a user writes them."""

from typing import ClassVar, Literal

from zoo.specs.models.base import Capabilities
from zoo.specs.models.flow import CouplingSpec


class RealNvpSpec(CouplingSpec):
    """Real-valued non-volume-preserving flow: affine coupling layers."""

    description: ClassVar[str] = (
        "affine coupling flow, x_a = exp(s(z_b)) z_a + t(z_b) for two halves in turn; fast both ways, on any reals"
    )
    citation: ClassVar[str] = (
        "Dinh, Sohl-Dickstein, Bengio, arXiv:1605.08803; on lattices Albergo, Kanwar, Shanahan, arXiv:1904.12072"
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("reals", "phase_space", "particles"),
        latent_space="reals",
        sampling="direct-parallel",
        log_likelihood="exact",
        trains_from="both",
        conditional_completion=False,
        encode=False,
    )

    family: Literal["realnvp"] = "realnvp"
