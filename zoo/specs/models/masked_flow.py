"""What flows of masked autoregressive layers have in common, as a user writes them."""

from typing import Literal

from pydantic import Field

from zoo.specs.models.flow import FlowSpec
from zoo.specs.spaces import SpaceSpec

MAP_PARAMETERS = 2
"""Numbers that a layer's network gives for each variable: a scale and a shift."""

_NANOSECONDS_PER_PRODUCT = 0.03  # of a network, in a large batch
_NANOSECONDS_PER_MAP = 4.0  # of one variable in one layer, for each of its parameters


class MaskedFlowSpec(FlowSpec):
    """Layers x_i = f(z_i; p_i) with parameters from the variables before.  Subclasses say which these are."""

    layers: int = Field(default=5, ge=1, le=64)
    """Layers, 1 to 64; each maps all variables."""
    mixing: Literal["reverse", "linear"] = "reverse"
    """What stands between two layers, so that each variable comes late in some.  ``reverse``: the order is turned.
    ``linear``: a learnt linear map of all variables, which turns the order at first."""
    width: int = Field(default=64, ge=1, le=65536)
    """Hidden units of each layer of a network."""
    depth: int = Field(default=1, ge=1, le=16)
    """Hidden layers of a network."""

    def working_size(self, space: SpaceSpec) -> int:
        """Weights of all layers."""
        n, width = space.num_sites, self.width
        network = n * width * (1 + MAP_PARAMETERS) + (self.depth - 1) * width**2 + MAP_PARAMETERS * n**2
        return self.layers * network + (self.layers - 1) * (n**2 if self.mixing == "linear" else 0)

    def network_nanoseconds(self, space: SpaceSpec) -> float:
        """Products of the networks, and the maps themselves."""
        maps = self.layers * MAP_PARAMETERS * space.num_sites
        return (
            20.0 * space.num_sites + _NANOSECONDS_PER_PRODUCT * self.working_size(space) + maps * _NANOSECONDS_PER_MAP
        )
