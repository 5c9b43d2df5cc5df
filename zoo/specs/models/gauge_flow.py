"""Gauge-equivariant flows as a user writes them."""

from typing import ClassVar, Literal

from pydantic import Field

from zoo.specs.models.base import Capabilities
from zoo.specs.models.flow import FlowSpec
from zoo.specs.spaces import SpaceSpec

_PERIOD = 4  # columns after which the active links of a layer repeat
_LOOPS = 6  # cosines and sines that a layer's network sees of each neighbour
_NANOSECONDS_PER_PRODUCT = 0.15  # of a network, for each sample
_NANOSECONDS_PER_MAP = 40.0  # of one link in one layer, for each parameter of the map


class GaugeFlowSpec(FlowSpec):
    """Coupling layers that commute with the gauge transformations of a two-dimensional U(1) field."""

    description: ClassVar[str] = (
        "gauge-equivariant coupling flow on 2D U(1) links: circular maps of plaquettes, conditioned on other loops"
    )
    citation: ClassVar[str] = (
        "Kanwar et al., Phys. Rev. Lett. 125, 121601 (2020), arXiv:2003.06413; masks of Albergo et al., "
        "arXiv:2101.08176; maps of Rezende et al., arXiv:2002.02428"
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("torus",),
        latent_space="torus",
        sampling="direct-parallel",
        log_likelihood="exact",
        trains_from="both",
        conditional_completion=False,
        encode=False,
    )

    family: Literal["gauge_flow"] = "gauge_flow"
    couplings: int = Field(default=16, ge=1, le=256)
    """Layers, 1 to 256; each maps a quarter of the links of one direction, so that 8 reach all links once."""
    map: Literal["ncp", "spline"] = "ncp"
    """The map of an angle.  ``ncp``: the mean of non-compact projections, smooth, whose inverse is found by halving an
    interval: likelihoods of given configurations take longer than samples.  ``spline``: a circular rational-quadratic
    spline and a turn."""
    components: int = Field(default=2, ge=1, le=64)
    """Projections of ``ncp``."""
    bins: int = Field(default=8, ge=2, le=64)
    """Bins of ``spline``."""
    width: int = Field(default=16, ge=1, le=4096)
    """Channels of each hidden layer of a network."""
    depth: int = Field(default=2, ge=1, le=16)
    """Hidden layers of a network."""
    kernel: Literal[1, 3, 5] = 3
    """Active plaquettes whose surroundings a map depends on, along each axis: neighbours along a stripe are next to
    each other, those across it four links apart.  1: the loops next to the link alone."""

    @property
    def _parameters(self) -> int:
        """Numbers that a layer's network gives for each link that is mapped."""
        return 1 + (2 * self.components if self.map == "ncp" else 3 * self.bins)

    def working_size(self, space: SpaceSpec) -> int:
        """Weights of all layers."""
        first = _LOOPS * self.kernel**2 * self.width
        return self.couplings * (first + (self.depth - 1) * self.width**2 + self.width * self._parameters)

    def network_nanoseconds(self, space: SpaceSpec) -> float:
        """Products of the networks and the maps, for the links that each layer moves."""
        moved = space.num_sites / (2 * _PERIOD)
        maps = self.couplings * self._parameters
        each = _NANOSECONDS_PER_PRODUCT * self.working_size(space) + _NANOSECONDS_PER_MAP * maps
        return 20.0 * space.num_sites + moved * each

    def unsupported_reason(self, space: SpaceSpec) -> str | None:
        """Beyond angles: they must be links of a plane whose sides the stripes of active links fit."""
        if (reason := super().unsupported_reason(space)) is not None:
            return reason
        shape = list(space.event_shape)
        if len(shape) != 3 or shape[0] != 2:
            return (
                f"family {self.family!r} models links of a plane, configurations of shape [2, L1, L2], and the target "
                f"has angles of shape {shape}"
            )
        if any(side % _PERIOD for side in shape[1:]):
            return (
                f"family {self.family!r} moves every fourth column of links in turn; L1 and L2 divisible by "
                f"{_PERIOD} were expected, and the target has shape {shape}"
            )
        lattice = [name for name in self.averaged_symmetries(space) if name != "z2"]
        if lattice:
            return (
                f"symmetry {lattice[0]!r} moves the axis of directions too; links have the translations by {_PERIOD} "
                "sites without it, and 'z2' can be averaged over"
            )
        return None
