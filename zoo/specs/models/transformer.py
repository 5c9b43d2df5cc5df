"""Causal transformers as a user writes them."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from zoo.specs.models.autoregressive import AutoregressiveSpec
from zoo.specs.models.base import Capabilities
from zoo.specs.spaces import SpaceSpec


class TransformerSpec(AutoregressiveSpec):
    """Causal attention over the earlier sites, in raster order."""

    description: ClassVar[str] = "causal transformer, q(x) = prod_i q(x_i | x_1..x_{i-1}) by attention to earlier sites"
    citation: ClassVar[str] = (
        "Vaswani et al., arXiv:1706.03762; Xiong et al., arXiv:2002.04745; rotary: Su et al., arXiv:2104.09864"
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("spins", "categorical"),
        latent_space=None,
        sampling="direct-sequential",
        log_likelihood="exact",
        trains_from="both",
        conditional_completion=True,
        encode=False,
    )

    family: Literal["transformer"] = "transformer"
    width: int = Field(default=32, ge=1, le=4096)
    """Numbers of a site between layers; a multiple of ``heads``."""
    depth: int = Field(default=2, ge=1, le=48)
    """Layers, each of attention and two dense maps of four times the width."""
    heads: int = Field(default=2, ge=1, le=64)
    """Attention heads of a layer."""
    positions: Literal["learned", "rotary"] = "learned"
    """How a layer knows where a site is.  ``learned``: an embedding of its row and one of its column on 2D lattices,
    else one for each site.  ``rotary``: queries and keys turned by angles, so that attention knows distances; half the
    pairs of numbers turn with the row and half with the column on 2D lattices."""

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.width % self.heads:
            msg = f"width is {self.width} and heads is {self.heads}; a width that is a multiple of heads was expected"
            raise ValueError(msg)
        if self.positions == "rotary" and (self.width // self.heads) % 4:
            each = self.width // self.heads
            msg = f"width / heads is {each}; rotary positions turn pairs for rows and columns and need a multiple of 4"
            raise ValueError(msg)
        return self

    def network_nanoseconds(self, space: SpaceSpec) -> float:
        """Each dense weight once for each site, and the keys and values of all sites before it read from memory."""
        attention = 0.4 * self.width * space.num_sites
        return space.num_sites * self.depth * (0.6 * self.width**2 + attention)

    def working_size(self, space: SpaceSpec) -> int:
        """The kernels of the frontier, dense maps of the layers, and the direct terms of pairs of sites."""
        columns = space.num_sites // space.event_shape[0]
        channels = space.num_values or 1
        frontier = (space.num_sites + 3 * columns**2) * channels * self.width + space.num_sites * self.width
        layers = 12 * self.depth * self.width**2
        return frontier + layers + space.num_sites * channels * (space.num_sites * channels + self.width)
