"""The score-function gradient of an average over a model's own samples, and what makes it less noisy."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float, Num
from torch import Tensor

from zoo.core.models import SequentialDensity, Weighable
from zoo.specs.errors import CapabilityMissingError, InvalidValueError

Baseline = Literal["leave_one_out", "batch_mean", "control_variate", "none"]


def score_function_mean(
    f: Float[Tensor, " batch"], log_prob: Float[Tensor, " batch"], groups: int, baseline: Baseline
) -> Float[Tensor, ""]:
    """Mean f, whose gradient is < (f(x_i) - b_i) grad ln q(x_i) > with a baseline b that is the same for all sites.

    ``f`` is detached.  With several ``groups`` of rows the baseline is that of the row's own group.  The leave-one-out
    baseline of sample i does not depend on x_i, so the gradient is unbiased: f_i - mean_{j != i} f_j equals
    (f_i - mean f) n / (n - 1).  The batch mean leaves out the last factor.

    Source: Williams, Machine Learning 8, 229 (1992); baseline: Mnih and Rezende, arXiv:1602.06725.
    """
    advantage = _ADVANTAGES[baseline](f.view(groups, -1)).flatten()
    surrogate = (advantage * log_prob).sum() / len(f)
    return f.mean() + surrogate - surrogate.detach()


def control_variate_mean(
    f: Float[Tensor, " batch"], model: Weighable, x: Num[Tensor, "batch *event"], groups: int
) -> Float[Tensor, ""]:
    """Mean f, whose gradient is < sum_i (f - a_i - c_i l_i) grad ln q(x_i | earlier) >, l_i = ln q(earlier sites).

    l_i does not depend on x_i, so any a_i and c_i leave the gradient what it is; those of each half of a group are the
    least-squares fit of f on the other half, hence independent of it.

    Raises:
        CapabilityMissingError: the model is not a product over sites.
        InvalidValueError: fewer than 6 samples for each state.
    """
    if not isinstance(model, SequentialDensity):
        msg = (
            "baseline 'control_variate' needs a likelihood that is a product over sites; an average over images is not"
        )
        raise CapabilityMissingError(msg)
    if len(f) < 6 * groups:
        msg = f"baseline 'control_variate' needs at least 6 samples for each state; {len(f)} for {groups} came"
        raise InvalidValueError(msg)
    log_prob = model.site_log_prob(x)
    earlier = (log_prob.detach().cumsum(1) - log_prob.detach()).view(groups, -1, log_prob.shape[1])
    values = f.view(groups, -1, 1)
    half = values.shape[1] // 2
    advantage = torch.cat(
        [
            _residual(values[:, :half], earlier[:, :half], values[:, half:], earlier[:, half:]),
            _residual(values[:, half:], earlier[:, half:], values[:, :half], earlier[:, :half]),
        ],
        dim=1,
    )
    surrogate = (advantage.flatten(0, 1) * log_prob).sum() / len(f)
    return f.mean() + surrogate - surrogate.detach()


def _residual(f: Tensor, earlier: Tensor, f_fitted: Tensor, earlier_fitted: Tensor) -> Tensor:
    """The residual f - a_i - c_i l_i with a_i and c_i fitted to other samples; c_i = 0 where l_i does not vary."""
    mean_l, mean_f = earlier_fitted.mean(1, keepdim=True), f_fitted.mean(1, keepdim=True)
    deviation = earlier_fitted - mean_l
    variance = deviation.square().mean(1, keepdim=True)
    covariance = (deviation * (f_fitted - mean_f)).mean(1, keepdim=True)
    slope = torch.where(variance > 1e-12, covariance / variance.clamp_min(1e-12), 0.0)
    return f - mean_f - slope * (earlier - mean_l)


def _leave_one_out(f: Tensor) -> Tensor:
    n = f.shape[1]
    return (f - f.mean(1, keepdim=True)) * (n / (n - 1))


_ADVANTAGES: dict[str, Callable[[Tensor], Tensor]] = {
    "leave_one_out": _leave_one_out,
    "batch_mean": lambda f: f - f.mean(1, keepdim=True),
    "none": lambda f: f,
}
