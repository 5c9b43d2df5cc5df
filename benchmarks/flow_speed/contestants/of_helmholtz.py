"""Our own flows, with the activation that the libraries' networks have."""

from collections.abc import Callable
from itertools import count

from torch import Tensor, nn

from zoo.catalog import build_model
from zoo.core.random import RandomStream
from zoo.core.spaces import build_space
from zoo.models.paths import differentiable
from zoo.specs.models.flow import Activation, CouplingSpec
from zoo.specs.models.realnvp import RealNvpSpec
from zoo.specs.models.spline_flow import SplineFlowSpec
from zoo.specs.spaces import SpaceSpec


def build(
    kind: str, sites: int, couplings: int, hidden: int, bins: int, activation: Activation = "relu"
) -> tuple[nn.Module, Callable[[int], tuple[Tensor, Tensor]], Callable[[Tensor], Tensor]]:
    """The flow, its samples with ln q, and ln q of given rows; every batch has random numbers of its own."""
    spec: CouplingSpec = RealNvpSpec(couplings=couplings, width=hidden, depth=2, activation=activation)
    if kind == "spline":
        spec = SplineFlowSpec(couplings=couplings, width=hidden, depth=2, bins=bins, activation=activation)
    model = build_model(spec, build_space(SpaceSpec(kind="reals", event_shape=(sites,))), seed=1)
    sampler, numbers = differentiable(model), count()
    if sampler is None:
        raise TypeError(kind)
    return model, lambda n: sampler.differentiable_sample(n, RandomStream(next(numbers))), model.log_prob
