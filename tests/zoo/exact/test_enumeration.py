"""Enumeration of any energy, against sums that can be done by hand."""

from collections.abc import Iterator
from math import exp, log1p, tanh
from time import perf_counter

import numpy as np
import pytest
import torch
from torch import Tensor

from zoo.exact.enumeration import MAX_SPINS, enumeration_cumulants, pair_enumeration_cumulants
from zoo.exact.transfer_matrix import strip_cumulants


def in_fields(spins: Tensor) -> Tensor:
    """E = -sum_i i s_i, whose partition function is a product."""
    fields = torch.arange(1.0, spins.shape[1] + 1)
    return -(spins * fields).sum(1, dtype=torch.float64)


def ring(spins: Tensor) -> Tensor:
    return -(spins * spins.roll(1, 1)).sum(1, dtype=torch.float64)


@pytest.mark.parametrize("num_spins", [1, 2, 15, 16, 17, 18])
@pytest.mark.parametrize("beta", [0.0, 0.1, 5.0, 400.0])
def test_independent_spins_give_the_product(num_spins: int, beta: float) -> None:
    found = enumeration_cumulants(in_fields, num_spins, beta)
    fields = [beta * i for i in range(1, num_spins + 1)]
    assert found.log_z == pytest.approx(sum(x + log1p(exp(-2 * x)) for x in fields))
    assert found.mean == pytest.approx(-sum(x * tanh(x) for x in fields), abs=1e-9)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Times that do not depend on what else the machine does with its other cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_24_spins_take_less_than_ten_seconds_and_agree_with_the_transfer_matrix() -> None:
    start = perf_counter()
    found = enumeration_cumulants(ring, 24, 0.5)
    seconds = perf_counter() - start
    exact = strip_cumulants(1, 24, 0.5, 0.0, periodic=True)
    assert found.log_z == pytest.approx(exact.log_z, abs=1e-10)
    assert found.mean == pytest.approx(exact.mean, abs=1e-10)
    assert found.variance == pytest.approx(exact.variance, abs=1e-9)
    assert seconds < 10


def random_pairs(n: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """A symmetric matrix of couplings with zero diagonal, and fields."""
    rng = np.random.default_rng(n)
    upper = np.triu(rng.standard_normal((n, n)), 1) * scale
    return upper + upper.T, rng.standard_normal(n) * scale


@pytest.mark.parametrize("scale", [0.01, 1.0, 50.0])
@pytest.mark.parametrize("n", [1, 2, 3, 8, 13])
def test_pairs_by_halves_agree_with_the_plain_sum(n: int, scale: float) -> None:
    couplings, fields = random_pairs(n, scale)

    def energy(spins: Tensor) -> Tensor:
        s = spins.double().numpy()
        return torch.from_numpy(-0.5 * np.einsum("bi,ij,bj->b", s, couplings, s) - s @ fields)

    found, expected = pair_enumeration_cumulants(couplings, fields), enumeration_cumulants(energy, n, 1.0)
    assert found.log_z == pytest.approx(expected.log_z, abs=1e-11, rel=1e-14)
    assert found.mean == pytest.approx(expected.mean, abs=1e-11, rel=1e-14)
    assert found.variance == pytest.approx(expected.variance, abs=1e-9)


@pytest.mark.usefixtures("one_thread")
def test_24_spins_with_any_couplings_take_less_than_ten_seconds() -> None:
    couplings = np.roll(np.eye(24), 1, 0) + np.roll(np.eye(24), -1, 0)
    start = perf_counter()
    found = pair_enumeration_cumulants(0.5 * couplings, np.zeros(24))
    assert perf_counter() - start < 10
    exact = strip_cumulants(1, 24, 0.5, 0.0, periodic=True)
    assert found.log_z == pytest.approx(exact.log_z, abs=1e-10)
    assert found.variance == pytest.approx(exact.variance, abs=1e-9)


def test_couplings_between_the_halves_are_not_forgotten() -> None:
    couplings, fields = random_pairs(8, 1.0)
    without = couplings.copy()
    without[:4, 4:] = without[4:, :4] = 0
    full, halves = pair_enumeration_cumulants(couplings, fields), pair_enumeration_cumulants(without, fields)
    assert abs(full.log_z - halves.log_z) > 0.1


@pytest.mark.parametrize("n", [0, MAX_SPINS + 1])
def test_too_many_pairs_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match=f"{n} spins"):
        pair_enumeration_cumulants(np.zeros((n, n)), np.zeros(n))


def test_a_missing_state_is_caught() -> None:
    def without_all_up(spins: Tensor) -> Tensor:
        return ring(spins) + 1e6 * (spins.sum(1) == 10)

    exact = strip_cumulants(1, 10, 0.5, 0.0, periodic=True)
    assert enumeration_cumulants(ring, 10, 0.5).log_z == pytest.approx(exact.log_z, abs=1e-12)
    assert enumeration_cumulants(without_all_up, 10, 0.5).log_z < exact.log_z - 0.01


@pytest.mark.parametrize("num_spins", [0, -1, MAX_SPINS + 1])
def test_too_many_spins_are_refused(num_spins: int) -> None:
    with pytest.raises(ValueError, match=f"{num_spins} spins"):
        enumeration_cumulants(ring, num_spins, 1.0)
