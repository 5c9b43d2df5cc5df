"""The reverse Kullback-Leibler divergence: the variational free energy."""

from typing import final

from torch import Tensor

from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.targets import ThermodynamicState
from zoo.objectives.base import Loss, Objective
from zoo.specs.objectives import ReverseKlSpec


@final
class ReverseKl(Objective):
    """<f>_q with f = beta E(x) + ln q(x): KL(q || p) - ln Z, hence an upper bound on beta_f = -ln Z.

    Its gradient is that of the score function with the mean of the other samples as baseline,

        grad = < (f(x_i) - mean_{j != i} f(x_j)) grad ln q(x_i) >,

    which is unbiased (the baseline of sample i does not depend on x_i) and vanishes sample by sample where q = p.  The
    samples come from the model without gradient; ``value`` is mean f, with this gradient.

    Source: Wu, Wang, Zhang, PRL 122, 080602 (2019), eq. 3; baseline: Mnih and Rezende, arXiv:1602.06725.
    """

    def __init__(self, spec: ReverseKlSpec) -> None:
        self.spec = spec

    def __call__(self, model: Model, state: ThermodynamicState, batch_size: int, rng: RandomStream) -> Loss:
        """The loss on ``batch_size`` >= 2 samples.

        ``parts``: ``variational_beta_f`` = <f>, its ``standard_error``, ``reduced_energy`` = <beta E>, ``log_prob`` =
        <ln q>; dimensionless, detached.
        """
        x = model.sample(batch_size, rng)
        log_prob = model.log_prob(x)
        reduced_energy = state.reduced_energy(x)
        f = reduced_energy + log_prob.detach()
        parts = {
            "variational_beta_f": f.mean(),
            "standard_error": f.std() / batch_size**0.5,
            "reduced_energy": reduced_energy.mean(),
            "log_prob": log_prob.detach().mean(),
        }
        return Loss(_score_function_mean(f, log_prob), -f, parts)


def _score_function_mean(f: Tensor, log_prob: Tensor) -> Tensor:
    """Mean f, whose gradient is the leave-one-out estimate: f_i - mean_{j != i} f_j = (f_i - mean f) n / (n - 1)."""
    advantage = (f - f.mean()) / (len(f) - 1)
    surrogate = (advantage * log_prob).sum()
    return f.mean() + surrogate - surrogate.detach()
