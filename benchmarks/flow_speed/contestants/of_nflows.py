"""nflows: coupling transforms with a plain network."""

from collections.abc import Callable

import torch
from nflows.distributions.normal import StandardNormal
from nflows.flows.base import Flow
from nflows.transforms.base import CompositeTransform
from nflows.transforms.coupling import AffineCouplingTransform, PiecewiseRationalQuadraticCouplingTransform
from torch import Tensor, nn


class Network(nn.Module):
    """Two hidden layers."""

    def __init__(self, inputs: int, outputs: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
        )

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The parameters; there is no context."""
        found: Tensor = self.layers(x)
        return found


def build(
    kind: str, sites: int, couplings: int, hidden: int, bins: int
) -> tuple[nn.Module, Callable[[int], tuple[Tensor, Tensor]], Callable[[Tensor], Tensor]]:
    """The flow, its samples with ln q, and ln q of given rows."""
    transforms: list[nn.Module] = []
    for layer in range(couplings):
        mask = (torch.arange(sites) % 2 == layer % 2).float()

        def network(inputs: int, outputs: int) -> nn.Module:
            return Network(inputs, outputs, hidden)

        if kind == "spline":
            spline = PiecewiseRationalQuadraticCouplingTransform(
                mask, network, num_bins=bins, tails="linear", tail_bound=5.0
            )
            transforms.append(spline)
        else:
            transforms.append(AffineCouplingTransform(mask, network))
    flow = Flow(CompositeTransform(transforms), StandardNormal([sites]))
    return flow, flow.sample_and_log_prob, flow.log_prob
