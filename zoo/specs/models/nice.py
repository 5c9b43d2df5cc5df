"""Additive couplings as a user writes them."""

from typing import ClassVar, Literal

from zoo.specs.models.base import Capabilities
from zoo.specs.models.flow import CouplingSpec


class NiceSpec(CouplingSpec):
    """Non-linear independent components estimation: additive coupling layers and one scale for every variable."""

    description: ClassVar[str] = (
        "additive coupling flow, x_a = z_a + t(z_b) for two halves in turn, and a scale of every variable at the end"
    )
    citation: ClassVar[str] = "Dinh, Krueger, Bengio, arXiv:1410.8516"
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("reals", "phase_space", "particles"),
        latent_space="reals",
        sampling="direct-parallel",
        log_likelihood="exact",
        trains_from="both",
        conditional_completion=False,
        encode=False,
    )

    family: Literal["nice"] = "nice"

    @property
    def map_parameters(self) -> int:
        """The shift."""
        return 1
