"""The XY energy against a loop over bonds, its force, symmetries, vortices, and averages by importance sampling."""

from itertools import product
from math import cos, log, pi

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from zoo.core.targets import negative_gradient
from zoo.specs.targets.xy import XYSpec
from zoo.targets.xy import XY

SPECS = [
    XYSpec(shape=(1,)),
    XYSpec(shape=(2,)),
    XYSpec(shape=(7,), J=-1.5),
    XYSpec(shape=(7,), periodic=False),
    XYSpec(shape=(2, 2), periodic=False),
    XYSpec(shape=(2, 5), J=0.7),
    XYSpec(shape=(4, 4)),
    XYSpec(shape=(3, 3), periodic=False),
    XYSpec(shape=(3, 1, 2), J=2.0),
    XYSpec(shape=(3, 4), J=0.0, periodic=False),
]


def by_bonds(theta: np.ndarray, spec: XYSpec, *, double_bonds: bool = True) -> float:
    """E of one configuration: each site's bond to the next along each axis, wrapped where periodic."""
    energy = 0.0
    for site in product(*(range(side) for side in spec.shape)):
        for axis, side in enumerate(spec.shape):
            following = list(site)
            following[axis] = (site[axis] + 1) % side
            wraps = following[axis] != site[axis] + 1
            if side == 1 or (wraps and not spec.periodic) or (wraps and side == 2 and not double_bonds):
                continue
            energy -= spec.J * cos(float(theta[site] - theta[tuple(following)]))
    return energy


def configurations(spec: XYSpec, num: int = 30, seed: int = 1) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(-pi, pi, size=(num, *spec.shape)))


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_energy_is_the_sum_over_bonds(spec: XYSpec, dtype: torch.dtype) -> None:
    x = configurations(spec).to(dtype)
    energy = XY(spec).energy(x)
    assert energy.dtype == torch.float64
    assert energy.shape == (30,)
    assert energy.numpy() == pytest.approx([by_bonds(theta, spec) for theta in x.double().numpy()], abs=1e-12)


def test_counting_the_bond_of_a_periodic_pair_once_is_caught() -> None:
    spec = XYSpec(shape=(2, 5), J=0.7)
    x = configurations(spec, 1)
    assert abs(XY(spec).energy(x).item() - by_bonds(x[0].numpy(), spec, double_bonds=False)) > 0.01


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_force_is_minus_the_gradient(spec: XYSpec) -> None:
    target, x = XY(spec), configurations(spec, 5)
    force = target.force(x)
    assert force.dtype == torch.float64
    assert torch.allclose(force, negative_gradient(target.energy, x), atol=1e-12)
    steps = 1e-5 * torch.eye(spec.space.num_sites, dtype=torch.float64).reshape(-1, 1, *spec.shape)
    by_differences = torch.stack([(target.energy(x - s) - target.energy(x + s)) / 2e-5 for s in steps], 1)
    assert torch.allclose(force, by_differences.reshape(x.shape), atol=1e-8)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_symmetries_hold_exactly_where_they_are_claimed(spec: XYSpec) -> None:
    target, x = XY(spec), configurations(spec)
    energy = target.energy(x)
    assert {"z2", "global_shift", "lattice_point_group"} <= target.symmetries
    images = [-x, x + 0.7, *(x.flip(axis) for axis in range(1, x.ndim))]
    if x.ndim == 3 and spec.shape[0] == spec.shape[1]:
        images.append(x.transpose(1, 2))
    assert all(torch.allclose(target.energy(y), energy) for y in images)
    translates = all(torch.allclose(target.energy(x.roll(1, axis)), energy) for axis in range(1, x.ndim))
    assert translates == ("lattice_translation" in target.symmetries)


def test_a_vortex_and_its_antivortex_are_counted() -> None:
    side = 8
    i, j = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
    pair = torch.atan2(i - 4, j - 2) - torch.atan2(i - 4, j - 6)  # centres at the middle of two plaquettes
    open_lattice = XY(XYSpec(shape=(side, side), periodic=False))
    x = open_lattice.space.canonical(pair[None].double())
    assert open_lattice.observables(x)["vortex_density"].item() == pytest.approx(2 / 49)
    periodic = XY(XYSpec(shape=(side, side)))
    assert torch.equal(periodic._winding(x).sum((1, 2)), torch.zeros(1, dtype=torch.float64))
    single = torch.atan2(i - 4, j - 4)[None].double()
    assert open_lattice.observables(single)["vortex_density"].item() == pytest.approx(1 / 49)


def test_a_spin_wave_has_its_closed_form() -> None:
    side, J = 6, 1.5
    wave = (2 * pi / side * torch.arange(side, dtype=torch.float64)).expand(1, side, side)
    found = XY(XYSpec(shape=(side, side), J=J)).observables(wave)
    assert found["energy_per_site"].item() == pytest.approx(-J * (1 + cos(2 * pi / side)))
    assert found["abs_magnetization"].item() == pytest.approx(0, abs=1e-12)
    assert found["helicity_energy"].item() == pytest.approx(J * (1 + cos(2 * pi / side)) / 2)
    current = J * side**2 * np.sin(2 * pi / side)
    assert found["helicity_current_squared"].item() == pytest.approx(current**2 / side**2 / 2)
    assert found["vortex_density"].item() == 0


@pytest.mark.parametrize("spec", [XYSpec(shape=(4,)), XYSpec(shape=(5,), J=-1.0, periodic=False)], ids=str)
@pytest.mark.parametrize("beta", [0.4, 1.1])
def test_uniform_angles_reweighted_give_the_exact_free_energy_and_energy(spec: XYSpec, beta: float) -> None:
    target, num = XY(spec), 200_000
    x = configurations(spec, num, seed=7)
    weights = torch.exp(-beta * target.energy(x))
    exact = target.exact_reference(beta)
    log_z = log(float(weights.mean())) + spec.space.num_sites * log(2 * pi)
    assert abs(log_z + exact.beta_f) < 4.5 * float(weights.std() / weights.mean()) / num**0.5
    energy = target.observables(x)["energy_per_site"]
    mean = float(weights @ energy / weights.sum())
    error = float((weights * (energy - mean)).square().sum().sqrt() / weights.sum())
    assert abs(mean - exact.observables["energy_per_site"]) < 4.5 * error


@pytest.mark.parametrize("bad", [{"shape": ()}, {"shape": (2,) * 4}, {"shape": (0,)}, {"J": float("nan")}])
def test_parameters_outside_their_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        XYSpec.model_validate({"shape": (2, 2)} | bad)
