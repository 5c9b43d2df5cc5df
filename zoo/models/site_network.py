"""Networks of sequential models: the parameters of every site's distribution from the sites before it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.core.spaces import Space
from zoo.models.site_values import CategoricalValues, SiteValues, SpinValues
from zoo.nn.conditioning import ConditionEncoder, Features, encoder_of
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.autoregressive import AutoregressiveSpec

PackedT = TypeVar("PackedT")
WeightsKey = tuple[tuple[int, int], ...]


class Sweep(ABC):
    """One pass over the sites of a fixed batch, in which each activation is computed once.

    The batch is the last axis, so that what belongs to one site is one contiguous block of memory.  The caller writes
    ``inputs[i]``, shape (channel, batch), after ``advance(i)`` has filled ``outputs[i]``, shape (parameter, batch).
    """

    def __init__(self, network: "SiteNetwork", batch: int) -> None:
        values, like, sites = network.values, network.like, network.space.num_sites
        self.inputs = like.new_zeros(sites, values.num_channels, batch)
        self.outputs = like.new_zeros(sites, values.num_parameters, batch)

    @abstractmethod
    def advance(self, site: int) -> None:
        """Fill ``outputs[site]`` from ``inputs[:site]``."""


class SiteNetwork(nn.Module, ABC):
    """The parameters of q(x_i | x_1 .. x_(i-1), c) for every site i, in the raster order of the event.

    Subclasses are the families: constructed from (spec, space, seed), with the weights drawn from the seed.
    """

    def __init__(self, spec: AutoregressiveSpec, space: Space, generator: torch.Generator, values: SiteValues) -> None:
        super().__init__()
        if (reason := spec.unsupported_reason(space.spec)) is not None:
            raise InvalidValueError(reason)
        self.space = space
        self.values = values
        self.condition_on = spec.condition_on
        self.encoder: ConditionEncoder | None = encoder_of(spec.condition_on, generator)

    @abstractmethod
    def forward(
        self, inputs: Float[Tensor, "batch site channel"], features: Features = None
    ) -> Float[Tensor, "batch site parameter"]:
        """The parameters of every site at once, differentiable."""

    @abstractmethod
    def sweep(self, batch: int, features: Features = None) -> Sweep:
        """The same network, to be evaluated site by site on a batch of fixed size; without gradient."""

    @final
    def features(self, conditions: Float[Tensor, "row condition"] | None) -> Features:
        """What the network is told of the conditions."""
        return None if self.encoder is None or conditions is None else self.encoder(conditions)

    @property
    @final
    def like(self) -> Tensor:
        """A parameter: its dtype and device are the network's."""
        return next(self.parameters())


def discrete_values(spec: AutoregressiveSpec, space: Space) -> SiteValues:
    """How variables of spins or categorical spaces enter and are distributed; z2 on spins is a quotient."""
    if space.spec.kind == "spins":
        return SpinValues(quotient="z2" in spec.symmetries)
    if space.spec.num_values is None:
        msg = f"family {spec.family!r} was given {space.spec.kind}; spins or categorical values were expected"
        raise InvalidValueError(msg)
    return CategoricalValues(space.spec.num_values)


def is_frozen(network: nn.Module) -> bool:
    """Whether no weight needs a gradient."""
    return not any(p.requires_grad for p in network.parameters())


def weights_key(network: nn.Module) -> WeightsKey:
    """What is the same as long as the weights lie where they are and, where they are frozen, are what they are."""
    frozen = is_frozen(network)
    return tuple((p.data_ptr(), p._version if frozen and not p.is_inference() else 0) for p in network.parameters())


@final
class Packed(Generic[PackedT]):
    """What sweeps make of the weights of a network; kept while the weights are frozen, else made anew for each sweep.

    Optimizers change weights without a trace that could be looked at (a fused step leaves version counters alone), so
    only weights that need no gradient are taken to stay what they are, as long as those counters and addresses do.
    """

    def __init__(self) -> None:
        self._key: WeightsKey | None = None
        self._packed: PackedT | None = None

    def get(self, network: nn.Module, make: Callable[[], PackedT]) -> PackedT:
        """What ``make`` returns for the weights as they are; without gradient."""
        if not is_frozen(network):
            with torch.no_grad():
                return make()
        key = weights_key(network)
        if self._packed is None or key != self._key:
            with torch.no_grad():
                self._packed = make()
            self._key = key
        return self._packed
