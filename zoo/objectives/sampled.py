"""What an estimator of the gradient of an average over a model's own samples is given."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import final

import torch
from jaxtyping import Float, Num
from torch import Tensor

from zoo.core.models import Weighable, density_of
from zoo.core.random import RandomStream
from zoo.core.targets import States
from zoo.models.paths import differentiable


@final
@dataclass(frozen=True)
class Penalty:
    """w <ln q(x) - ln q(g x)>_q: its weight w, and ``image``, which gives g x with one fixed g for each row."""

    weight: float
    image: Callable[[Num[Tensor, "batch *event"]], Num[Tensor, "batch *event"]]


@final
@dataclass(frozen=True)
class Sampled:
    """Samples x of a model and f(x) = u(x) + ln q(x), with w (ln q(x) - ln q(g x)) added where there is a penalty.

    ``f`` is float64 and detached; ``log_prob`` = ln q(x) is differentiable in the weights.  Of a model without it, l.
    """

    model: Weighable
    states: States
    x: Num[Tensor, "batch *event"]
    f: Float[Tensor, " batch"]
    log_prob: Float[Tensor, " batch"]
    penalty: Penalty | None = None
    path: Float[Tensor, "batch *event"] | None = None
    """The same samples as a differentiable function of the weights, from models that draw so."""


def drawn(
    model: Weighable, num_samples: int, rng: RandomStream, *, moving: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Samples x without gradient, ln q with one, and x as a function of the weights where ``moving`` asks for it.

    The last is None for models that do not draw in one differentiable pass.
    """
    sampler = differentiable(model) if moving else None
    if sampler is None:
        x = model.sample(num_samples, rng)
        return x, density_of(model).log_prob(x), None
    path, log_prob = sampler.differentiable_sample(num_samples, rng)
    return path.detach(), log_prob, path


def energy_parts(f: Tensor, reduced_energy: Tensor, log_prob: Tensor, states: States) -> dict[str, Float[Tensor, ""]]:
    """Averages over all states: <f> with f = u + ln q, its standard error, <u> and <ln q>; dimensionless, detached."""
    spread = f.view(states.groups, -1).var(1).mean().sqrt()
    return {
        "variational_beta_f": f.mean(),
        "standard_error": spread / len(f) ** 0.5,
        "reduced_energy": reduced_energy.mean(),
        "log_prob": log_prob.mean(),
    }


def relative_log_weights(log_weights: Float[Tensor, " batch"], groups: int) -> Float[Tensor, " batch"]:
    """Log-weights, those of several states each relative to their state's mean weight."""
    if groups == 1:
        return log_weights
    by_state = log_weights.view(groups, -1)
    mean = torch.logsumexp(by_state, 1, keepdim=True) - log(by_state.shape[1])
    return (by_state - mean).flatten()
