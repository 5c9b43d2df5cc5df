"""normflows: coupling blocks with halves that are exchanged."""

from collections.abc import Callable

import normflows
from torch import Tensor, nn


def build(
    kind: str, sites: int, couplings: int, hidden: int, bins: int
) -> tuple[nn.Module, Callable[[int], tuple[Tensor, Tensor]], Callable[[Tensor], Tensor]]:
    """The flow, its samples with ln q, and ln q of given rows."""
    flows: list[nn.Module] = []
    for layer in range(couplings):
        if kind == "spline":
            reverse = layer % 2 == 1
            flows.append(
                normflows.flows.CoupledRationalQuadraticSpline(
                    sites, 1, hidden, num_bins=bins, tail_bound=5, reverse_mask=reverse
                )
            )
        else:
            network = normflows.nets.MLP([sites // 2, hidden, hidden, sites], init_zeros=True)
            flows += [normflows.flows.AffineCouplingBlock(network), normflows.flows.Permute(sites, mode="swap")]
    model = normflows.NormalizingFlow(normflows.distributions.base.DiagGaussian(sites), flows)
    return model, model.sample, model.log_prob
