"""How long the chains of a correction are: a pure function of the number of samples, with floors and a ceiling."""

import pytest

from zoo.specs.corrections import CHAIN_RULES, MAX_DRAWS, Correction, chain_plan, rows_evaluated


@pytest.mark.parametrize("correction", CHAIN_RULES)
@pytest.mark.parametrize("n", [1, 7, 8, 9, 511, 4096, 8192, 8193, 32_768, 32_769, 10**6])
def test_chains_give_enough_samples_and_none_is_too_short_or_too_long(correction: Correction, n: int) -> None:
    rule, plan = CHAIN_RULES[correction], chain_plan(CHAIN_RULES[correction], n)
    given = plan.groups * plan.chains * plan.draws
    assert n <= given < n + plan.groups * plan.chains
    assert plan.chains == rule.chains
    assert plan.draws <= MAX_DRAWS
    assert plan.steps == plan.draws * plan.thin >= rule.least_steps
    assert (plan.draws * (plan.thin - 1) < rule.least_steps) or plan.thin == 1, "no further apart than they must be"
    assert plan.burn_in >= max(rule.least_burn_in, plan.steps // 4)
    assert plan.all_steps == plan.groups * (plan.burn_in + plan.steps)
    assert rows_evaluated(correction, n) == plan.all_steps * rule.chains * rule.rows_per_step


def test_few_samples_cost_as_much_as_many() -> None:
    assert rows_evaluated("metropolis", 1) == rows_evaluated("metropolis", 4096) == 8 * (128 + 512)
    assert rows_evaluated("latent_hmc", 1) == rows_evaluated("latent_hmc", 4096)
    assert rows_evaluated("none", 5) == rows_evaluated("importance", 5) == 5
