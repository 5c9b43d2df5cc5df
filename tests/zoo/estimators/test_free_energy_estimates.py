"""Free energies from weights whose answer is known: are the error bars right, and is the unreliable called so?"""

from math import exp, inf, log, nan, sqrt

import numpy as np
import pytest
import torch

from zoo.estimators.free_energy import importance_beta_f, variational_beta_f
from zoo.specs.errors import InvalidValueError, NumericalError
from zoo.specs.estimate import Estimate

REPETITIONS = 2000
WITHIN_ONE_SIGMA = 0.6827


def log_normal(rng: np.random.Generator, n: int, sigma: float, beta_f: float = -60.0) -> np.ndarray:
    """Normal log-weights: <w> = exp(-beta_f), <log w> = -beta_f - sigma^2 / 2, ESS fraction exp(-sigma^2)."""
    return rng.normal(-beta_f - sigma**2 / 2, sigma, size=n)


def coverage(estimates: list[Estimate], truth: float, *, scale: float = 1.0) -> float:
    """How many sigma the fraction of estimates within one error bar of ``truth`` is away from 68.27 %."""
    hits = sum(abs(e.value - truth) <= scale * float(e.standard_error or 0) for e in estimates)
    expected = WITHIN_ONE_SIGMA * len(estimates)
    return (hits - expected) / sqrt(expected * (1 - WITHIN_ONE_SIGMA))


@pytest.mark.parametrize("sigma", [0.05, 0.3, 0.8])
def test_error_bars_of_the_importance_estimate_cover_the_truth(sigma: float) -> None:
    rng = np.random.default_rng(1)
    estimates = [importance_beta_f(log_normal(rng, 1000, sigma)) for _ in range(REPETITIONS)]
    # three binomial sigma: false alarm 0.3 %, with a fixed seed; the skewness at sigma 0.8 costs less than one more
    assert abs(coverage(estimates, -60.0)) < 4
    assert abs(coverage(estimates, -60.0, scale=1.2)) > 4  # error bars wrong by a fifth are caught
    assert abs(coverage(estimates, -60.0, scale=0.8)) > 4


@pytest.mark.parametrize("sigma", [0.05, 0.8, 3.0])
def test_error_bars_of_the_variational_bound_cover_beta_f_plus_the_divergence(sigma: float) -> None:
    rng = np.random.default_rng(2)
    estimates = [variational_beta_f(log_normal(rng, 1000, sigma)) for _ in range(REPETITIONS)]
    assert abs(coverage(estimates, -60.0 + sigma**2 / 2)) < 4
    assert abs(coverage(estimates, -60.0, scale=1.0)) > 4 or sigma < 0.1  # the bound is not beta_f itself


def test_bias_of_the_importance_estimate_is_half_its_variance() -> None:
    rng, sigma, n = np.random.default_rng(3), 0.5, 200
    deviation = np.array([importance_beta_f(log_normal(rng, n, sigma)).value + 60 for _ in range(REPETITIONS)])
    controlled = deviation + np.expm1(-deviation)  # exp(-deviation) is <w> / Z, of mean 1 exactly
    error = controlled.std() / sqrt(REPETITIONS)
    expected = (exp(sigma**2) - 1) / (2 * n)
    assert abs(controlled.mean() - expected) < 4 * error
    assert controlled.mean() > 20 * error  # it is there


def test_weights_are_unbiased_on_an_enumerated_system() -> None:
    rng = np.random.default_rng(4)
    energies = rng.normal(size=50)
    q = rng.dirichlet(np.full(50, 5.0))
    beta_f = -log(np.exp(-energies).sum())
    x = rng.choice(50, p=q, size=100_000)
    found = importance_beta_f(-energies[x] - np.log(q[x]))
    assert abs(found.value - beta_f) < 4 * float(found.standard_error or 0)
    assert found.reliable
    bound = variational_beta_f(-energies[x] - np.log(q[x]))
    divergence = float((q * (np.log(q) + energies + -beta_f)).sum())
    assert abs(bound.value - beta_f - divergence) < 4 * float(bound.standard_error or 0)
    assert bound.value > beta_f + 10 * float(bound.standard_error or 0)
    # a wrong sign of log q, or weights taken against another temperature, would be seen at once
    for wrong in (-energies[x] + np.log(q[x]), -1.1 * energies[x] - np.log(q[x])):
        assert abs(importance_beta_f(wrong).value - beta_f) > 4 * float(found.standard_error or 0)


def test_effective_sample_size_of_gaussian_log_weights() -> None:
    found = importance_beta_f(log_normal(np.random.default_rng(5), 100_000, 0.5))
    assert found.effective_sample_fraction == pytest.approx(exp(-0.25), rel=0.02)
    assert found.reliable
    assert found.warnings == ()
    assert found.pareto_k is not None
    assert found.pareto_k < 0.5


def test_heavy_tails_are_called_unreliable() -> None:
    # w = u^-a has tail index a: no variance above 1/2, no mean above 1
    log_u = np.log(np.random.default_rng(6).uniform(size=10_000))
    heavy = importance_beta_f(-0.9 * log_u)
    assert not heavy.reliable
    assert any("Pareto k" in warning for warning in heavy.warnings)
    assert importance_beta_f(-0.3 * log_u).reliable


def test_error_bars_of_heavy_tails_fail_and_only_the_verdict_tells() -> None:
    rng, truth = np.random.default_rng(7), -log(10.0)  # <u^-0.9> = 1 / (1 - 0.9)
    estimates = [importance_beta_f(-0.9 * np.log(rng.uniform(size=2000))) for _ in range(200)]
    assert coverage(estimates, truth) < -4
    assert sum(e.reliable for e in estimates) < 20


def test_few_effective_samples_are_called_unreliable() -> None:
    found = importance_beta_f(log_normal(np.random.default_rng(8), 10_000, 4.0))
    assert not found.reliable
    assert any("effective sample size" in warning for warning in found.warnings)


def test_few_samples_are_called_unreliable_and_one_has_no_error() -> None:
    for estimator in (importance_beta_f, variational_beta_f):
        few, one = estimator(np.linspace(0, 0.1, 99)), estimator([3.0])
        assert not few.reliable
        assert few.standard_error is not None
        assert "99 samples are too few" in few.warnings[0]
        assert (one.value, one.standard_error, one.reliable) == (-3.0, None, False)
    assert variational_beta_f(np.linspace(0, 0.1, 100)).reliable


@pytest.mark.parametrize("log_weight", [0.0, 60.076307527, -1e5])
def test_equal_weights_have_an_error_of_rounding_and_a_remark(log_weight: float) -> None:
    for estimator in (importance_beta_f, variational_beta_f):
        found = estimator(np.full(1000, log_weight))
        assert found.value == pytest.approx(-log_weight, rel=1e-14)
        assert found.standard_error is not None
        assert 0 < found.standard_error <= 1e-14 * max(abs(log_weight), 1)
        assert found.reliable
        assert "cannot tell" in found.warnings[0]


def test_a_repeated_configuration_is_no_heavy_tail() -> None:
    # a cold lattice: one sample in twenty is the ground state, its weight in the upper tail, equal to 1e-7
    rng = np.random.default_rng(9)
    lw = rng.normal(-60, 0.05, size=10_000)
    lw[:500] = -59.9 + 1e-7 * rng.normal(size=500)
    found = importance_beta_f(lw)
    assert found.pareto_k is not None
    assert found.pareto_k < 0.5
    assert found.reliable


def test_zero_weights_count_as_samples() -> None:
    rng = np.random.default_rng(10)
    lw = log_normal(rng, 10_000, 0.1, beta_f=0.0)
    lw[:5000] = -inf
    found = importance_beta_f(lw)
    assert found.num_samples == 10_000
    assert abs(found.value - log(2)) < 4 * float(found.standard_error or 0)
    assert found.effective_sample_fraction == pytest.approx(0.5, rel=0.05)
    with pytest.raises(NumericalError, match="5000 of 10000 samples have zero target probability"):
        variational_beta_f(lw)


@pytest.mark.parametrize(
    ("log_weights", "message"),
    [([0.0, nan, 1.0], "1 of 3 .* index 1"), ([0.0, 1.0, inf], "index 2"), ([-inf, -inf], "all 2 weights are zero")],
)
def test_weights_that_are_no_weights_raise(log_weights: list[float], message: str) -> None:
    for estimator in (importance_beta_f, variational_beta_f):
        with pytest.raises(NumericalError, match=message):
            estimator(log_weights)


@pytest.mark.parametrize("log_weights", [np.zeros((3, 2)), [], np.zeros(())], ids=["matrix", "empty", "scalar"])
def test_weights_of_a_wrong_shape_raise(log_weights: np.ndarray) -> None:
    with pytest.raises(InvalidValueError, match="log_weights has shape"):
        importance_beta_f(log_weights)


def test_tensors_lists_and_arrays_give_the_same() -> None:
    lw = log_normal(np.random.default_rng(11), 500, 0.3)
    expected = importance_beta_f(lw)
    assert importance_beta_f(torch.from_numpy(lw)) == expected
    assert importance_beta_f(lw.tolist()) == expected


def test_huge_log_weights_do_not_overflow() -> None:
    rng = np.random.default_rng(12)
    for shift in (1e4, -1e4):
        found = importance_beta_f(log_normal(rng, 1000, 0.3, beta_f=-shift))
        assert abs(found.value + shift) < 4 * float(found.standard_error or 0)
    assert not importance_beta_f(1e4 * rng.normal(size=1000)).reliable
