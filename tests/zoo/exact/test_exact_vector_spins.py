"""Chains of vector spins and vectors in a field, against quadrature, closed forms and the XY model."""

from math import log, pi, sinh, tanh

import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss

from zoo.exact import vector_spins
from zoo.exact.vector_spins import (
    _log_degeneracy,
    exact_reference,
    independent_cumulants,
    log_area,
    vector_chain_cumulants,
)
from zoo.exact.xy import xy_chain_cumulants
from zoo.specs.errors import InvalidValueError, NoExactReferenceError
from zoo.specs.targets.vector_spins import VectorSpinsSpec


def kernel_on_heights(K: float, components: int, points: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Heights of a fixed axis, and the share of the area that each stands for: (1 - h^2)^((d-3)/2) dh."""
    angle, weight = leggauss(points)
    theta = (angle + 1) * pi / 2  # h = cos(theta), for which dA ~ sin^(d-2) d(theta) has no singular ends
    share = weight * np.sin(theta) ** (components - 2)
    return np.cos(theta), share / share.sum()


@pytest.mark.parametrize("components", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("K", [1e-3, 0.3, 1.7, 20.0])
def test_a_vector_in_a_field_is_its_integral_over_heights(K: float, components: int) -> None:
    h, share = kernel_on_heights(K, components)
    weights = share * np.exp(K * h)
    mean = float(weights @ h / weights.sum())
    found = independent_cumulants(3, -K, components)
    assert found.log_z == pytest.approx(3 * (log_area(components) + log(weights.sum())), rel=1e-13, abs=1e-13)
    assert found.mean == pytest.approx(-3 * K * mean, rel=1e-11)
    assert found.variance == pytest.approx(3 * K * K * float(weights @ (h - mean) ** 2) / weights.sum(), rel=1e-10)


def test_three_components_have_the_function_of_langevin() -> None:
    K = 2.4
    found = vector_chain_cumulants(9, K, 3, periodic=False)
    assert found.log_z == pytest.approx(9 * log(4 * pi) + 8 * log(sinh(K) / K), rel=1e-14)
    assert found.mean == pytest.approx(-8 * K * (1 / tanh(K) - 1 / K), rel=1e-14)
    assert found.variance == pytest.approx(8 * (1 - (K / sinh(K)) ** 2), rel=1e-12)


@pytest.mark.parametrize("K", [1e-6, 0.3, -2.0, 5.0, 800.0])
@pytest.mark.parametrize("length", [1, 2, 3, 8])
@pytest.mark.parametrize("periodic", [True, False])
def test_two_components_are_planar_spins(K: float, length: int, periodic: bool) -> None:  # noqa: FBT001 - a case
    found, expected = (
        vector_chain_cumulants(length, K, 2, periodic=periodic),
        xy_chain_cumulants(length, K, periodic=periodic),
    )
    assert found.log_z == pytest.approx(expected.log_z, rel=1e-13)
    assert found.mean == pytest.approx(expected.mean, rel=1e-12)
    assert found.variance == pytest.approx(expected.variance, rel=1e-8)


@pytest.mark.parametrize(("K", "components"), [(1.3, 3), (-1.3, 3), (0.4, 4), (-2.0, 5), (6.0, 3)])
def test_a_ring_of_three_is_its_integral(K: float, components: int) -> None:
    """With s_1 fixed, s_2 and s_3 have heights h, k along it and an angle between what is left of them."""
    h, share = kernel_on_heights(K, components, 120)
    c, between = kernel_on_heights(K, components - 1, 120)
    dot = h[:, None, None] * h[None, :, None] + np.sqrt(np.outer(1 - h**2, 1 - h**2))[:, :, None] * c
    weights = np.einsum("i,j,k,ijk->", share, share, between, np.exp(K * (h[:, None, None] + h[None, :, None] + dot)))
    found = vector_chain_cumulants(3, K, components, periodic=True)
    assert found.log_z == pytest.approx(3 * log_area(components) + log(weights), rel=1e-12)


@pytest.mark.parametrize(("K", "length", "components"), [(0.7, 2, 3), (1.5, 5, 3), (-1.5, 5, 3), (30.0, 6, 4)])
def test_energies_are_derivatives(K: float, length: int, components: int) -> None:
    def log_z(scale: float) -> float:
        return vector_chain_cumulants(length, scale * K, components, periodic=True).log_z

    found, d = vector_chain_cumulants(length, K, components, periodic=True), 1e-3
    first = (log_z(1 - 2 * d) - 8 * log_z(1 - d) + 8 * log_z(1 + d) - log_z(1 + 2 * d)) / (12 * d)
    second = (log_z(1 - d) - 2 * log_z(1) + log_z(1 + d)) / d**2
    assert found.mean == pytest.approx(-first, rel=1e-9)
    assert found.variance == pytest.approx(second, rel=1e-4)


def test_harmonics_are_counted() -> None:
    degrees = np.arange(5, dtype=np.float64)
    counts = {2: [1, 2, 2, 2, 2], 3: [1, 3, 5, 7, 9], 4: [1, 4, 9, 16, 25], 5: [1, 5, 14, 30, 55]}
    for components, expected in counts.items():
        assert np.exp(_log_degeneracy(degrees, components)) == pytest.approx(expected)


def test_a_ring_without_its_multiplicities_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = vector_chain_cumulants(3, 1.3, 3, periodic=True).log_z
    monkeypatch.setattr(vector_spins, "_log_degeneracy", lambda degree, components: 0 * degree)
    assert abs(vector_chain_cumulants(3, 1.3, 3, periodic=True).log_z - right) > 0.05


@pytest.mark.parametrize(
    ("parameters", "beta", "why"),
    [
        ({"shape": (4, 4)}, 1.0, "not a chain"),
        ({"shape": (4,), "h": 0.5}, 1.0, "a field h = 0.5"),
        ({"shape": (4,)}, 2e4, "up to 10000"),
        ({"shape": (4,), "J": 0.0, "h": 3e4}, 1.0, "up to 10000"),
        ({"shape": (5,), "J": -1.0}, 500.0, "frustrated ring of 5 at K = -500"),
    ],
)
def test_what_is_not_covered_is_said(parameters: dict[str, object], beta: float, why: str) -> None:
    with pytest.raises(NoExactReferenceError, match=why):
        exact_reference(VectorSpinsSpec.model_validate(parameters), beta)


def test_infinite_temperature_is_the_area_and_bad_temperatures_are_refused() -> None:
    spec = VectorSpinsSpec(shape=(3, 4), h=0.2)
    assert exact_reference(spec, 0.0).beta_f == pytest.approx(-12 * log(4 * pi), rel=1e-14)
    assert exact_reference(spec, 0.0).observables["energy_per_site"] == 0
    with pytest.raises(InvalidValueError, match="beta is -1"):
        exact_reference(spec, -1.0)
