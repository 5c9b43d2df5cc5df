"""Triangular strips by their three routes: site by site, by the spectrum, and by enumeration."""

from math import log

import numpy as np
import pytest

from zoo.core.lattices import lattice_bonds
from zoo.exact import torus_spectrum
from zoo.exact.cumulants import Cumulants
from zoo.exact.enumeration import coupling_matrix, pair_enumeration_cumulants
from zoo.exact.series import scalars, summed
from zoo.exact.site_transfer import SpinGraph, site_transfer_cumulants
from zoo.exact.torus_spectrum import torus_trace
from zoo.exact.triangular_strip import triangular_strip_cumulants

STATES = [(0.2, 0.0), (0.3, 0.0), (0.3, -0.4), (-0.5, 0.0), (-0.5, 0.7), (1.2, 0.0), (-2.0, 0.1)]


def enumerated(width: int, length: int, K: float, b: float, *, periodic: bool) -> Cumulants:
    bonds = lattice_bonds((length, width), periodic=periodic, triangular=True).numpy()
    n = width * length
    return pair_enumeration_cumulants(coupling_matrix(bonds, np.full(len(bonds), K), n), np.full(n, b))


def assert_close(found: Cumulants, expected: Cumulants, tolerance: float = 1e-10) -> None:
    assert found.log_z == pytest.approx(expected.log_z, abs=tolerance, rel=0)
    assert found.mean == pytest.approx(expected.mean, abs=tolerance)
    assert found.variance == pytest.approx(expected.variance, abs=tolerance)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize(("K", "b"), STATES)
@pytest.mark.parametrize(("width", "length"), [(1, 1), (1, 2), (1, 7), (2, 2), (2, 5), (3, 3), (3, 5), (4, 4)])
def test_strips_are_the_sum_over_all_states(width: int, length: int, K: float, b: float, *, periodic: bool) -> None:
    found = triangular_strip_cumulants(width, length, K, b, periodic=periodic)
    assert_close(found, enumerated(width, length, K, b, periodic=periodic))


def by_spectrum(width: int, length: int, K: float, b: float) -> tuple[Cumulants, float]:
    trace = torus_trace(width, length, K, b, 0.0, triangular=True)
    return summed(scalars(trace.series, trace.log_scale), 2 * length * width * abs(K)), trace.cancellation


@pytest.mark.parametrize(("K", "b"), STATES)
@pytest.mark.parametrize(("width", "length"), [(2, 2), (3, 2), (2, 7), (3, 5), (4, 4), (5, 3), (6, 3)])
def test_the_spectrum_of_narrow_tori_is_the_sum_over_all_states(width: int, length: int, K: float, b: float) -> None:
    found, cancellation = by_spectrum(width, length, K, b)
    assert_close(found, enumerated(width, length, K, b, periodic=True), 1e-11 * cancellation)


@pytest.mark.parametrize(("K", "b"), [(0.27, 0.0), (-0.8, 0.1)])
def test_wide_tori_agree_site_by_site(K: float, b: float) -> None:
    bonds = lattice_bonds((9, 9), periodic=True, triangular=True).numpy()
    graph = SpinGraph.of(bonds, np.full(len(bonds), K), np.full(81, b))
    assert_close(triangular_strip_cumulants(9, 9, K, b, periodic=True), site_transfer_cumulants(graph), 1e-9)


def test_sectors_without_their_phases_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = enumerated(4, 3, -0.5, 0.0, periodic=True)
    monkeypatch.setattr(torus_spectrum, "_multiplicity", lambda k, width, *_: 1 if k in (0, width / 2) else 2)
    found, _ = by_spectrum(4, 3, -0.5, 0.0)
    assert abs(found.log_z - exact.log_z) > 1e-3


def test_a_cold_ferromagnet_has_two_ground_states_and_three_bonds_a_site() -> None:
    found = triangular_strip_cumulants(10, 30, 3.0, 0.0, periodic=True)
    assert found.log_z == pytest.approx(300 * 9.0 + log(2), abs=1e-10)
    assert found.mean == pytest.approx(-2700.0, abs=1e-10)


def test_a_width_of_14_is_done_where_open() -> None:
    found = triangular_strip_cumulants(14, 5, 0.3, 0.1, periodic=False)
    assert_close(triangular_strip_cumulants(5, 14, 0.3, 0.1, periodic=False), found, 1e-9)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize(("K", "b"), [(100.0, 0.5), (-1e3, 0.0), (1e9, 0.0), (-100.0, 300.0)])
def test_cold_strips_are_the_sum_over_all_states(K: float, b: float, *, periodic: bool) -> None:
    found, expected = (f(4, 4, K, b, periodic=periodic) for f in (triangular_strip_cumulants, enumerated))
    assert found.log_z == pytest.approx(expected.log_z, rel=1e-14, abs=1e-10)
    assert found.mean == pytest.approx(expected.mean, rel=1e-14, abs=1e-10)


@pytest.mark.parametrize(
    ("width", "K", "b", "why"), [(15, 0.1, 0.0, "width 15 at K"), (14, -20.0, 0.1, "at most 2.33.5")]
)
def test_what_is_too_wide_or_too_cold_is_refused(width: int, K: float, b: float, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        triangular_strip_cumulants(width, 20, K, b, periodic=True)
