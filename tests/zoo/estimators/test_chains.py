"""Errors along chains whose autocorrelation is known exactly."""

from math import sqrt

import numpy as np
import pytest

from zoo.estimators.chains import chain_average, chain_heat_capacity, r_hat
from zoo.specs.errors import InvalidValueError, NumericalError


def autoregressive(rng: np.random.Generator, chains: int, draws: int, rho: float) -> np.ndarray:
    """x_t = rho x_{t-1} + noise with unit variance: n draws are worth n (1 - rho) / (1 + rho) independent ones."""
    x = np.empty((chains, draws))
    x[:, 0] = rng.normal(size=chains)
    for t in range(1, draws):
        x[:, t] = rho * x[:, t - 1] + sqrt(1 - rho**2) * rng.normal(size=chains)
    return x


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9, -0.5])
def test_effective_sample_size_is_that_of_the_autoregression(rho: float) -> None:
    x = autoregressive(np.random.default_rng(1), 8, 5000, rho)
    found = chain_average(x)
    assert found.effective_sample_size == pytest.approx(x.size * (1 - rho) / (1 + rho), rel=0.15)
    assert found.reliable
    assert abs(found.value) < 4 * float(found.standard_error or 0)


def test_error_bars_cover_the_truth_and_naive_ones_do_not() -> None:
    rng, repetitions, rho = np.random.default_rng(2), 400, 0.8
    x = [autoregressive(rng, 4, 500, rho) for _ in range(repetitions)]
    sigmas = np.array([chain_average(one).value / float(chain_average(one).standard_error or 1) for one in x])
    spread = sqrt(0.6827 * 0.3173 * repetitions)
    assert abs((np.abs(sigmas) <= 1).sum() - 0.6827 * repetitions) < 4 * spread
    naive = np.array([one.mean() / (one.std() / sqrt(one.size)) for one in x])
    assert (np.abs(naive) <= 1).sum() < 0.6827 * repetitions - 8 * spread


def test_chains_that_disagree_are_called_unreliable() -> None:
    x = np.random.default_rng(3).normal(size=(4, 500)) + np.array([[0.0], [0], [0], [1]])
    assert r_hat(x) > 1.01
    found = chain_average(x)
    assert not found.reliable
    assert any("R-hat" in warning for warning in found.warnings)
    assert r_hat(x - x.mean(1, keepdims=True)) < 1.01


def test_short_chains_are_called_unreliable() -> None:
    found = chain_average(autoregressive(np.random.default_rng(4), 2, 50, 0.9))
    assert not found.reliable
    assert any("effective sample size" in warning for warning in found.warnings)


def test_values_that_never_change_have_no_error() -> None:
    found = chain_average(np.full((4, 100), 2.5))
    assert (found.value, found.standard_error, found.reliable) == (2.5, None, False)


def test_heat_capacity_is_the_fluctuation_of_the_energy() -> None:
    x = autoregressive(np.random.default_rng(5), 8, 5000, 0.5)
    found = chain_heat_capacity(3 * x - 100, beta=2.0, num_sites=10)
    assert abs(found.value - 2.0**2 * 9 / 10) < 4 * float(found.standard_error or 0)


@pytest.mark.parametrize("values", [np.zeros(10), np.zeros((3, 3)), np.zeros((0, 10))], ids=["flat", "short", "none"])
def test_what_is_not_chains_raises(values: np.ndarray) -> None:
    with pytest.raises(InvalidValueError, match="draw"):
        chain_average(values)


def test_values_that_are_not_finite_raise() -> None:
    with pytest.raises(NumericalError, match="1 of 40"):
        chain_average(np.r_[np.nan, np.zeros(39)].reshape(4, 10))
