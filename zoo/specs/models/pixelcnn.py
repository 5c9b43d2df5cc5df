"""PixelCNN as a user writes it."""

from typing import ClassVar, Literal

from pydantic import Field

from zoo.specs.models.base import Capabilities, ModelSpec
from zoo.specs.spaces import SpaceSpec


class PixelCnnSpec(ModelSpec):
    """Masked convolutions on a 2D lattice, in raster order."""

    description: ClassVar[str] = "masked convolutional network on 2D lattices, q(s) = prod_i q(s_i | s_1..s_{i-1})"
    citation: ClassVar[str] = "van den Oord et al., arXiv:1601.06759; Wu, Wang, Zhang, PRL 122, 080602 (2019)"
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("spins",),
        latent_space=None,
        sampling="direct-sequential",
        log_likelihood="exact",
        trains_from="energy",
        conditional_completion=False,
        encode=False,
    )

    family: Literal["pixelcnn"] = "pixelcnn"
    width: int = Field(default=32, ge=1, le=4096)
    """Channels of each hidden layer."""
    depth: int = Field(default=3, ge=2, le=64)
    """Convolutions before the output layer."""
    half_kernel: int = Field(default=1, ge=1, le=64)
    """Half-width k of a kernel: its rows reach k sites up and k to each side."""
    symmetry: Literal["none", "z2"] = "none"
    """``z2``: q(-s) = q(s) exactly, by modelling s s_1 and drawing the sign of s_1 evenly."""

    def working_size(self, space: SpaceSpec) -> int:
        """The first kernel unrolled over all pairs of sites, and the causal taps of the others."""
        k = self.half_kernel
        taps = k * (2 * k + 1) + k + 1
        return (space.num_sites**2 + (self.depth - 1) * taps * self.width) * self.width

    def unsupported_reason(self, space: SpaceSpec) -> str | None:
        """Beyond the kind of space: the lattice must have two axes."""
        if len(space.event_shape) != 2:
            return f"family 'pixelcnn' needs a 2D lattice, and the target has shape {list(space.event_shape)}"
        return super().unsupported_reason(space)
