"""Flows of unit vectors as a user writes them."""

from math import prod
from typing import ClassVar, Literal

from pydantic import Field

from zoo.specs.models.base import Capabilities
from zoo.specs.models.flow import Activation, FlowSpec
from zoo.specs.spaces import SpaceSpec

_NANOSECONDS_PER_PRODUCT = 0.05  # of a network, in a large batch
_NANOSECONDS_PER_MAP = 8.0  # of one vector in one layer, for each parameter of its maps


class SphereFlowSpec(FlowSpec):
    """Coupling layers of unit vectors, on spheres of any dimension."""

    description: ClassVar[str] = (
        "coupling flow of unit vectors: splines of the height along an axis and of the angle round it, axes in turn"
    )
    citation: ClassVar[str] = "Rezende et al., arXiv:2002.02428"
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("spheres",),
        latent_space="spheres",
        sampling="direct-parallel",
        log_likelihood="exact",
        trains_from="both",
        conditional_completion=False,
        encode=False,
    )

    family: Literal["sphere_flow"] = "sphere_flow"
    couplings: int = Field(default=12, ge=1, le=256)
    """Layers, 1 to 256; each maps one half of the vectors round one axis, so that 2 d reach all axes of all vectors."""
    bins: int = Field(default=8, ge=2, le=64)
    """Bins of a spline."""
    width: int = Field(default=64, ge=1, le=65536)
    """Hidden units of each layer of a network."""
    depth: int = Field(default=2, ge=1, le=16)
    """Hidden layers of a network."""
    activation: Activation = "silu"
    """The function of the hidden units.  ``silu`` is smooth, and so is ln q; ``relu`` is faster to compute."""

    def has_checkerboard(self, space: SpaceSpec) -> bool:
        """Whether the halves are those of a checkerboard: where all sides are even; else every second vector."""
        return all(side % 2 == 0 for side in space.lattice_shape)

    def working_size(self, space: SpaceSpec) -> int:
        """Weights of all layers."""
        vectors = prod(space.lattice_shape)
        frozen, active = vectors // 2 * space.event_shape[-1], (vectors + 1) // 2
        layer = self.width * (frozen + active * self._parameters(space)) + (self.depth - 1) * self.width**2
        return self.couplings * layer

    def network_nanoseconds(self, space: SpaceSpec) -> float:
        """Products of the networks, and the maps of half of the vectors in each layer."""
        maps = self.couplings * self._parameters(space) * (prod(space.lattice_shape) + 1) / 2
        return (
            40.0 * space.num_sites + _NANOSECONDS_PER_PRODUCT * self.working_size(space) + _NANOSECONDS_PER_MAP * maps
        )

    def _parameters(self, space: SpaceSpec) -> int:
        """Numbers that a layer's network gives for each vector."""
        circle = 3 * self.bins + 1
        return circle if space.event_shape[-1] == 2 else 3 * circle
