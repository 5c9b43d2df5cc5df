"""Gauss-Lobatto integration of noisy values: the rule, its two errors, and their calibration."""

from math import exp, sqrt

import numpy as np
import pytest

from zoo.estimators.integration import gauss_lobatto, lobatto_integral
from zoo.specs.errors import InvalidValueError


def test_the_rule_is_the_published_one() -> None:
    t, weights = gauss_lobatto(4)  # Abramowitz and Stegun, table 25.6
    assert t == pytest.approx([0, (1 - 1 / sqrt(5)) / 2, (1 + 1 / sqrt(5)) / 2, 1])
    assert weights == pytest.approx([1 / 12, 5 / 12, 5 / 12, 1 / 12])


@pytest.mark.parametrize("num_nodes", [2, 3, 8, 24, 100, 512])
def test_polynomials_up_to_degree_2n_minus_3_are_exact(num_nodes: int) -> None:
    t, weights = gauss_lobatto(num_nodes)
    degree = 2 * num_nodes - 3
    assert t[0] == 0
    assert t[-1] == 1
    assert (np.diff(t) > 0).all()
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert weights @ t**degree == pytest.approx(1 / (degree + 1), rel=1e-9)
    if num_nodes < 9:
        assert weights @ t ** (degree + 1) != pytest.approx(1 / (degree + 2), rel=1e-9)


def test_a_rule_has_both_ends() -> None:
    with pytest.raises(InvalidValueError, match="at least 2"):
        gauss_lobatto(1)


def test_the_statistical_error_is_calibrated() -> None:
    t, _ = gauss_lobatto(12)
    errors = 0.01 * (1 + t)
    z = []
    for seed in range(200):
        means = np.exp(t) + errors * np.random.default_rng(seed).normal(size=len(t))
        integral = lobatto_integral(means, errors)
        z.append((integral.value - (exp(1) - 1)) / integral.standard_error)
    assert abs(np.mean(z)) < 4 / sqrt(200)
    assert 0.85 < np.std(z) < 1.15


@pytest.mark.parametrize("num_nodes", [6, 8, 12, 16])
def test_the_error_of_the_rule_is_a_bound_for_a_peak_that_it_cannot_resolve(num_nodes: int) -> None:
    t, _ = gauss_lobatto(num_nodes)
    integral = lobatto_integral(1 / (1 + 400 * (t - 0.4) ** 2), np.full(num_nodes, 1e-6))
    exact = (np.arctan(12) + np.arctan(8)) / 20
    assert abs(integral.value - exact) < integral.quadrature_error


def test_the_error_of_the_rule_vanishes_where_it_converged() -> None:
    t, _ = gauss_lobatto(24)
    integral = lobatto_integral(np.exp(t), np.zeros(24))
    assert integral.quadrature_error == 0
    assert integral.value == pytest.approx(exp(1) - 1, abs=1e-13)
