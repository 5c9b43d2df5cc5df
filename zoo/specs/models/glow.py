"""Multiscale flows with invertible convolutions as a user writes them."""

from math import prod
from typing import ClassVar, Literal

from pydantic import Field

from zoo.specs.models.base import Capabilities
from zoo.specs.models.flow import FlowSpec
from zoo.specs.spaces import SpaceSpec

MAP_PARAMETERS = 2
"""Numbers that a layer's network gives for each variable: a scale and a shift."""

_NANOSECONDS_PER_PRODUCT = 0.25  # of a network, in a large batch
_NANOSECONDS_PER_VARIABLE = 50.0  # of one variable in one step, beside the network


class GlowSpec(FlowSpec):
    """Activation scales, invertible 1x1 convolutions and affine couplings of channels, on several scales."""

    description: ClassVar[str] = (
        "multiscale flow on periodic lattices: blocks of 2 sites along each axis become channels, which are mixed by "
        "invertible 1x1 convolutions and mapped by affine couplings; half of them go on to the next scale"
    )
    citation: ClassVar[str] = "Kingma, Dhariwal, arXiv:1807.03039"
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("reals",),
        latent_space="reals",
        sampling="direct-parallel",
        log_likelihood="exact",
        trains_from="both",
        conditional_completion=False,
        encode=False,
    )

    family: Literal["glow"] = "glow"
    scales: int | None = Field(default=None, ge=1, le=16)
    """Scales; each halves all sides of the lattice.  Default: as many as the sides and the kernel allow."""
    steps: int = Field(default=4, ge=1, le=64)
    """Scales and shifts, 1x1 convolution and coupling, so often on each scale; of an even number the map is near the
    identity at first."""
    width: int = Field(default=32, ge=1, le=4096)
    """Channels of each hidden layer of a network."""
    depth: int = Field(default=2, ge=1, le=16)
    """Hidden layers of a network; the first, and the one after them, see neighbours."""
    kernel: Literal[1, 3, 5] = 3
    """Sites of the coarse lattice that a kernel spans along each axis."""

    def lattices(self, space: SpaceSpec) -> list[tuple[int, ...]]:
        """The lattice of the channels on each scale, the finest first."""
        lattice, found = space.event_shape, list[tuple[int, ...]]()
        while self.scales is None or len(found) < self.scales:
            if any(side % 2 or side // 2 < max(1, self.kernel // 2) for side in lattice):
                break
            lattice = tuple(side // 2 for side in lattice)
            found.append(lattice)
        return found

    def working_size(self, space: SpaceSpec) -> int:
        """Weights of all networks."""
        return sum(self.steps * self._weights(space, level) for level in range(len(self.lattices(space))))

    def network_nanoseconds(self, space: SpaceSpec) -> float:
        """Products of the networks, once for each site of their lattice, and what every step does with a variable."""
        total = 20.0 * space.num_sites
        for level, lattice in enumerate(self.lattices(space)):
            products = _NANOSECONDS_PER_PRODUCT * self._weights(space, level) * prod(lattice)
            variables = _NANOSECONDS_PER_VARIABLE * self.channels(space, level) * prod(lattice)
            total += self.steps * (products + variables)
        return total

    def channels(self, space: SpaceSpec, level: int) -> int:
        """Channels on a scale: half of those of the one before, times the sites of a block."""
        block: int = 2 ** len(space.event_shape)
        number: int = block * (block // 2) ** level
        return number

    def _weights(self, space: SpaceSpec, level: int) -> int:
        half = self.channels(space, level) // 2
        taps: int = self.kernel ** len(space.event_shape)
        return taps * self.width * half * (1 + MAP_PARAMETERS) + (self.depth - 1) * self.width**2

    def unsupported_reason(self, space: SpaceSpec) -> str | None:
        """Beyond the base: the lattice must be one that can be cut into blocks so often."""
        if (reason := super().unsupported_reason(space)) is not None:
            return reason
        shape = list(space.event_shape)
        if not 1 <= len(shape) <= 3:
            return f"family {self.family!r} needs a periodic lattice of 1 to 3 axes, and the target has shape {shape}"
        if any(side % 2 for side in shape):
            return (
                f"family {self.family!r} cuts the lattice into blocks of 2 sites along each axis, and {shape} has an "
                "odd side; use 'realnvp' with mask 'alternating'"
            )
        fits = len(self.lattices(space))
        if fits == 0:
            return f"kernel {self.kernel} is wider than half of the lattice {shape} wraps; use a smaller one"
        if self.scales is not None and fits < self.scales:
            return (
                f"scales {self.scales} halve the sides {shape} so often, and with kernel {self.kernel} they can be "
                f"halved {fits} times; use at most so many"
            )
        return None
