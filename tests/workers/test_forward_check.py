"""When a model is checked against chains of its target, and when nothing is said of it."""

import numpy as np
import pytest

from tests.conformance.simple_models import IndependentValues
from workers.kinds.forward_check import NUM_SAMPLES, ForwardSamples
from zoo.catalog import build_target, states_of
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.ising import IsingSpec

INDEPENDENT = IsingSpec(shape=(3, 3), beta=0.7, J=0.0)
LOG_WEIGHTS = np.zeros(10_000)


def samples(target: TargetSpec, **budget: float) -> ForwardSamples:
    return ForwardSamples(target, states_of(target)({}), seed=1, **budget)


@pytest.fixture
def uniform() -> IndependentValues:
    return IndependentValues(build_target(INDEPENDENT).space)


def test_the_chains_of_a_solved_target_are_weighed(uniform: IndependentValues) -> None:
    found = samples(INDEPENDENT).check(uniform, LOG_WEIGHTS, {"beta": 0.7})
    assert found is not None
    assert found.num_forward_samples == NUM_SAMPLES
    assert found.condition == {"beta": 0.7}
    assert 0 < found.forward_effective_sample_fraction <= 1


def test_chains_that_take_too_long_say_nothing(uniform: IndependentValues) -> None:
    assert samples(INDEPENDENT, budget_seconds=0.0).check(uniform, LOG_WEIGHTS, {}) is None


def test_large_systems_are_not_checked(uniform: IndependentValues) -> None:
    assert samples(IsingSpec(shape=(33, 32))).check(uniform, LOG_WEIGHTS, {}) is None
