"""The plaquette action against a loop over plaquettes, its force, gauge symmetry, and reweighted averages."""

from itertools import product
from math import cos, log, pi

import numpy as np
import pytest
import torch
from torch import Tensor

from zoo.core.targets import negative_gradient
from zoo.specs.targets.u1_gauge import U1GaugeSpec
from zoo.targets.u1_gauge import U1Gauge

SPECS = [U1GaugeSpec(shape=shape) for shape in ((1, 1), (1, 3), (2, 2), (3, 4), (4, 4))]


def by_plaquettes(theta: np.ndarray, *, reverse: bool = True) -> tuple[float, float]:
    """E and Q of one configuration; ``reverse`` False is the wrong sign of the two returning links."""
    sign = -1 if reverse else 1
    energy, charge = 0.0, 0.0
    rows, columns = theta.shape[1:]
    for i, j in product(range(rows), range(columns)):
        down, right = (i + 1) % rows, (j + 1) % columns
        angle = float(theta[0, i, j] + theta[1, down, j] + sign * (theta[0, i, right] + theta[1, i, j]))
        energy -= cos(angle)
        charge += np.angle(np.exp(1j * angle)) / (2 * pi)
    return energy, charge


def configurations(spec: U1GaugeSpec, num: int = 30, seed: int = 1) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(-pi, pi, size=(num, 2, *spec.shape)))


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_energy_and_charge_are_sums_over_plaquettes(spec: U1GaugeSpec, dtype: torch.dtype) -> None:
    target, x = U1Gauge(spec), configurations(spec).to(dtype)
    expected = np.array([by_plaquettes(theta) for theta in x.double().numpy()])
    assert target.energy(x).dtype == torch.float64
    assert target.energy(x).numpy() == pytest.approx(expected[:, 0], abs=1e-12)
    charge = target.observables(x)["topological_charge"]
    assert torch.equal(charge, charge.round())
    assert charge.numpy() == pytest.approx(expected[:, 1], abs=1e-10)


def test_links_that_do_not_return_are_caught() -> None:
    spec = U1GaugeSpec(shape=(3, 4))
    x = configurations(spec, 1)
    wrong, _ = by_plaquettes(x[0].numpy(), reverse=False)
    assert abs(wrong - U1Gauge(spec).energy(x).item()) > 0.1


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_force_is_minus_the_gradient(spec: U1GaugeSpec) -> None:
    target, x = U1Gauge(spec), configurations(spec, 5)
    force = target.force(x)
    assert force.dtype == torch.float64
    assert torch.allclose(force, negative_gradient(target.energy, x), atol=1e-12)
    steps = 1e-5 * torch.eye(spec.space.num_sites, dtype=torch.float64).reshape(-1, 1, 2, *spec.shape)
    by_differences = torch.stack([(target.energy(x - s) - target.energy(x + s)) / 2e-5 for s in steps], 1)
    assert torch.allclose(force, by_differences.reshape(x.shape), atol=1e-8)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_claimed_symmetries_hold(spec: U1GaugeSpec) -> None:
    target, x = U1Gauge(spec), configurations(spec)
    assert target.symmetries == {"z2", "lattice_translation", "global_shift", "gauge"}
    alpha = configurations(spec, seed=2)[:, 0]
    gauged = x + torch.stack([alpha - alpha.roll(-1, 1), alpha - alpha.roll(-1, 2)], 1)
    images = [-x, x.roll(1, 2), x.roll(1, 3), x + 0.7, gauged, target.space.canonical(gauged)]
    for y in images:
        assert torch.allclose(target.energy(y), target.energy(x))
    assert torch.equal(target.observables(gauged)["topological_charge"], target.observables(x)["topological_charge"])


def test_a_gauge_transformation_with_the_wrong_neighbour_is_none() -> None:
    spec = SPECS[3]
    target, x = U1Gauge(spec), configurations(spec)
    alpha = configurations(spec, seed=2)[:, 0]
    wrong = x + torch.stack([alpha - alpha.roll(1, 1), alpha - alpha.roll(1, 2)], 1)
    assert not torch.allclose(target.energy(wrong), target.energy(x))


def test_a_uniform_flux_of_one_turn_has_charge_one_and_equal_plaquettes() -> None:
    side = 6
    step = torch.arange(side, dtype=torch.float64)
    first = (-2 * pi / side**2 * step).expand(side, side)  # theta_0 falls by 2 pi / side^2 from column to column
    second = torch.zeros(side, side, dtype=torch.float64)
    second[:, -1] = 2 * pi / side * step  # and this takes up its jump of 2 pi / side where the columns close
    found = U1Gauge(U1GaugeSpec(shape=(side, side))).observables(torch.stack([first, second])[None])
    assert found["topological_charge"].item() == 1
    assert found["topological_charge_squared"].item() == 1
    assert found["plaquette"].item() == pytest.approx(cos(2 * pi / side**2), abs=1e-12)


@pytest.mark.parametrize(("shape", "beta"), [((2, 2), 0.8), ((1, 3), 1.5), ((2, 3), 0.5)])
def test_uniform_links_reweighted_give_the_exact_free_energy_and_means(shape: tuple[int, int], beta: float) -> None:
    spec, num = U1GaugeSpec(shape=shape, beta=beta), 400_000
    target = U1Gauge(spec)
    x = configurations(spec, num, seed=7)
    weights = torch.exp(-beta * target.energy(x))
    exact = target.exact_reference(beta)
    log_z = log(float(weights.mean())) + spec.space.num_sites * log(2 * pi)
    assert abs(log_z + exact.beta_f) < 4.5 * float(weights.std() / weights.mean()) / num**0.5
    found = target.observables(x)
    for name in ("energy_per_site", "plaquette", "topological_charge", "topological_charge_squared"):
        mean = (weights @ found[name]) / weights.sum()
        error = float((weights * (found[name] - mean)).square().sum().sqrt() / weights.sum())
        assert abs(float(mean) - exact.observables[name]) < 4.5 * error + 1e-12, name
