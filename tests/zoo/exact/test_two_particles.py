"""References of one and two particles against sums over grids of the targets' own energies, and closed forms."""

from math import lgamma, log, pi

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from tests.zoo.exact.particle_grids import by_box_grid, by_four_coordinates, by_grid
from zoo.catalog import build_target
from zoo.core.targets import HasExactFreeEnergy
from zoo.exact.cumulants import Cumulants
from zoo.exact.harmonic_trap import trap_cumulants
from zoo.exact.two_particles import log_sphere_area, radial_cumulants, sum_of
from zoo.specs.errors import NoExactReferenceError
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.coulomb_gas import CoulombGasSpec
from zoo.specs.targets.double_well_particles import DoubleWellParticlesSpec
from zoo.specs.targets.lennard_jones import LennardJonesSpec
from zoo.specs.targets.monatomic_water import MonatomicWaterSpec
from zoo.targets.coulomb_gas import CoulombGas


def reference(spec: TargetSpec, beta: float) -> ExactReference:
    target = build_target(spec)
    assert isinstance(target, HasExactFreeEnergy)
    return target.exact_reference(beta)


def assert_agrees(found: ExactReference, expected: Cumulants, beta: float, tolerance: float) -> None:
    assert found.method == "quadrature"
    assert found.beta_f == pytest.approx(-expected.log_z, abs=tolerance)
    assert found.observables["energy_per_particle"] == pytest.approx(expected.mean / (2 * beta), abs=tolerance / beta)
    assert found.observables["heat_capacity_per_particle"] == pytest.approx(expected.variance / 2, abs=5 * tolerance)


CLUSTERS = [
    (DoubleWellParticlesSpec(n=2), 1.0, 5.0, 1000, 1e-9),
    (DoubleWellParticlesSpec(n=2), 0.1, 6.0, 1000, 1e-9),
    (DoubleWellParticlesSpec(n=2, dimension=1), 3.0, 5.0, 4000, 1e-9),
    (DoubleWellParticlesSpec(n=2, dimension=3, a=0.5, b=1.0, c=0.3, r0=1.0, tau=0.8), 1.0, 3.0, 100, 1e-6),
    (LennardJonesSpec(n=2, dimension=2), 1.0, 5.0, 1000, 1e-9),
    (LennardJonesSpec(n=2, dimension=2, epsilon=2.0, sigma=0.8, center_pull=0.4), 2.0, 6.0, 1200, 1e-8),
    (LennardJonesSpec(n=2), 1.0, 5.0, 120, 1e-3),
]


@pytest.mark.parametrize(("spec", "beta", "half_width", "points", "tolerance"), CLUSTERS, ids=str)
def test_pairs_with_a_fixed_centre_are_sums_over_a_grid(
    spec: TargetSpec, beta: float, half_width: float, points: int, tolerance: float
) -> None:
    # the polynomial of r has a cusp at r = 0, of small weight, which limits the grid to about 1e-9
    assert_agrees(reference(spec, beta), by_grid(spec, beta, half_width, points), beta, tolerance)


def test_the_measure_of_the_relative_vector_is_caught() -> None:
    spec = DoubleWellParticlesSpec(n=2)
    expected = by_grid(spec, 1.0, 5.0, 400)
    assert abs(reference(spec, 1.0).beta_f + expected.log_z + log(2)) > 0.5  # d/2 ln 2 for d = 2, one way or the other


BOXES = [
    (LennardJonesSpec(n=2, dimension=2, density=0.2, switching=1.2), 1.0, 1200, 2e-6),
    (LennardJonesSpec(n=2, dimension=2, box=(4.0, 3.0), epsilon=2.0), 0.7, 1200, 2e-5),
    (LennardJonesSpec(n=2, density=0.1), 1.5, 140, 2e-4),
    (MonatomicWaterSpec(n=2, box=(8.7, 9.0, 9.5)), 0.8, 120, 1e-6),
]


@pytest.mark.parametrize(("spec", "beta", "points", "tolerance"), BOXES, ids=str)
def test_pairs_in_a_box_are_sums_over_a_grid(
    spec: LennardJonesSpec | MonatomicWaterSpec, beta: float, points: int, tolerance: float
) -> None:
    expected = by_box_grid(spec, beta, points)
    assert_agrees(reference(spec, beta), expected, beta, tolerance)


def test_two_charges_in_the_plane_have_the_published_free_energy() -> None:
    assert reference(CoulombGasSpec(n=2, trap=2.0), 10.0).beta_f == pytest.approx(15.7678935991, abs=1e-10)


@pytest.mark.parametrize(("trap", "charge_squared", "beta"), [(2.0, 1.0, 10.0), (2.0, 1.5, 3.0)])
def test_two_charges_are_a_sum_over_four_coordinates(trap: float, charge_squared: float, beta: float) -> None:
    spec = CoulombGasSpec(n=2, trap=trap, charge_squared=charge_squared)
    width = 0.6 + 5 / (beta * trap) ** 0.5
    expected = by_four_coordinates(spec, beta, width, 44)
    assert reference(spec, beta).beta_f == pytest.approx(-expected, abs=2e-5)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize(("trap", "charge_squared", "beta"), [(2.0, 1.0, 10.0), (0.5, 3.0, 0.7), (1e-6, 1.0, 1e3)])
def test_two_logarithmic_charges_are_a_gamma_function(
    dimension: int, trap: float, charge_squared: float, beta: float
) -> None:
    # the integral of r^(d-1+g) exp(-beta k r^2 / 4) is Gamma((d+g)/2) / 2 (4 / (beta k))^((d+g)/2), g = beta q^2
    spec = CoulombGasSpec(
        n=2, dimension=3 if dimension == 3 else 2, trap=trap, charge_squared=charge_squared, interaction="logarithmic"
    )
    half = (dimension + beta * charge_squared) / 2
    relative = log_sphere_area(dimension) + lgamma(half) - log(2) + half * log(4 / (beta * trap))
    found = reference(spec, beta)
    assert found.beta_f == pytest.approx(-relative - dimension / 2 * log(pi / (beta * trap)), rel=1e-13, abs=1e-12)
    assert found.observables["sum_r_squared"] == pytest.approx((2 * dimension / beta + charge_squared) / trap)
    # u = trap part + repulsion; <trap part> = k/2 <sum r^2>, and the digamma function gives the rest
    assert found.observables["heat_capacity_per_particle"] > 0


@pytest.mark.parametrize("dimension", [2, 3])
def test_two_inverse_charges_are_one_integral_by_another_rule(dimension: int) -> None:
    spec = CoulombGasSpec(n=2, dimension=3 if dimension == 3 else 2, trap=0.8, charge_squared=1.3)
    beta = 1.7

    def weight(r: float) -> float:
        return r ** (dimension - 1) * float(np.exp(-beta * (0.2 * r * r + 1.3 / r))) if r > 0 else 0.0

    relative, _ = quad(weight, 0, 15, epsabs=0, epsrel=1e-12, limit=400)
    fourth, _ = quad(lambda r: r * r * weight(r), 0, 15, epsabs=0, epsrel=1e-12, limit=400)
    found = reference(spec, beta)
    expected = log(relative) + log_sphere_area(dimension) + dimension / 2 * log(pi / (beta * 0.8))
    assert found.beta_f == pytest.approx(-expected, abs=1e-11)
    squared = dimension / (beta * 0.8) + fourth / relative / 2  # 2 <R^2> + <r^2> / 2
    assert found.observables["sum_r_squared"] == pytest.approx(squared, rel=1e-11)


@pytest.mark.parametrize(
    "spec",
    [
        CoulombGasSpec(n=2, trap=2.0),
        CoulombGasSpec(n=2, dimension=3, interaction="logarithmic", charge_squared=0.5),
        DoubleWellParticlesSpec(n=2, tau=3.0),
        LennardJonesSpec(n=2),
        LennardJonesSpec(n=2, density=0.05, switching=1.5),
    ],
    ids=str,
)
@pytest.mark.parametrize("beta", [0.3, 2.0])
def test_energy_and_heat_capacity_are_derivatives_of_the_free_energy(spec: TargetSpec, beta: float) -> None:
    step = 1e-3 * beta
    low, here, high = (reference(spec, b) for b in (beta - step, beta, beta + step))
    energy = (high.beta_f - low.beta_f) / (2 * step) / 2
    heat = -(beta**2) * (high.beta_f - 2 * here.beta_f + low.beta_f) / step**2 / 2
    assert here.observables["energy_per_particle"] == pytest.approx(energy, rel=1e-4, abs=1e-5)
    assert here.observables["heat_capacity_per_particle"] == pytest.approx(heat, rel=1e-3, abs=1e-5)


def test_charges_without_charge_and_single_ones_are_gaussian() -> None:
    for spec in (CoulombGasSpec(n=1, dimension=3, trap=1.4), CoulombGasSpec(n=7, trap=1.4, charge_squared=0.0)):
        found = reference(spec, 0.6)
        coordinates = spec.n * spec.dimension
        assert found.method == "independent particles"
        assert found.beta_f == pytest.approx(-coordinates / 2 * log(2 * pi / (0.6 * 1.4)))
        assert found.observables["heat_capacity_per_particle"] == pytest.approx(spec.dimension / 2)
        x = torch.from_numpy(np.random.default_rng(1).normal(size=(40_000, spec.n, spec.dimension)))
        drawn = CoulombGas(spec).observables(x / (0.6 * 1.4) ** 0.5)
        for name, exact in found.observables.items():
            if name in drawn:
                mean, error = float(drawn[name].mean()), float(drawn[name].std()) / 200
                assert abs(mean - exact) < 4 * error


def test_small_charges_approach_none() -> None:
    weak = reference(CoulombGasSpec(n=2, dimension=3, charge_squared=1e-7), 1.0)
    none = reference(CoulombGasSpec(n=2, dimension=3, charge_squared=0.0), 1.0)
    assert weak.beta_f == pytest.approx(none.beta_f, abs=1e-6)
    assert weak.observables == pytest.approx({name: none.observables[name] for name in weak.observables}, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 1e4, 1e9])
def test_units_only_shift_the_free_energy(scale: float) -> None:
    plain = reference(LennardJonesSpec(n=2), 1.0)
    scaled = LennardJonesSpec(n=2, sigma=scale**0.5, center_pull=1 / scale)
    assert reference(scaled, 1.0).beta_f == pytest.approx(plain.beta_f - 1.5 * log(scale), abs=1e-9)


@pytest.mark.parametrize("beta", [1e-12, 1e6])
def test_cold_and_hot_wells_are_found(beta: float) -> None:
    spec = DoubleWellParticlesSpec(n=2, dimension=1)
    found = reference(spec, beta)
    if beta > 1:  # two wells in the distance on both sides of 0: ln Z is that of four Gaussians, curvature v'' = 16
        expected = beta * 16 / 3.6 + log(4) + log(2 * pi / (beta * 16)) / 2 - log(2) / 2
        assert found.beta_f == pytest.approx(-expected, abs=1e-5)
    assert found.observables["heat_capacity_per_particle"] == pytest.approx(0.25 if beta > 1 else 0.125, rel=0.02)


def test_parts_of_a_domain_add_up() -> None:
    def u(r: np.ndarray) -> np.ndarray:
        return np.asarray(0.5 * r**2 + 1 / r)

    whole = radial_cumulants(u, 3)
    parts = sum_of([radial_cumulants(u, 3, 0.0, 0.8), radial_cumulants(u, 3, 0.8, 2.5), radial_cumulants(u, 3, 2.5)])
    assert (parts.log_z, parts.mean, parts.variance) == pytest.approx((whole.log_z, whole.mean, whole.variance))


def test_a_gaussian_is_a_radial_integral() -> None:
    for d in (1, 2, 3, 5):
        found, exact = radial_cumulants(lambda r: np.asarray(0.35 * r**2), d), trap_cumulants(d, 0.7)
        assert (found.log_z, found.mean, found.variance) == pytest.approx((exact.log_z, exact.mean, exact.variance))


EXTREME: list[tuple[TargetSpec, float]] = [
    (CoulombGasSpec(n=2), 1e9),
    (CoulombGasSpec(n=2, interaction="logarithmic"), 1e9),
    (LennardJonesSpec(n=2), 1e9),
    (LennardJonesSpec(n=2, sigma=1e9, epsilon=1e9), 1.0),
    (LennardJonesSpec(n=2, density=0.01), 1e9),
    (DoubleWellParticlesSpec(n=2, tau=1e-9), 1.0),
    (DoubleWellParticlesSpec(n=2, dimension=1, r0=1e9), 1.0),
    (MonatomicWaterSpec(n=2, density=1e-3), 1e9),
]


@pytest.mark.parametrize(("spec", "beta"), EXTREME, ids=str)
def test_a_pair_with_extreme_parameters_has_a_finite_answer_or_none(spec: TargetSpec, beta: float) -> None:
    target = build_target(spec)
    assert isinstance(target, HasExactFreeEnergy)
    try:
        found = target.exact_reference(beta)
    except NoExactReferenceError:
        return
    assert np.isfinite([found.beta_f, *found.observables.values()]).all()


def test_a_pair_that_the_quadrature_refuses_has_no_exact_reference() -> None:
    for spec, beta in EXTREME[:1] + EXTREME[2:3] + EXTREME[5:7]:
        target = build_target(spec)
        assert isinstance(target, HasExactFreeEnergy)
        with pytest.raises(NoExactReferenceError, match="no exact free energy"):
            target.exact_reference(beta)
