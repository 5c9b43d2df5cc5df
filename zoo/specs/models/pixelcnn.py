"""PixelCNN as a user writes it."""

from typing import ClassVar, Literal

from pydantic import Field

from zoo.specs.models.autoregressive import AutoregressiveSpec
from zoo.specs.models.base import Capabilities
from zoo.specs.spaces import SpaceSpec


class PixelCnnSpec(AutoregressiveSpec):
    """Masked convolutions on a 2D lattice, in raster order."""

    description: ClassVar[str] = "masked convolutional network on 2D lattices, q(s) = prod_i q(s_i | s_1..s_{i-1})"
    citation: ClassVar[str] = "van den Oord et al., arXiv:1601.06759; Wu, Wang, Zhang, PRL 122, 080602 (2019)"
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("spins",),
        latent_space=None,
        sampling="direct-sequential",
        log_likelihood="exact",
        trains_from="both",
        conditional_completion=True,
        encode=False,
    )

    family: Literal["pixelcnn"] = "pixelcnn"
    width: int = Field(default=32, ge=1, le=4096)
    """Channels of each hidden layer."""
    depth: int = Field(default=3, ge=2, le=64)
    """Convolutions before the output layer."""
    half_kernel: int = Field(default=1, ge=1, le=64)
    """Half-width k of a kernel: its rows reach k sites up and k to each side."""
    residual: bool = True
    """Whether each convolution is added to its argument."""
    dilated: bool = False
    """Whether the taps of the l-th kernel behind the first are 2^(l-1) sites apart."""

    def working_size(self, space: SpaceSpec) -> int:
        """The first layer unrolled for each row, and the causal taps of the others."""
        k = self.half_kernel
        taps = k * (2 * k + 1) + k + 1
        columns = space.event_shape[-1]
        first = (space.num_sites * columns + (k + 1) * columns**2) * (self.width + 1)
        return first + (self.depth - 1) * taps * self.width**2

    def network_nanoseconds(self, space: SpaceSpec) -> float:
        """Each causal tap once for each site."""
        k = self.half_kernel
        taps = k * (2 * k + 1) + k + 1
        return space.num_sites * (50 + 0.018 * taps * self.width * (1 + (self.depth - 1) * self.width))

    def unsupported_reason(self, space: SpaceSpec) -> str | None:
        """Beyond the kind of space: the lattice must have two axes."""
        if space.kind in self.served_spaces() and len(space.event_shape) != 2:
            return f"family 'pixelcnn' needs a 2D lattice, and the target has shape {list(space.event_shape)}"
        return super().unsupported_reason(space)
