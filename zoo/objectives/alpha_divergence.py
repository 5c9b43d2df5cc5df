"""The alpha-divergence: a family of distances between the target and the model, from the model's own samples."""

from math import log
from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from zoo.core.models import Weighable
from zoo.core.random import RandomStream
from zoo.models.paths import differentiable
from zoo.objectives.base import Batch, Loss, Objective
from zoo.objectives.path_wise import path_wise_sum
from zoo.objectives.sampled import Sampled, drawn, energy_parts, relative_log_weights
from zoo.specs.errors import InvalidValueError
from zoo.specs.objectives import AlphaDivergenceSpec


@final
class AlphaDivergence(Objective):
    """A = ln <(p / q)^alpha>_q / (alpha (alpha - 1)) >= 0 in nats, and 0 only where q = p.

    A is a monotone function of Amari's D = (<(p / q)^alpha>_q - 1) / (alpha (alpha - 1)), and 1 / alpha of Renyi's
    divergence; its limits are KL(q || p) at alpha -> 0 and KL(p || q) at alpha -> 1, and at alpha = 2 it is half the
    logarithm of the inverse effective sample fraction.

    With w = exp(-u - ln q) of the samples and v_i = w_i^alpha / sum_j w_j^alpha, the gradient in the weights is
    -1/alpha sum_i (v_i - 1/n) grad ln q(x_i) at fixed x_i, where 1/n is a control variate of mean zero, or along the
    paths of the samples sum_i v_i (dx_i / dweights)^T grad_x (u + ln q)(x_i).  Either vanishes sample by sample where
    q = p.

    It is biased by design: v is divided by a sum over the same samples, which makes an error of order 1/n.

    Source: Mueller, McWilliams, Rousselle, Gross, Novak, arXiv:1808.03856, section 5.2; paths: Tucker, Lawson, Gu,
    Maddison, arXiv:1810.04152; of flows, with alpha 2: Midgley et al., arXiv:2208.01893.
    """

    def __init__(self, spec: AlphaDivergenceSpec) -> None:
        self.spec = spec

    def __call__(self, model: Weighable, batch: Batch, rng: RandomStream) -> Loss:
        """The loss on ``batch.num_samples`` >= 2 samples for each of ``batch.states``, each with weights of its own.

        ``parts``: ``alpha_divergence`` = A estimated with <w> for Z, never negative and too low for few samples, and
        those of ``reverse_kl``: ``variational_beta_f``, ``standard_error``, ``reduced_energy`` and ``log_prob``.
        """
        if batch.states is None:
            msg = "objective 'alpha_divergence' averages an energy, and there is no target"
            raise InvalidValueError(msg)
        alpha, groups = self.spec.alpha, batch.states.groups
        moving = self._moves(model)
        x, log_prob, path = drawn(model, batch.num_samples, rng, moving=moving)
        reduced_energy = batch.states.reduced_energy(x)
        f = reduced_energy + log_prob.detach()
        divergence = _divergence(-f.view(groups, -1), alpha)
        shares = torch.softmax(-alpha * f.view(groups, -1), 1).flatten() / groups
        if moving:
            surrogate = path_wise_sum(Sampled(model, batch.states, x, f, log_prob, path=path), shares)
        else:
            surrogate = -((shares - 1 / len(f)) * log_prob).sum() / alpha
        parts = energy_parts(f, reduced_energy, log_prob.detach(), batch.states)
        return Loss(
            divergence + surrogate - surrogate.detach(),
            relative_log_weights(-f, groups),
            parts | {"alpha_divergence": divergence},
        )

    def _moves(self, model: Weighable) -> bool:
        """Whether the gradient goes along the paths of the samples."""
        if self.spec.gradient == "auto":
            return differentiable(model) is not None
        return self.spec.gradient == "path_wise"


def _divergence(log_weights: Float64[Tensor, "state sample"], alpha: float) -> Float[Tensor, ""]:
    """(ln <w^alpha> - alpha ln <w>) / (alpha (alpha - 1)), averaged over the states."""
    count = log(log_weights.shape[1])
    powers = torch.logsumexp(alpha * log_weights, 1) - count
    return ((powers - alpha * (torch.logsumexp(log_weights, 1) - count)) / (alpha * (alpha - 1))).mean()
