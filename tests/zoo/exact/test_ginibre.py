"""The logarithmic gas at beta q^2 = 2: Z by a cubature that is exact, radii and energy by random matrices."""

from math import log

import numpy as np
import pytest
import torch
from scipy.special import digamma

from tests.zoo.exact.particle_grids import by_cubature, gas
from zoo.exact.coulomb_gas import exact_reference
from zoo.exact.ginibre import ginibre_applies, ginibre_log_z, ginibre_mean_logarithm, ginibre_radii
from zoo.specs.errors import InvalidValueError, NoExactReferenceError
from zoo.targets.coulomb_gas import CoulombGas


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize(("trap", "beta"), [(2.0, 1.0), (0.7, 0.4), (5.0, 3.0)])
def test_z_is_that_of_an_exact_cubature_of_the_energy(n: int, trap: float, beta: float) -> None:
    spec = gas(n, trap, beta)
    z, fourth = by_cubature(spec)
    found = exact_reference(spec, beta)
    assert found.beta_f == pytest.approx(-log(z), abs=1e-10)
    assert found.observables["sum_r_fourth"] == pytest.approx(fourth, rel=1e-11)


def test_another_charge_is_caught_by_the_cubature() -> None:
    spec = gas(3).model_copy(update={"charge_squared": 2.05})
    assert abs(log(by_cubature(spec)[0]) - ginibre_log_z(3, 2.0)) > 0.01


@pytest.mark.parametrize(("n", "beta_f"), [(10, -75.5130066103897), (6, -23.8980827500245)])
def test_beta_f_is_the_published_number(n: int, beta_f: float) -> None:
    assert exact_reference(gas(n), 1.0).beta_f == pytest.approx(beta_f, abs=1e-11)


def test_radii_of_six_charges_are_the_published_numbers() -> None:
    assert ginibre_radii(6, 2.0) == pytest.approx({"sum_r_squared": 21.0, "sum_r_fourth": 112.0})


@pytest.mark.parametrize(("n", "trap"), [(2, 2.0), (3, 0.5), (6, 2.0), (12, 5.0)])
def test_radii_and_energy_are_those_of_eigenvalues_of_random_matrices(n: int, trap: float) -> None:
    rng = np.random.default_rng(n)
    number = 8_000
    matrices = (rng.normal(size=(number, n, n)) + 1j * rng.normal(size=(number, n, n))) / 2**0.5
    z = np.linalg.eigvals(matrices) * (2 / trap) ** 0.5
    spec = gas(n, trap)
    found = CoulombGas(spec).observables(torch.from_numpy(np.stack([z.real, z.imag], -1)))
    exact = exact_reference(spec, 1.0).observables
    for name in ("sum_r_squared", "sum_r_fourth", "energy_per_particle"):
        mean, error = float(found[name].mean()), float(found[name].std()) / number**0.5
        assert abs(mean - exact[name]) < 4 * error
        assert error < 0.05 * abs(exact[name])


def test_mean_logarithm_of_two_charges_is_a_digamma_function() -> None:
    for trap in (0.3, 2.0):
        expected = (float(digamma(2.0)) + log(4 / trap)) / 2
        assert ginibre_mean_logarithm(2, trap) == pytest.approx(expected, abs=1e-13)


def test_energy_in_the_bulk_is_that_of_the_one_component_plasma() -> None:
    # Jancovici, Phys. Rev. Lett. 46, 386 (1981): excess energy -q^2/4 [ln(pi rho) + Euler's gamma] per charge in the
    # bulk at unit length, beta q^2 = 2; a droplet adds the disc's self-energy, which is classical, and an edge
    def beyond_classical(n: int) -> float:
        density = 1 / np.pi  # trap 2, q^2 2: k = pi q^2 rho
        radius = n**0.5
        disc = 2 * (-(n**2) / 2 * (log(radius) - 1 / 4))  # -q^2 times half the mean of ln |x - y| over a uniform disc
        trap = n * radius**2 / 2
        total = exact_reference(gas(n), 1.0).observables["energy_per_particle"] * n
        return float((total - disc - trap) / n + (log(np.pi * density) + np.euler_gamma) / 2)

    small, large = beyond_classical(50), beyond_classical(200)
    assert abs(large) < abs(small) < 0.2
    assert abs(large) == pytest.approx(abs(small) / 2, rel=0.35)  # an edge, of order n^(-1/2)


@pytest.mark.parametrize("beta", [0.5, 1.5, 1.0 + 1e-9])
def test_other_temperatures_of_many_charges_have_no_reference(beta: float) -> None:
    with pytest.raises(NoExactReferenceError, match=r"beta q\^2 = .*at most 2 charges"):
        exact_reference(gas(4), beta)
    assert ginibre_applies(2.0 + 1e-13)


def test_other_dimensions_and_interactions_have_no_reference() -> None:
    for update in ({"dimension": 3}, {"interaction": "inverse"}):
        with pytest.raises(NoExactReferenceError):
            exact_reference(gas(4).model_copy(update=update), 1.0)


@pytest.mark.parametrize("beta", [0.0, -1.0, float("nan"), float("inf")])
def test_a_beta_that_is_no_temperature_is_refused(beta: float) -> None:
    with pytest.raises(InvalidValueError, match="beta is"):
        exact_reference(gas(2), beta)


def test_the_energy_of_very_many_charges_is_not_summed() -> None:
    assert "energy_per_particle" not in exact_reference(gas(300), 1.0).observables
    with pytest.raises(ValueError, match="at most 200"):
        ginibre_mean_logarithm(300, 2.0)
