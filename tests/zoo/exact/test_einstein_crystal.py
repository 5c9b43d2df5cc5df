"""Einstein crystals by integration, the step to all labellings and a free centre, and published free energies."""

from math import erf, log, pi

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from zoo.exact.einstein_crystal import (
    crystal_log_z,
    einstein_log_z,
    einstein_log_z_fixed_center,
    einstein_log_z_in_box,
)
from zoo.exact.quadrature import plane_cumulants
from zoo.exact.solid_free_energies import beta_f_of_published, published_beta_f_per_particle
from zoo.specs.targets.lennard_jones import LennardJonesSpec
from zoo.specs.targets.monatomic_water import MonatomicWaterSpec
from zoo.targets.lennard_jones import LennardJones
from zoo.targets.monatomic_water import MonatomicWater


def test_springs_are_gaussian_integrals() -> None:
    one, _ = quad(lambda u: np.exp(-1.7 * u * u / 2), -20, 20, epsabs=0, epsrel=1e-12)
    boxed, _ = quad(lambda u: np.exp(-1.7 * u * u / 2), -1, 1, epsabs=0, epsrel=1e-12)
    assert einstein_log_z(4, 3, 1.7) == pytest.approx(12 * log(one))
    assert einstein_log_z_in_box(4, (2.0, 2.0), 1.7) == pytest.approx(8 * log(boxed))
    assert log(erf(1.0)) < 0
    assert einstein_log_z_in_box(5, (30.0,) * 3, 1.7) == pytest.approx(einstein_log_z(5, 3, 1.7))


def test_a_fixed_centre_is_the_euclidean_measure_of_its_subspace() -> None:
    # three particles on a line: two orthonormal vectors of the subspace u_1 + u_2 + u_3 = 0
    basis = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])
    grid = plane_cumulants(lambda y: 0.9 * ((y @ basis) ** 2).sum(1) / 2, (-9.0, -9.0), (9.0, 9.0))
    assert einstein_log_z_fixed_center(3, 1, 0.9) == pytest.approx(grid.log_z, abs=1e-11)
    assert einstein_log_z(3, 1, 0.9) != pytest.approx(grid.log_z, abs=0.1)


def test_a_ring_of_three_particles_has_all_its_labellings_and_places() -> None:
    # pairs repel as (s/r)^12 between nearest images on a ring of length 3: a crystal of lattice constant 1, m = 3
    side, coupling = 3.0, 0.3

    def energy(x: np.ndarray) -> np.ndarray:
        total = np.zeros(len(x))
        for i, j in ((0, 1), (1, 2), (2, 0)):
            r = x[:, i] - x[:, j]
            r = r - side * np.round(r / side)
            with np.errstate(divide="ignore"):
                total += np.minimum(coupling * np.abs(r) ** -12.0, 1e6)
        return total

    points = 1500  # the first particle anywhere, the others on a grid: both cyclic orders, all places
    axis = side * ((np.arange(points) + 0.5) / points - 0.5)
    others = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    everywhere = np.concatenate([np.zeros((len(others), 1)), others], 1)
    z = side * np.exp(-energy(everywhere)).sum() * (side / points) ** 2

    basis = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])
    y = np.stack(np.meshgrid(*[np.linspace(-1.6, 1.6, points)] * 2, indexing="ij"), -1).reshape(-1, 2)
    x = np.array([-1.0, 0.0, 1.0]) + y @ basis
    one_order = (x[:, 0] < x[:, 1]) & (x[:, 1] < x[:, 2]) & (x[:, 2] < x[:, 0] + side)
    z_fixed = (np.exp(-energy(x)) * one_order).sum() * (3.2 / (points - 1)) ** 2

    found = crystal_log_z(log(z_fixed), 3, (side,), atoms_in_cell=1)
    assert found == pytest.approx(log(z), abs=1e-6)
    assert crystal_log_z(log(z_fixed), 3, (side,), atoms_in_cell=3) != pytest.approx(log(z), abs=0.5)


def test_published_free_energies_are_of_indistinguishable_particles_in_units_of_sigma() -> None:
    # an ideal gas has beta F / n = ln(rho sigma^3) - 1 for many particles, by Stirling's formula
    spec = LennardJonesSpec(n=4000, density=0.5, sigma=1.7)
    ideal = -spec.n * log(spec.volume or 0.0)
    assert published_beta_f_per_particle(ideal, spec) == pytest.approx(log(0.5) - 1, abs=2e-3)
    water = MonatomicWaterSpec(n=216, density=0.03)
    ideal = -216 * log(216 / 0.03)
    stirling = log(2 * pi * 216) / (2 * 216)
    assert published_beta_f_per_particle(ideal, water) == pytest.approx(log(0.03 * 2.3925**3) - 1 + stirling, abs=1e-5)
    assert beta_f_of_published(published_beta_f_per_particle(-77.7, water), water) == pytest.approx(-77.7)
    with pytest.raises(ValueError, match="cluster"):
        published_beta_f_per_particle(1.0, LennardJonesSpec())


def harmonic_beta_f(target: LennardJones | MonatomicWater, beta: float, atoms_in_cell: int) -> float:
    """-ln Z of the crystal with its energy replaced by the second-order expansion about its sites.

    The force of a displacement of one particle gives three rows of the Hessian, and translations of the lattice (of a
    cell with ``atoms_in_cell`` atoms, so as many rows for each) the others.
    """
    x = target.lattice()
    n, sides = target.spec.n, torch.tensor(target.spec.sides, dtype=torch.float64)
    kinds = 1 if atoms_in_cell == 1 else 8  # sites of the cubic cell of diamond, in the order of the lattice
    step = 1e-5
    steps = step * torch.eye(3 * n, dtype=torch.float64)[: 3 * kinds].reshape(-1, n, 3)
    rows = -(target.force(x + steps) - target.force(x - steps)).reshape(kinds, 3, n, 3) / (2 * step)
    blocks = torch.zeros(n, 3, n, 3, dtype=torch.float64)
    for i in range(n):
        shift = x[i] - x[i % kinds]
        moved = x + shift - sides * torch.round((x + shift) / sides)
        order = torch.cdist(moved, x).argmin(1) if (moved - x).abs().max() > 0 else torch.arange(n)
        away = x[order] - moved
        assert (away - sides * torch.round(away / sides)).abs().max() < 1e-9
        blocks[i][:, order] = rows[i % kinds]
    stiffness = torch.linalg.eigvalsh(blocks.reshape(3 * n, 3 * n))[3:]
    fixed = -beta * target.energy(x[None]).item() + 0.5 * float(torch.log(2 * pi / (beta * stiffness)).sum())
    return -crystal_log_z(fixed, n, target.spec.sides or (), atoms_in_cell)


@pytest.mark.parametrize(("n", "published"), [(64, -25.16306), (216, -25.08234)])
def test_harmonic_ice_is_close_to_its_published_free_energy(n: int, published: float) -> None:
    # Wirnsberger et al., arXiv:2111.08696, cubic ice at 200 K by multistate reweighting; the anharmonic part is -0.07
    target = MonatomicWater(MonatomicWaterSpec(n=n, density=0.033567184))
    found = published_beta_f_per_particle(harmonic_beta_f(target, 1 / (0.0019872067 * 200), 2), target.spec)
    assert found == pytest.approx(published, abs=0.08)


def test_the_size_dependence_of_a_harmonic_solid_is_the_published_one() -> None:
    # Wirnsberger et al.: 3.10798 and 3.12262 for 256 and 500 particles, r_c = 2.7, beta 0.5: anharmonic by 0.123
    found = {}
    for n in (256, 500):
        target = LennardJones(LennardJonesSpec(n=n, density=1.28, cutoff=2.7))
        found[n] = published_beta_f_per_particle(harmonic_beta_f(target, 0.5, 1), target.spec)
    assert found[500] - found[256] == pytest.approx(3.12262 - 3.10798, abs=5e-4)
    assert found[256] == pytest.approx(3.10798, abs=0.13)
