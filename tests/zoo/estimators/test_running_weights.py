"""Weights that come in parts say what all of them together say."""

from math import inf, nan

import numpy as np
import pytest

from zoo.estimators.free_energy import importance_beta_f, variational_beta_f
from zoo.estimators.running_weights import MOST_AT_ONCE, RunningWeights, samples_for
from zoo.specs.errors import NumericalError

ESTIMATORS = {"importance": importance_beta_f, "variational": variational_beta_f}


def running(log_weights: np.ndarray, parts: int) -> RunningWeights:
    found = RunningWeights()
    for part in np.array_split(log_weights, parts):
        found.add(part)
    return found


@pytest.mark.parametrize("method", ESTIMATORS)
@pytest.mark.parametrize("parts", [1, 2, 7, 400])
@pytest.mark.parametrize(("mean", "spread"), [(0.0, 0.3), (-5000.0, 2.0), (700.0, 20.0)])
def test_parts_are_the_whole(method: str, parts: int, mean: float, spread: float) -> None:
    log_weights = np.random.default_rng(1).normal(mean, spread, 400)
    found, expected = running(log_weights, parts), ESTIMATORS[method](log_weights)
    assert found.num_samples == 400
    assert found.beta_f(method) == pytest.approx(expected.value, rel=1e-13)
    assert found.standard_error(method) == pytest.approx(expected.standard_error, rel=1e-9)


def test_samples_without_weight_count_as_samples() -> None:
    log_weights = np.array([-inf, 0.3, -inf, 0.1, -0.4, -inf])
    found, expected = running(log_weights, 6), importance_beta_f(log_weights)
    assert found.beta_f("importance") == pytest.approx(expected.value)
    assert found.standard_error("importance") == pytest.approx(expected.standard_error)
    assert found.beta_f("variational") == inf
    assert found.standard_error("variational") == inf


def test_nothing_is_known_of_weights_that_are_all_zero_or_of_one() -> None:
    none = running(np.full(5, -inf), 2)
    assert (none.beta_f("importance"), none.standard_error("importance")) == (inf, inf)
    none.add(np.array([0.0, 1.0]))
    assert none.standard_error("importance") < inf
    assert running(np.array([0.3]), 1).standard_error("importance") == inf


@pytest.mark.parametrize("bad", [nan, inf])
def test_numbers_that_are_none_are_refused(bad: float) -> None:
    with pytest.raises(NumericalError):
        running(np.array([0.0, bad]), 1)


def test_a_million_weights_are_reduced_without_keeping_them() -> None:
    found = RunningWeights()
    rng = np.random.default_rng(2)
    for _ in range(500):
        found.add(rng.normal(-300, 1, 2000))
    assert not any(isinstance(value, np.ndarray) for value in vars(found).values())
    assert found.beta_f("importance") == pytest.approx(299.5, abs=5 * found.standard_error("importance"))
    assert found.standard_error("importance") == pytest.approx((np.expm1(1) / 1e6) ** 0.5, rel=0.1)


def test_errors_fall_with_the_square_root_of_the_number() -> None:
    assert samples_for(1000, 0.02, 0.01) == pytest.approx(4000, rel=0.05)
    assert samples_for(1000, 0.0101, 0.01) > 1000
    assert samples_for(1000, 5.0, 0.01) == MOST_AT_ONCE * 1000
    assert samples_for(1000, inf, 0.01) == MOST_AT_ONCE * 1000
    assert samples_for(1000, 1e-9, 0.01) == 1001
