"""Potts references: closed form, transfer matrix, density of states and the Ising model against each other."""

from itertools import product
from math import inf, log, sqrt

import numpy as np
import pytest
import torch

from zoo.exact import potts_strip
from zoo.exact.cumulants import Cumulants
from zoo.exact.kaufman import kaufman_cumulants
from zoo.exact.potts import exact_reference, potts_chain_cumulants
from zoo.exact.potts_enumeration import density_of_states, potts_enumeration_cumulants
from zoo.exact.potts_strip import potts_orbits, potts_strip_cumulants
from zoo.specs.errors import InvalidValueError, NoExactReferenceError
from zoo.specs.targets.potts import PottsSpec
from zoo.targets.potts import Potts

CRITICAL_3 = log(1 + sqrt(3))
"""J = 1, q = 3 on the square lattice."""

COUPLINGS = [-30.0, -1.5, -1e-6, 0.3, CRITICAL_3 - 0.2, CRITICAL_3, CRITICAL_3 + 0.2, 2.5, 20.0]


def assert_close(found: Cumulants, expected: Cumulants, tolerance: float = 1e-10) -> None:
    assert found.log_z == pytest.approx(expected.log_z, abs=tolerance, rel=0)
    assert found.mean == pytest.approx(expected.mean, abs=tolerance)
    assert found.variance == pytest.approx(expected.variance, abs=tolerance)


def by_hand(shape: tuple[int, ...], q: int, K: float, *, periodic: bool) -> Cumulants:
    """Every configuration in turn, bond by bond."""
    u = []
    sites = list(product(*(range(side) for side in shape)))
    for values in product(range(q), repeat=len(sites)):
        at = dict(zip(sites, values, strict=True))
        equal = 0
        for site in sites:
            for axis, side in enumerate(shape):
                following = (*site[:axis], (site[axis] + 1) % side, *site[axis + 1 :])
                if side > 1 and (periodic or following[axis] > site[axis]):
                    equal += at[site] == at[following]
        u.append(-K * equal)
    energies = np.array(u)
    weights = np.exp(energies.min() - energies)
    mean = float((weights * energies).sum() / weights.sum())
    variance = float((weights * (energies - mean) ** 2).sum() / weights.sum())
    return Cumulants(float(np.log(weights.sum()) - energies.min()), mean, variance)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize(("shape", "q"), [((1,), 4), ((2,), 3), ((5,), 3), ((2, 2), 3), ((2, 3), 3), ((2, 2, 2), 2)])
def test_the_density_of_states_is_the_sum_by_hand(shape: tuple[int, ...], q: int, *, periodic: bool) -> None:
    for K in (-1.5, 0.7):
        found = potts_enumeration_cumulants(shape, q, K, periodic=periodic)
        assert_close(found, by_hand(shape, q, K, periodic=periodic), 1e-12)
    assert density_of_states(shape, q, periodic=periodic).sum() == q ** int(np.prod(shape))


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("K", COUPLINGS)
@pytest.mark.parametrize("q", [2, 3, 7])
def test_chains_are_the_sum_over_all_states(q: int, K: float, *, periodic: bool) -> None:
    for length in (1, 2, 3, 4, 7):
        found = potts_chain_cumulants(length, q, K, periodic=periodic)
        assert_close(found, potts_enumeration_cumulants((length,), q, K, periodic=periodic))


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("K", COUPLINGS)
@pytest.mark.parametrize(("length", "q"), [(30, 3), (101, 2), (64, 5)])
def test_long_chains_are_strips_of_width_one(length: int, q: int, K: float, *, periodic: bool) -> None:
    found = potts_chain_cumulants(length, q, K, periodic=periodic)
    assert_close(found, potts_strip_cumulants(1, length, q, K, periodic=periodic), 1e-8)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("K", COUPLINGS)
@pytest.mark.parametrize(("shape", "q"), [((2, 2), 3), ((2, 4), 3), ((3, 3), 3), ((3, 2), 5), ((3, 4), 2), ((4, 3), 3)])
def test_strips_are_the_sum_over_all_states(shape: tuple[int, int], q: int, K: float, *, periodic: bool) -> None:
    expected = potts_enumeration_cumulants(shape, q, K, periodic=periodic)
    assert_close(potts_strip_cumulants(*shape, q, K, periodic=periodic), expected)


@pytest.mark.parametrize("K", [-1.0, 0.5, 2 * 0.4406867935, 1.4])
def test_two_values_are_kaufmans_ising_model(K: float) -> None:
    # delta = (1 + s s') / 2: K_Ising = K / 2, and K / 2 for each of the 2 N bonds
    found, ising = potts_strip_cumulants(8, 10, 2, K, periodic=True), kaufman_cumulants(8, 10, K / 2)
    shifted = Cumulants(ising.log_z + 160 * K / 2, ising.mean - 160 * K / 2, ising.variance)
    assert_close(found, shifted, 1e-9)


@pytest.mark.parametrize("K", [CRITICAL_3 - 0.3, CRITICAL_3, CRITICAL_3 + 0.3, -0.8])
def test_wide_tori_by_orbits_are_narrow_ones_by_squaring(K: float) -> None:
    # width 4 goes by the power of its matrix of 81 states, width 6 orbit by orbit
    found = potts_strip_cumulants(6, 4, 3, K, periodic=True)
    assert_close(found, potts_strip_cumulants(4, 6, 3, K, periodic=True), 1e-9)


@pytest.mark.parametrize("q", [2, 3, 4])
def test_the_self_dual_point_is_the_fixed_point_of_duality(q: int) -> None:
    # (e^K - 1)(e^K* - 1) = q, and ln Z(K) - ln Z(K*) = N ln[(e^K - 1)^2 / q] on infinite lattices: here long cylinders
    K = log(1 + sqrt(q)) + 0.6
    dual = log(1 + q / (np.exp(K) - 1))
    width = 6
    per_site = [
        (
            potts_strip_cumulants(width, 60, q, k, periodic=True).log_z
            - potts_strip_cumulants(width, 40, q, k, periodic=True).log_z
        )
        / (20 * width)
        for k in (K, dual)
    ]
    expected = 2 * log(np.exp(K) - 1) - log(q)
    assert per_site[0] - per_site[1] == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize(("width", "q"), [(1, 4), (2, 3), (4, 3), (5, 2), (3, 6)])
def test_orbits_cover_all_rows(width: int, q: int) -> None:
    rows, sizes = potts_orbits(width, q)
    assert sizes.sum() == q**width
    classes = set()
    for row in product(range(q), repeat=width):
        images = [row[i:] + row[:i] for i in range(width)]
        images += [image[::-1] for image in images]
        classes.add(min(tuple(sorted(set(image), key=image.index).index(v) for v in image) for image in images))
    assert len(rows) == len(classes)


COVERED = [
    (PottsSpec(shape=(1, 1), q=4), "independent sites"),
    (PottsSpec(shape=(2, 3), q=4, J=0.0), "independent sites"),
    (PottsSpec(shape=(1, 6), q=4), "closed form"),
    (PottsSpec(shape=(4,), q=9, J=-1.0, periodic=False), "closed form"),
    (PottsSpec(shape=(4, 2), q=3), "transfer matrix"),
    (PottsSpec(shape=(3, 3), q=3, J=-1.0, periodic=False), "transfer matrix"),
    (PottsSpec(shape=(2, 1, 3), q=5), "transfer matrix"),
    (PottsSpec(shape=(2, 2, 2), q=3, J=0.8), "enumeration"),
]


@pytest.mark.parametrize(("spec", "method"), COVERED, ids=str)
@pytest.mark.parametrize("beta", [0.0, 0.6, CRITICAL_3, 1.7])
def test_reference_is_the_enumeration_of_the_targets_own_energy(spec: PottsSpec, method: str, beta: float) -> None:
    target = Potts(spec)
    x, n = target.space.enumerate(), spec.space.num_sites
    energy = target.energy(x)
    weights = torch.softmax(-beta * energy, 0)
    mean = float((weights * energy).sum())
    found = target.exact_reference(beta)
    assert found.method == ("independent sites" if beta == 0 else method)
    assert found.beta_f == pytest.approx(-float(torch.logsumexp(-beta * energy, 0)), abs=1e-10)
    if beta:
        variance = float((weights * (energy - mean) ** 2).sum())
        assert found.observables["energy_per_site"] == pytest.approx(mean / n, abs=1e-10)
        assert found.observables["heat_capacity_per_site"] == pytest.approx(beta**2 * variance / n, abs=1e-10)


@pytest.mark.parametrize(
    "spec",
    [
        PottsSpec(shape=(9, 9), q=3),
        PottsSpec(shape=(3, 3, 3), q=3),
        PottsSpec(shape=(15, 15), q=2, periodic=False),
        PottsSpec(shape=(14, 1000), q=2),
    ],
    ids=str,
)
def test_what_no_method_covers_is_said_with_the_bounds(spec: PottsSpec) -> None:
    with pytest.raises(NoExactReferenceError, match=r"enumeration takes at most 16777216 .*q\^side at most 16384"):
        exact_reference(spec, 1.0)


def test_pairs_of_many_values_are_not_enumerated() -> None:
    with pytest.raises(ValueError, match=r"200\^4 configurations"):
        density_of_states((2, 2), 200, periodic=True)
    with pytest.raises(NoExactReferenceError, match=r"2\^14|16384"):
        exact_reference(PottsSpec(shape=(2, 2), q=200), 1.0)


def test_a_torus_that_would_take_minutes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(potts_strip, "MAX_OPERATIONS", 1e6)
    with pytest.raises(ValueError, match="multiplications, of at most 1e"):
        potts_strip_cumulants(6, 40, 3, 0.5, periodic=True)


@pytest.mark.parametrize("K", [150.0, 1e6, -400.0])
@pytest.mark.parametrize("periodic", [True, False])
def test_narrow_strips_are_done_at_any_temperature(K: float, *, periodic: bool) -> None:
    expected = potts_enumeration_cumulants((3, 4), 3, K, periodic=periodic)
    found = potts_strip_cumulants(3, 4, 3, K, periodic=periodic)
    assert found.log_z == pytest.approx(expected.log_z, rel=1e-14)
    assert found.mean == pytest.approx(expected.mean, rel=1e-14, abs=1e-10)
    with pytest.raises(ValueError, match=r"of at most 1e\+100"):
        potts_strip_cumulants(3, 4, 3, 1e150, periodic=periodic)
    with pytest.raises(ValueError, match=r"2 side beta \|J\| of at most 600"):
        potts_strip_cumulants(8, 8, 3, 150.0, periodic=periodic)


def test_a_cold_frustrated_ring_keeps_one_unequal_pair() -> None:
    # q = 2, odd length: Z = 2 N e^K (1 + ..) for K to -infinity
    found = potts_chain_cumulants(7, 2, -200.0, periodic=True)
    assert found.log_z == pytest.approx(log(14) - 200.0, abs=1e-10)
    assert found.mean == pytest.approx(200.0, rel=1e-12)
    for K in (-699.0, -701.0, -1e4, -1e9):
        found = potts_chain_cumulants(7, 2, K, periodic=True)
        assert found.log_z == pytest.approx(log(14) + K, rel=1e-14)
        assert found.mean == pytest.approx(-K, rel=1e-14)


@pytest.mark.parametrize("beta", [-0.1, inf])
def test_a_beta_that_is_no_temperature_is_refused(beta: float) -> None:
    with pytest.raises(InvalidValueError, match="beta is"):
        exact_reference(PottsSpec(shape=(3,), q=3), beta)
