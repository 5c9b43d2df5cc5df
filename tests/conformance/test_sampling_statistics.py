"""Samples follow exp(log_prob): Pearson's chi-square over all 512 configurations of a 3 x 3 lattice."""

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from tests.conformance.cases import SCRAMBLED_CASES, ModelCase, spins
from zoo.core.models import Model
from zoo.core.random import RandomStream

SHAPE = (3, 3)
NUM_SAMPLES = 40_000
FALSE_ALARM_RATE = 1e-4


def chi_square_p_value(samples: Tensor, model: Model) -> float:
    """Probability of a larger chi-square; configurations expected less than five times are one class."""
    with torch.no_grad():
        expected = model.log_prob(spins(SHAPE).enumerate()).exp() * len(samples)
    weights = 2 ** torch.arange(9)
    index = ((samples.flatten(1).long() + 1) // 2 * weights).sum(1)
    observed = torch.bincount(index, minlength=512).double()
    rare = expected < 5
    expected = torch.cat([expected[~rare], expected[rare].sum()[None]])
    observed = torch.cat([observed[~rare], observed[rare].sum()[None]])
    occupied = expected > 0
    statistic = ((observed - expected)[occupied] ** 2 / expected[occupied]).sum()
    return float(chi2.sf(float(statistic), int(occupied.sum()) - 1))


@pytest.mark.parametrize("case", SCRAMBLED_CASES, ids=str)
def test_samples_follow_the_density(case: ModelCase) -> None:
    model = case.model(SHAPE)
    assert chi_square_p_value(model.sample(NUM_SAMPLES, RandomStream(11)), model) > FALSE_ALARM_RATE


@pytest.mark.parametrize("case", SCRAMBLED_CASES, ids=str)
def test_a_sampler_whose_last_spin_ignores_the_others_is_caught(case: ModelCase) -> None:
    model = case.model(SHAPE)
    samples = model.sample(NUM_SAMPLES, RandomStream(11))
    samples[:, -1, -1] = samples[:, -1, -1].roll(1)
    assert chi_square_p_value(samples, model) < FALSE_ALARM_RATE


@pytest.mark.parametrize("case", SCRAMBLED_CASES, ids=str)
def test_samples_of_slightly_different_weights_are_caught(case: ModelCase) -> None:
    model, other = case.model(SHAPE), case.model(SHAPE)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.9)
    assert chi_square_p_value(other.sample(NUM_SAMPLES, RandomStream(11)), model) < FALSE_ALARM_RATE
