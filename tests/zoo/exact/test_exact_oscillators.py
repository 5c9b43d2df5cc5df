"""Coupled oscillators: normal modes against the matrix of the springs, and ln Z against hyperbolic determinants."""

from math import log, pi, sin

import numpy as np
import pytest

from zoo.exact.gaussian import gaussian_log_z_by_elimination
from zoo.exact.oscillators import exact_reference, mode_vectors, normal_modes, oscillators_log_z_by_transfer
from zoo.specs.targets.coupled_oscillators import CoupledOscillatorsSpec

SPECS = [
    CoupledOscillatorsSpec(n=16),
    CoupledOscillatorsSpec(n=1),
    CoupledOscillatorsSpec(n=1, onsite=0.4, periodic=True),
    CoupledOscillatorsSpec(n=1, onsite=0.4, ends="free"),
    CoupledOscillatorsSpec(n=2, onsite=0.4, spring=1.3, periodic=True),
    CoupledOscillatorsSpec(n=2, onsite=0.4, spring=1.3, ends="free"),
    CoupledOscillatorsSpec(n=7, onsite=0.2, spring=2.1, periodic=True),
    CoupledOscillatorsSpec(n=8, onsite=3.0, spring=0.01, periodic=True),
    CoupledOscillatorsSpec(n=9, onsite=1e-6, ends="free"),
    CoupledOscillatorsSpec(n=9, onsite=0.7, spring=0.3, ends="fixed", momenta=True),
    CoupledOscillatorsSpec(n=5, onsite=0.7, periodic=True, momenta=True),
]


def spring_matrix(spec: CoupledOscillatorsSpec) -> np.ndarray:
    """K from a list of springs: E = 1/2 x^T K x."""
    n = spec.n
    bonds = [(i, i + 1) for i in range(n - 1)]
    if spec.periodic and n > 1:
        bonds.append((n - 1, 0))
    K = spec.onsite * np.eye(n)
    for i, j in bonds:
        difference = np.eye(n)[i] - np.eye(n)[j]
        K += spec.spring * np.outer(difference, difference)
    if spec.boundary == "fixed":
        K[0, 0] += spec.spring
        K[-1, -1] += spec.spring
    return K


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_normal_modes_diagonalise_the_springs(spec: CoupledOscillatorsSpec) -> None:
    K, squares, V = spring_matrix(spec), normal_modes(spec) ** 2, mode_vectors(spec)
    assert np.allclose(np.sort(squares), np.linalg.eigvalsh(K), rtol=1e-10, atol=1e-12)
    assert np.allclose(V @ V.T, np.eye(spec.n), atol=1e-12)
    assert np.allclose(V.T * squares @ V, K, atol=1e-12)


@pytest.mark.parametrize("spec", SPECS, ids=repr)
@pytest.mark.parametrize("beta", [0.2, 1.0, 7.0])
def test_free_energy_by_three_routes(spec: CoupledOscillatorsSpec, beta: float) -> None:
    found = exact_reference(spec, beta)
    assert found.beta_f == pytest.approx(-oscillators_log_z_by_transfer(spec, beta), abs=1e-10)
    momenta = spec.n / 2 * log(2 * pi / beta) if spec.momenta else 0
    by_elimination = gaussian_log_z_by_elimination(spring_matrix(spec), beta) + momenta
    assert found.beta_f == pytest.approx(-by_elimination, abs=1e-9)
    displacement = float(np.trace(np.linalg.inv(spring_matrix(spec)))) / (beta * spec.n)
    assert found.observables["mean_square_displacement"] == pytest.approx(displacement, rel=1e-9)


def test_the_chain_of_sixteen_between_walls() -> None:
    assert -exact_reference(CoupledOscillatorsSpec(n=16), 1).beta_f == pytest.approx(13.286409859, abs=5e-10)
    with_momenta = CoupledOscillatorsSpec(n=16, momenta=True)
    assert -exact_reference(with_momenta, 1).beta_f == pytest.approx(27.989426390, abs=1e-9)


def test_frequencies_between_walls_are_the_textbook_ones() -> None:
    spec = CoupledOscillatorsSpec(n=10, spring=2.5)
    assert normal_modes(spec) == pytest.approx([2 * 2.5**0.5 * sin(k * pi / 22) for k in range(1, 11)])


def test_other_ends_have_other_free_energies() -> None:
    ring = CoupledOscillatorsSpec(n=6, onsite=0.5, periodic=True)
    ends = [CoupledOscillatorsSpec(n=6, onsite=0.5, ends="free"), CoupledOscillatorsSpec(n=6, onsite=0.5, ends="fixed")]
    values = [exact_reference(spec, 1).beta_f for spec in (ring, *ends)]
    assert min(abs(values[0] - values[1]), abs(values[0] - values[2]), abs(values[1] - values[2])) > 0.05


def test_equipartition() -> None:
    found = exact_reference(CoupledOscillatorsSpec(n=6, momenta=True), 4).observables
    assert found["kinetic_energy_per_site"] == found["potential_energy_per_site"] == 1 / 8
    assert found["energy_per_site"] == 1 / 4
    assert found["heat_capacity_per_site"] == 1
