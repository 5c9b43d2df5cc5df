"""Heat bath (Gibbs sampling): each site is drawn from its distribution given all others.

A spin takes its new value with probability 1 / (1 + exp(beta dE)), where dE is what changing to it costs: the rate of
Glauber, J. Math. Phys. 4, 294 (1963).  A Potts variable takes value v with a probability proportional to
exp(beta J n_v), n_v being the number of neighbours that have it: Creutz, Phys. Rev. D 21, 2308 (1980).
"""

from typing import final

import numpy as np
from jaxtyping import Float64
from scipy.special import expit

from zoo.core.targets import PairwiseSpins, Target
from zoo.samplers.base import Beta
from zoo.samplers.local_updates import LocalUpdates, SiteRule
from zoo.samplers.potts_values import ConditionalValues
from zoo.samplers.spin_flips import spin_rule
from zoo.specs.errors import InvalidValueError
from zoo.specs.samplers import HeatBathSpec
from zoo.targets.potts import Potts


@final
class HeatBath(LocalUpdates):
    """Markov chains of single-site heat bath updates on spins with pair interactions, or on Potts variables."""

    def __init__(self, spec: HeatBathSpec, target: Target, beta: Beta) -> None:
        super().__init__(target, beta, _rule(target, beta))
        self.spec = spec


def heat_bath_rate(reduced_cost: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """1 / (1 + exp(x)) of x = beta dE."""
    rate: Float64[np.ndarray, "*shape"] = expit(-reduced_cost)
    return rate


def _rule(target: Target, beta: Beta) -> SiteRule:
    if isinstance(target, PairwiseSpins):
        return spin_rule(target, beta, heat_bath_rate)
    if isinstance(target, Potts):
        return ConditionalValues(target, beta)
    msg = f"the heat bath draws spins with pair interactions and Potts variables; {type(target).__name__} came"
    raise InvalidValueError(msg)
