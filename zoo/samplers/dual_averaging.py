"""Step sizes found by dual averaging: Hoffman and Gelman, JMLR 15, 1593 (2014), section 3.2.

With the acceptance probability alpha_t of step t = 1, 2, .. and the wanted one delta,

    H_t = (1 - 1 / (t + t0)) H_{t-1} + (delta - alpha_t) / (t + t0)
    ln e_t = mu - sqrt(t) / gamma H_t,      ln ebar_t = t^-kappa ln e_t + (1 - t^-kappa) ln ebar_{t-1}      (eq. 6),

mu = ln(10 e_0).  Steps are tried with e_t while it adapts; ebar is what remains.  Chains at one temperature form a
group: alpha_t is their mean, so that they share one step size and its noise is small.
"""

from dataclasses import dataclass, replace
from math import inf, log

import torch
from jaxtyping import Float, Float64
from torch import Tensor

GAMMA, T0, KAPPA = 0.05, 10.0, 0.75
"""gamma, t0 and kappa of the paper's section 3.2.1."""

_LARGEST_RATIO = log(1e6)  # to 10 e_0: where nothing is ever rejected, step sizes would grow without end


@dataclass(frozen=True)
class DualAveraging:
    """Where the adaptation of each group's step size is after ``count`` steps."""

    center: Float64[Tensor, " group"]
    log_step: Float64[Tensor, " group"]
    log_average: Float64[Tensor, " group"]
    statistic: Float64[Tensor, " group"]
    count: int
    largest: float
    """The largest ln e: beyond a period of a periodic coordinate no step has a meaning."""

    @property
    def exploring(self) -> Float64[Tensor, " group"]:
        """The step sizes to try next while adapting."""
        return self.log_step.exp()

    @property
    def adapted(self) -> Float64[Tensor, " group"]:
        """The step sizes to keep; before any adaptation those it started with."""
        return self.log_average.exp()


def started(
    step_size: float, num_groups: int, largest: float = inf, device: torch.device | str = "cpu"
) -> DualAveraging:
    """The adaptation of ``num_groups`` step sizes, none ever above ``largest``, before its first step."""
    limit = min(log(largest), log(10 * step_size) + _LARGEST_RATIO)
    log_step = torch.full((num_groups,), min(log(step_size), limit), dtype=torch.float64, device=device)
    return DualAveraging(log_step + log(10), log_step, log_step, torch.zeros_like(log_step), 0, limit)


def updated(before: DualAveraging, acceptance: Float[Tensor, " group"], wanted: float) -> DualAveraging:
    """The adaptation after one more step, which was accepted with these mean probabilities."""
    t = before.count + 1
    share = 1 / (t + T0)
    statistic = (1 - share) * before.statistic + share * (wanted - acceptance)
    log_step = before.center - t**0.5 / GAMMA * statistic
    log_step = log_step.clamp(max=before.largest)
    weight = t**-KAPPA
    average = weight * log_step + (1 - weight) * before.log_average
    return replace(before, log_step=log_step, log_average=average, statistic=statistic, count=t)
