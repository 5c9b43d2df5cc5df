"""What normalizing flows have in common, as a user writes them."""

from math import prod
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from zoo.specs.models.distribution import DistributionSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.symmetries import ModelSymmetry

Activation = Literal["silu", "relu"]
"""The function of a network's hidden units."""

_NANOSECONDS_PER_PRODUCT = 0.03  # of a network, in a large batch
_NANOSECONDS_PER_MAP = 4.0  # of one variable in one layer, for each of its parameters


class FlowSpec(DistributionSpec):
    """A base density and a bijection.  Subclasses add ``family`` and the layers."""

    base: Literal["normal", "free_field"] = "normal"
    """What the bijection begins with.  ``normal``: independent variables of one width (of particles, a harmonic trap).
    ``free_field``: a Gaussian field on the periodic lattice, whose propagator is learnt for every wave vector.  Angles
    and unit vectors always begin evenly distributed."""
    scale: Annotated[float, Field(ge=1e-9, le=1e9)] = 1.0
    """The width of ``base`` before training, in the unit of the coordinates; it is learnt.  Angles and unit
    vectors have none."""

    def unsupported_reason(self, space: SpaceSpec) -> str | None:
        """Beyond symmetries: coordinates must be free, and what is meant for lattices needs one."""
        if (reason := super().unsupported_reason(space)) is not None:
            return reason
        if space.kind == "particles" and (space.box is not None or space.centered):
            what = "in a periodic box" if space.box is not None else "with a fixed centre of mass"
            return f"family {self.family!r} models free coordinates, and the target has particles {what}"
        if self.base == "free_field" and space.kind != "reals":
            return f"base 'free_field' is a field on a lattice, and the target lives on {space.kind}; use 'normal'"
        if space.kind in {"torus", "spheres"} and self.scale != 1:
            values = "angles" if space.kind == "torus" else "unit vectors"
            return f"scale is a width of real variables, and the target has {values}, which begin evenly; leave it out"
        return None


class CouplingSpec(FlowSpec):
    """Coupling layers, in which two halves of the variables take turns."""

    couplings: int = Field(default=8, ge=1, le=128)
    """Layers, 1 to 128; each maps one half of the variables."""
    conditioner: Literal["dense", "convolution"] = "dense"
    """The network of a layer.  ``dense``: every variable sees every other.  ``convolution``: on a periodic lattice, the
    same everywhere, so that q has the translations by an even number of sites."""
    width: int = Field(default=64, ge=1, le=65536)
    """Hidden units, or channels, of each layer of a network."""
    depth: int = Field(default=2, ge=1, le=16)
    """Hidden layers of a network."""
    activation: Activation = "silu"
    """The function of the hidden units.  ``silu`` is smooth, and so is ln q; ``relu`` is faster to compute.  Of odd
    networks it is tanh."""
    kernel: Literal[1, 3, 5, 7] = 3
    """Sites that a kernel of ``convolution`` spans along each axis."""
    mask: Literal["auto", "checkerboard", "alternating"] = "auto"
    """The halves.  ``checkerboard``: by the parity of the sum of the coordinates, for even side lengths.
    ``alternating``: by the parity of a variable's number.  ``auto``: the first where it fits."""
    odd: bool = False
    """Whether the networks are odd, so that q(-x) = q(x) by construction.  Two separate modes are out of reach of such
    a map; there take ``symmetry: z2``, the average over both signs."""

    @model_validator(mode="after")
    def _is_even_once(self) -> Self:
        if self.odd and self.symmetry != "none" and "z2" in super().symmetries:
            msg = "odd networks have q(-x) = q(x) already; leave 'z2' out of symmetry, or odd"
            raise ValueError(msg)
        if self.odd and self.activation != "silu":
            msg = f"activation {self.activation!r} is not odd; with 'odd' it is tanh; leave one of the two out"
            raise ValueError(msg)
        return self

    @property
    def symmetries(self) -> tuple[ModelSymmetry, ...]:
        """Those named in ``symmetry``, and z2 where the networks are odd."""
        return (*super().symmetries, "z2") if self.odd else super().symmetries

    def averaged_symmetries(self, space: SpaceSpec) -> tuple[ModelSymmetry, ...]:
        """Without z2 where the networks have it."""
        return tuple(name for name in super().averaged_symmetries(space) if not (self.odd and name == "z2"))

    def has_checkerboard(self, space: SpaceSpec) -> bool:
        """Whether the halves are those of a checkerboard on ``space``."""
        fits = space.kind == "reals" and all(side % 2 == 0 for side in space.event_shape)
        return self.mask == "checkerboard" or (self.mask == "auto" and fits)

    @property
    def map_parameters(self) -> int:
        """Numbers that a layer's network gives for each variable that is mapped."""
        return 2

    def working_size(self, space: SpaceSpec) -> int:
        """Weights of all layers."""
        if self.conditioner == "convolution":
            taps = prod([self.kernel] * len(space.event_shape))
            layer = taps * self.width * (1 + (self.depth - 1) * self.width + self.map_parameters)
        else:
            half = (space.num_sites + 1) // 2
            layer = half * self.width * (1 + self.map_parameters) + (self.depth - 1) * self.width**2
        return self.couplings * layer

    def network_nanoseconds(self, space: SpaceSpec) -> float:
        """Products of the networks, once for each site where they are convolutions, and the maps themselves."""
        products = self.working_size(space) * (space.num_sites if self.conditioner == "convolution" else 1)
        maps = self.couplings * self.map_parameters * space.num_sites / 2
        return 20.0 * space.num_sites + _NANOSECONDS_PER_PRODUCT * products + _NANOSECONDS_PER_MAP * maps

    def unsupported_reason(self, space: SpaceSpec) -> str | None:
        """Beyond the base: convolutions and checkerboards need a lattice that they fit."""
        if (reason := super().unsupported_reason(space)) is not None:
            return reason
        shape = list(space.event_shape)
        if self.conditioner == "convolution" and (space.kind != "reals" or len(shape) > 3):
            lattice = f"a lattice of shape {shape}" if space.kind == "reals" else space.kind
            return f"conditioner 'convolution' needs a periodic lattice of 1 to 3 axes, and the target has {lattice}"
        if self.conditioner == "convolution" and min(shape) < self.kernel // 2:
            return f"kernel {self.kernel} is wider than the lattice {shape} wraps; use a smaller one"
        if self.conditioner == "convolution" and not self.has_checkerboard(space):
            return f"conditioner 'convolution' needs a checkerboard, and {shape} has an odd side; use 'dense'"
        if self.mask == "checkerboard" and (space.kind != "reals" or any(side % 2 for side in shape)):
            return (
                f"mask 'checkerboard' needs a lattice of even sides, and the target has {space.kind} of shape {shape}"
            )
        return None
