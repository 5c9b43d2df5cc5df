"""Recurrent networks as a user writes them."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from zoo.specs.models.autoregressive import AutoregressiveSpec
from zoo.specs.models.base import Capabilities
from zoo.specs.spaces import SpaceSpec


class RnnSpec(AutoregressiveSpec):
    """Gated recurrent units along the raster order of the event, or over the rows and columns of a lattice."""

    description: ClassVar[str] = (
        "gated recurrent network in raster order or over a 2D lattice, q(x) = prod_i q(x_i | x_1..x_{i-1})"
    )
    citation: ClassVar[str] = (
        "Cho et al., arXiv:1406.1078; Hibat-Allah et al., Phys. Rev. Research 2, 023358 (2020), arXiv:2002.02973"
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("spins", "categorical", "reals"),
        latent_space=None,
        sampling="direct-sequential",
        log_likelihood="exact",
        trains_from="both",
        conditional_completion=True,
        encode=False,
    )

    family: Literal["rnn"] = "rnn"
    width: int = Field(default=32, ge=1, le=4096)
    """Hidden units of each layer."""
    depth: int = Field(default=1, ge=1, le=16)
    """Recurrent layers."""
    dimension: Literal[1, 2] = 1
    """1: a site takes the hidden state of the site before it.  2: those of its left and its upper neighbour, on 2D
    lattices."""
    components: int = Field(default=4, ge=1, le=64)
    """Normal distributions in the mixture of each variable; on reals alone."""
    scale: Annotated[float, Field(ge=1e-9, le=1e9)] = 1.0
    """Typical size of a coordinate, in its own unit; on reals alone."""

    def working_size(self, space: SpaceSpec) -> int:
        """The kernels of the frontier, recurrent weights, and the direct terms of pairs of sites."""
        columns = space.num_sites // space.event_shape[0]
        channels = space.num_values or 1
        parameters = 3 * self.components if space.kind == "reals" else channels
        gates = (2 + self.dimension) * self.width
        frontier = (space.num_sites + 3 * columns**2) * channels * gates + space.num_sites * gates
        recurrent = self.depth * (self.dimension + 1) * gates * self.width
        return frontier + recurrent + space.num_sites * parameters * (space.num_sites * channels + self.width)

    def network_nanoseconds(self, space: SpaceSpec) -> float:
        """Each recurrent weight once for each site."""
        gates = (2 + self.dimension) * self.width
        return space.num_sites * (50 + 0.018 * self.depth * (self.dimension + 1) * gates * self.width)

    def unsupported_reason(self, space: SpaceSpec) -> str | None:
        """Beyond the kind of space: two dimensions of recurrence need a lattice of two axes."""
        if self.dimension == 2 and space.kind in self.served_spaces() and len(space.event_shape) != 2:
            shape = list(space.event_shape)
            return f"family 'rnn' with dimension 2 needs a 2D lattice, and the target has shape {shape}; use 1"
        return super().unsupported_reason(space)
