"""Sequential models of real variables as a user writes them."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from zoo.specs.models.base import Capabilities
from zoo.specs.models.made import MaskedDenseSpec
from zoo.specs.spaces import SpaceSpec


class ContinuousAutoregressiveSpec(MaskedDenseSpec):
    """Masked dense layers whose numbers are mixtures of normal distributions, one for each real variable."""

    description: ClassVar[str] = (
        "masked dense network, q(x) = prod_i q(x_i | x_1..x_{i-1}), whose real variables are mixtures of normal ones"
    )
    citation: ClassVar[str] = "Uria, Murray, Larochelle, arXiv:1306.0186; Germain et al., arXiv:1502.03509"
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("reals",),
        latent_space=None,
        sampling="direct-sequential",
        log_likelihood="exact",
        trains_from="both",
        conditional_completion=True,
        encode=False,
    )

    family: Literal["continuous_autoregressive"] = "continuous_autoregressive"
    components: int = Field(default=4, ge=1, le=64)
    """Normal distributions in each mixture, 1 to 64."""
    scale: Annotated[float, Field(ge=1e-9, le=1e9)] = 1.0
    """Typical size of a coordinate, in its own unit: the untrained model is about so wide, and its components start
    within this distance of 0.  A component can become 55 times as wide and 3e-4 times as narrow."""

    def working_size(self, space: SpaceSpec) -> int:
        """Dense layers: sites to hidden, hidden to hidden, hidden to the mixtures, and sites to the mixtures."""
        sites, outputs = space.num_sites, 3 * self.components * space.num_sites
        return (sites + outputs) * self.width + (self.depth - 1) * self.width**2 + outputs * sites
