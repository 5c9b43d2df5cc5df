"""The tail index and effective number of weights against an independent fit and known tails."""

from math import inf
from typing import Any

import numpy as np
import pytest
from arviz_stats.base.array import array_stats

from zoo.estimators.weights import effective_sample_size, normalized_weights, pareto_k

LIBRARY: Any = array_stats


@pytest.mark.parametrize("n", [60, 225, 226, 1000, 20_000])
@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.0])
def test_pareto_k_of_distinct_weights_is_that_of_smoothed_importance_sampling(n: int, sigma: float) -> None:
    lw = np.random.default_rng(n).normal(-5, sigma, size=n)
    assert pareto_k(lw) == pytest.approx(float(LIBRARY.psislw(-lw)[1]), abs=0.03)


@pytest.mark.parametrize("k", [0.2, 0.5, 0.9, 1.5])
def test_pareto_k_recovers_the_index_of_pareto_weights(k: float) -> None:
    rng = np.random.default_rng(1)
    found = [pareto_k(-k * np.log(rng.uniform(size=10_000))) for _ in range(20)]
    # 300 tail weights give k a deviation of (1 + k) / sqrt(300); the prior draws it to 1/2 by a thirtieth
    assert np.mean(np.asarray(found, dtype=float)) == pytest.approx(k + (0.5 - k) / 31, abs=4 * (1 + k) / (6000**0.5))


@pytest.mark.parametrize(
    "lw", [np.zeros(1000), np.arange(24.0), np.r_[0.0, np.full(300, -1e4)]], ids=["equal", "few", "one"]
)
def test_without_a_tail_there_is_no_k(lw: np.ndarray) -> None:
    assert pareto_k(lw) is None


def test_zero_weights_do_not_change_k() -> None:
    lw = np.random.default_rng(2).normal(size=1000)
    assert pareto_k(np.r_[lw, np.full(1000, -inf)]) == pareto_k(lw)


def test_effective_sample_size_is_that_of_its_definition() -> None:
    assert effective_sample_size(np.zeros(50)) == pytest.approx(50)
    assert effective_sample_size([0.0, -inf, -inf]) == pytest.approx(1)
    assert effective_sample_size(np.log([1.0, 2.0, 3.0])) == pytest.approx(36 / 14)
    assert normalized_weights(np.log([1.0, 3.0]) + 2000) == pytest.approx([0.25, 0.75])
