"""Samples follow exp(log_prob): Pearson's chi-square over all configurations of a 3 x 3 lattice."""

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from tests.conformance.cases import DISCRETE_CASES, ModelCase
from zoo.core.models import IndependentSites, Model
from zoo.core.random import RandomStream
from zoo.core.spaces import DiscreteSpace

SHAPE = (3, 3)
NUM_SAMPLES = 40_000
FALSE_ALARM_RATE = 1e-4
LEAST_EXPECTED = 5.0
CASES = tuple(case for case in DISCRETE_CASES if case.state == "scrambled")
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def classes(expected: Tensor) -> Tensor:
    """The class of each configuration: as many neighbours in the enumeration as make LEAST_EXPECTED together.

    Neighbours differ in the first sites, so that what the last sites depend on is still seen.
    """
    number, total, members = 0, 0.0, []
    for value in expected.tolist():
        if total >= LEAST_EXPECTED:
            number, total = number + 1, 0.0
        total += value
        members.append(number)
    last = number - 1 if total < LEAST_EXPECTED and number else number
    return torch.tensor(members).clamp_max(last)


def chi_square_p_value(samples: Tensor, model: Model, space: DiscreteSpace) -> float:
    """Probability of a larger chi-square."""
    with torch.no_grad():
        expected = model.log_prob(space.enumerate()).exp() * len(samples)
    q = space.num_values
    value = samples.flatten(1).long()
    value = (value + 1) // 2 if space.spec.kind == "spins" else value
    index = (value * q ** torch.arange(value.shape[1])).sum(1)
    observed = torch.bincount(index, minlength=len(expected)).double()
    member = classes(expected)
    summed = [torch.zeros(int(member.max()) + 1).double().index_add(0, member, part) for part in (expected, observed)]
    statistic = ((summed[1] - summed[0]) ** 2 / summed[0]).sum()
    return float(chi2.sf(float(statistic), len(summed[0]) - 1))


@every_case
def test_samples_follow_the_density(case: ModelCase) -> None:
    model = case.model(SHAPE)
    samples = model.sample(NUM_SAMPLES, RandomStream(11))
    assert chi_square_p_value(samples, model, case.discrete_space(SHAPE)) > FALSE_ALARM_RATE


@every_case
def test_a_sampler_whose_last_row_ignores_the_others_is_caught(case: ModelCase) -> None:
    model = case.model(SHAPE)
    samples = model.sample(NUM_SAMPLES, RandomStream(11))
    samples[:, -1] = samples[:, -1].roll(1, 0)
    p_value = chi_square_p_value(samples, model, case.discrete_space(SHAPE))
    assert (p_value < FALSE_ALARM_RATE) != isinstance(model, IndependentSites)


@every_case
def test_samples_of_slightly_different_weights_are_caught(case: ModelCase) -> None:
    model, other = case.model(SHAPE), case.model(SHAPE)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.8)
    samples = other.sample(NUM_SAMPLES, RandomStream(11))
    assert chi_square_p_value(samples, model, case.discrete_space(SHAPE)) < FALSE_ALARM_RATE
