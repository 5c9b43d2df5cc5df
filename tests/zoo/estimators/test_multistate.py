"""Multistate reweighting against Gaussians of known free energy, from independent and from correlated chains."""

from itertools import pairwise
from math import log, sqrt

import numpy as np
import pytest
from scipy.stats import norm

from zoo.estimators.multistate import Multistate, multistate_beta_f, thinned
from zoo.specs.errors import InvalidValueError, NumericalError

STIFFNESS = np.array([1.0, 1.8, 3.5, 6.0, 9.0])
"""u_k = STIFFNESS_k x^2 / 2 in three dimensions: f_k - f_0 = 3/2 ln(STIFFNESS_k / STIFFNESS_0)."""

EXACT = 1.5 * np.log(STIFFNESS)


def squares(seed: int, chains: int, draws: int, memory: float) -> np.ndarray:
    """|x|^2 along stationary chains x' = memory x + sqrt(1 - memory^2) xi at each state, shape (state, chain, draw)."""
    noise = np.random.default_rng(seed).normal(size=(draws + 1, len(STIFFNESS), chains, 3))
    x, kept = noise[0], []
    for step in noise[1:]:
        x = memory * x + sqrt(1 - memory**2) * step
        kept.append((x**2).sum(-1) / STIFFNESS[:, None])
    return np.stack(kept, -1)


def solved(r2: np.ndarray) -> Multistate:
    return multistate_beta_f(STIFFNESS[:, None, None, None] / 2 * r2, np.zeros(len(STIFFNESS)))


@pytest.mark.parametrize(("memory", "chains", "draws"), [(0.0, 16, 40), (0.8, 32, 60), (0.8, 2, 600)])
def test_all_free_energies_are_calibrated_with_and_without_correlation(memory: float, chains: int, draws: int) -> None:
    z = []
    for seed in range(100):
        result = solved(squares(seed, chains, draws, memory))
        z.append((result.beta_f - EXACT)[1:] / result.standard_errors[1:])
    assert (np.abs(np.mean(z, 0)) < 4 / sqrt(100)).all()
    assert (np.std(z, 0) > 0.8).all()
    assert (np.std(z, 0) < 1.25).all()  # 100 values: 0.07 is one standard error


def test_errors_that_forget_the_correlation_would_be_too_small() -> None:
    r2 = squares(0, 32, 60, 0.8)
    shuffled = np.random.default_rng(0).permuted(r2.reshape(len(STIFFNESS), -1), axis=1).reshape(r2.shape)
    aware, naive = solved(r2), solved(shuffled)
    assert aware.beta_f == pytest.approx(naive.beta_f, abs=1e-7)
    assert aware.standard_errors[-1] > 1.5 * naive.standard_errors[-1]


def test_independent_samples_have_the_errors_of_pymbar() -> None:
    from pymbar.mbar import MBAR  # noqa: PLC0415 - logs at import

    r2 = squares(1, 50, 40, 0.0)
    result = solved(r2)
    u = (STIFFNESS[:, None, None, None] / 2 * r2).reshape(len(STIFFNESS), -1)
    protocol = ({"method": "adaptive", "options": {}},)
    table = MBAR(u, np.full(len(STIFFNESS), 2000), solver_protocol=protocol).compute_free_energy_differences()
    assert result.beta_f == pytest.approx(table["Delta_f"][0], abs=1e-6)
    assert result.standard_errors[1:] == pytest.approx(table["dDelta_f"][0][1:], rel=0.25)


def test_overlaps_are_those_of_neighbouring_distributions() -> None:
    x = np.linspace(-8, 8, 4001)
    means = np.array([0.0, 1.0, 3.0])
    density = norm.pdf(x - means[:, None])
    exact = [float((p * q / (p + q)).sum() * (x[1] - x[0])) for p, q in pairwise(density)]
    samples = means[:, None, None] + np.random.default_rng(0).normal(size=(3, 20, 500))
    result = multistate_beta_f((samples - means[:, None, None, None]) ** 2 / 2, np.zeros(3))
    assert result.neighbour_overlap == pytest.approx(exact, abs=0.01)
    assert np.abs(result.beta_f / np.maximum(result.standard_errors, 1e-9))[1:].max() < 4


def test_samples_of_zero_weight_do_no_harm() -> None:
    r2 = squares(2, 16, 50, 0.0)
    u = STIFFNESS[:, None, None, None] / 2 * r2
    u[1:, 0, 0, :5] = np.inf  # overlapping particles, seen where they do not interact
    result = multistate_beta_f(u, np.zeros(len(STIFFNESS)))
    assert np.isfinite(result.standard_errors).all()
    assert result.beta_f[-1] == pytest.approx(EXACT[-1] - log(1 - 5 / 800), abs=5 * result.standard_errors[-1])


def test_many_samples_are_thinned_by_draws() -> None:
    samples = np.zeros((100, 10, 1000))
    assert thinned(100, samples).shape == (100, 10, 77)
    assert thinned(2, samples).shape == samples.shape


def test_what_cannot_be_solved_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="came with"):
        multistate_beta_f(np.zeros((2, 3, 4, 5)), np.zeros(2))
    bad = np.zeros((2, 2, 4, 5))
    bad[0, 0, 0, 0] = np.nan
    with pytest.raises(NumericalError, match="NaN"):
        multistate_beta_f(bad, np.zeros(2))
