"""zuko: coupling transforms."""

from collections.abc import Callable

import zuko
from torch import Tensor, nn


def build(
    kind: str, sites: int, couplings: int, hidden: int, bins: int
) -> tuple[nn.Module, Callable[[int], tuple[Tensor, Tensor]], Callable[[Tensor], Tensor]]:
    """The flow, its samples with ln q, and ln q of given rows."""
    layers = {"transforms": couplings, "hidden_features": (hidden, hidden)}
    if kind == "spline":
        flow = zuko.flows.NSF(sites, bins=bins, passes=2, **layers)
    else:
        flow = zuko.flows.RealNVP(sites, **layers)
    return flow, lambda n: flow().rsample_and_log_prob((n,)), lambda x: flow().log_prob(x)
