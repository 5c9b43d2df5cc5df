"""Metropolis sampling of lattices of spins or of Potts variables.

Metropolis et al., J. Chem. Phys. 21, 1087 (1953).  A change of one site that costs dE is made with probability

    w(beta dE) = a min(1, exp(-beta dE)),      a = 7/8.

A change is the flip of a spin, or any of the q - 1 other values of a Potts variable.  Each update obeys detailed
balance with p = exp(-beta E) / Z for any a in (0, 1].  With a = 1 flips that cost nothing would be certain, and a sweep
at beta = 0 would be the flip of the whole lattice, for ever; a < 1 mixes always.
"""

from typing import final

import numpy as np
from jaxtyping import Float64

from zoo.core.targets import PairwiseSpins, Target
from zoo.samplers.base import Beta
from zoo.samplers.local_updates import LocalUpdates, SiteRule
from zoo.samplers.potts_values import ProposedValues
from zoo.samplers.spin_flips import spin_rule
from zoo.specs.errors import InvalidValueError
from zoo.specs.samplers import MetropolisSpec
from zoo.targets.potts import Potts

PROPOSAL_PROBABILITY = 0.875
"""a: the chance that a change is proposed; 7/8 is exact in binary."""


@final
class Metropolis(LocalUpdates):
    """Markov chains of single-site Metropolis updates on spins with pair interactions, or on Potts variables."""

    def __init__(self, spec: MetropolisSpec, target: Target, beta: Beta) -> None:
        super().__init__(target, beta, _rule(target, beta))
        self.spec = spec


def metropolis_rate(reduced_cost: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """A min(1, exp(-x)) of x = beta dE."""
    rate: Float64[np.ndarray, "*shape"] = PROPOSAL_PROBABILITY * np.exp(-np.maximum(reduced_cost, 0))
    return rate


def _rule(target: Target, beta: Beta) -> SiteRule:
    if isinstance(target, PairwiseSpins):
        return spin_rule(target, beta, metropolis_rate)
    if isinstance(target, Potts):
        return ProposedValues(target, beta, metropolis_rate)
    msg = f"Metropolis changes spins with pair interactions and Potts variables; {type(target).__name__} came"
    raise InvalidValueError(msg)
