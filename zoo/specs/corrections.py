"""How samples of a model are made samples of its target, and how long the chains are that do it."""

from dataclasses import dataclass
from math import ceil
from typing import Literal

from zoo.specs.samplers import HmcSpec

Correction = Literal["none", "importance", "metropolis", "latent_hmc"]
"""``importance``: the model's own samples with their weights.  ``metropolis``: chains whose proposals are the model's
samples.  ``latent_hmc``: chains of trajectories in the latent space of a flow."""

LATENT_HMC = HmcSpec(num_leapfrog=5)
"""Trajectories in a latent space, where a good flow makes the target nearly a normal distribution of unit width."""

MAX_DRAWS = 1024
"""Most configurations that one chain gives; for more samples there are more groups of chains."""

_ROWS_OF_A_GRADIENT = 3  # forwards and backwards, in units of drawing a row with its likelihood


@dataclass(frozen=True)
class ChainRule:
    """What the chains of a correction have in common, whatever the number of samples."""

    chains: int
    """Chains of a group: of the same number for every request, since a batch's size decides how products round."""
    least_burn_in: int
    least_steps: int
    """A chain is that long at least, so that its autocorrelation can be seen; few samples are taken far apart."""
    rows_per_step: int
    """Evaluations of the model that one step of a chain takes."""


CHAIN_RULES: dict[Correction, ChainRule] = {
    "metropolis": ChainRule(chains=8, least_burn_in=128, least_steps=512, rows_per_step=1),
    "latent_hmc": ChainRule(
        chains=32,
        least_burn_in=64,
        least_steps=128,
        rows_per_step=_ROWS_OF_A_GRADIENT * LATENT_HMC.num_leapfrog + 2,
    ),
}


@dataclass(frozen=True)
class ChainPlan:
    """The chains that a request for so many samples runs, a pure function of their number.

    Each of ``groups`` groups of ``chains`` chains makes ``burn_in`` steps, then keeps ``draws`` configurations of each
    chain, ``thin`` steps apart.  Samples are ordered by group, then by draw, then by chain.
    """

    groups: int
    chains: int
    burn_in: int
    draws: int
    thin: int

    @property
    def steps(self) -> int:
        """Steps of a chain after its burn-in."""
        return self.draws * self.thin

    @property
    def all_steps(self) -> int:
        """Steps of all groups, their burn-in included: what progress is counted in."""
        return self.groups * (self.burn_in + self.steps)


def chain_plan(rule: ChainRule, num_samples: int) -> ChainPlan:
    """The plan for ``num_samples`` samples: burn-in is a quarter of the rest, and never less than the rule's."""
    groups = ceil(num_samples / (rule.chains * MAX_DRAWS))
    draws = ceil(num_samples / (rule.chains * groups))
    thin = ceil(rule.least_steps / draws)
    return ChainPlan(groups, rule.chains, max(rule.least_burn_in, draws * thin // 4), draws, thin)


def rows_evaluated(correction: Correction, num_samples: int) -> int:
    """Evaluations of the model that ``num_samples`` corrected samples take: what their cost is in proportion to."""
    rule = CHAIN_RULES.get(correction)
    if rule is None:
        return num_samples
    plan = chain_plan(rule, num_samples)
    return plan.all_steps * plan.chains * rule.rows_per_step
