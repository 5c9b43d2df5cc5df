"""The path-wise gradient of an average over a model's own samples: through the samples."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from zoo.core.models import density_of
from zoo.models.paths import reparametrised
from zoo.objectives.sampled import Sampled
from zoo.specs.errors import CapabilityMissingError


def path_wise_mean(sampled: Sampled) -> Float[Tensor, ""]:
    """Mean f, whose gradient is < (dx / dweights)^T grad_x f(x) > for samples x = T(u) with u fixed.

    The derivative of ln q in the weights at fixed x is left out, since its average is zero: what is left vanishes
    sample by sample where q = p.  That of a penalty's ln q(g x) at fixed x is not zero and not in here.

    Weights of modes that are far apart change by moving mass through the gap between them, where samples are rare and
    dx / dweights is large: the score function learns those better.

    Source: Roeder, Wu, Duvenaud, arXiv:1703.09194.

    Raises:
        CapabilityMissingError: a model whose samples are no differentiable function of its weights, or a target without
            forces.
    """
    surrogate = path_wise_sum(sampled, torch.ones_like(sampled.f)) / len(sampled.f)
    return sampled.f.mean() + surrogate - surrogate.detach()


def path_wise_sum(sampled: Sampled, weights: Float[Tensor, " batch"]) -> Float[Tensor, ""]:
    """A number whose gradient is sum_i w_i (dx_i / dweights)^T grad_x f(x_i); only its gradient has a meaning.

    Raises:
        CapabilityMissingError: as ``path_wise_mean``.
    """
    if sampled.path is not None:
        return (sampled.path * _gradient(sampled, weights)).sum()
    path = reparametrised(sampled.model)
    if path is None:
        kind = sampled.model.space.spec.kind
        msg = (
            f"gradient 'path_wise' was asked of a model of {kind} whose samples its weights cannot move; it needs real "
            "variables with continuous conditionals; use 'score_function'"
        )
        raise CapabilityMissingError(msg)
    return path.pull_back(sampled.x, _gradient(sampled, weights))


def _gradient(sampled: Sampled, weights: Float[Tensor, " batch"]) -> Float64[Tensor, "batch *event"]:
    """W grad_x f(x) of each sample."""
    force = sampled.states.reduced_force(sampled.x)
    position = sampled.x.detach().clone().requires_grad_()
    density = density_of(sampled.model)
    value = density.log_prob(position)
    if sampled.penalty is not None:
        value = value + sampled.penalty.weight * (value - density.log_prob(sampled.penalty.image(position)))
    (gradient,) = torch.autograd.grad(value.sum(), position)
    return weights.view(-1, *[1] * (force.ndim - 1)) * (gradient.double() - force)
