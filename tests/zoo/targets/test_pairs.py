"""Sums over pairs against double loops, and what all systems of particles share: forces, overlaps, chunks."""

from itertools import product
from math import dist

import numpy as np
import pytest
import torch
from torch import Tensor

import zoo.targets.pairs as pairs_module
from zoo.catalog import build_target
from zoo.core.targets import ContinuousTarget, negative_gradient
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.coulomb_gas import CoulombGasSpec
from zoo.specs.targets.double_well_particles import DoubleWellParticlesSpec
from zoo.specs.targets.lennard_jones import LennardJonesSpec
from zoo.specs.targets.monatomic_water import MonatomicWaterSpec
from zoo.targets.pairs import Pairs, radius_of_gyration

SYSTEMS: list[TargetSpec] = [
    CoulombGasSpec(n=1, trap=2.0),
    CoulombGasSpec(n=5, dimension=3, trap=0.5, charge_squared=1.7),
    CoulombGasSpec(n=6, interaction="logarithmic", charge_squared=2.0),
    DoubleWellParticlesSpec(),
    DoubleWellParticlesSpec(n=3, dimension=1, a=0.4, r0=2.0, tau=0.5),
    LennardJonesSpec(n=5, epsilon=1.3, sigma=0.8, center_pull=0.7),
    LennardJonesSpec(n=7, dimension=2),
    LennardJonesSpec(n=12, density=0.9, sigma=1.1),
    LennardJonesSpec(n=9, dimension=2, box=(3.0, 4.0), cutoff=1.5, switching=1.1),
    MonatomicWaterSpec(n=22, density=0.0335),
    MonatomicWaterSpec(n=9, box=(9.0, 8.7, 10.0)),
]
LENGTHS = {"coulomb_gas": 1.0, "double_well_particles": 4.0, "lennard_jones": 1.2, "monatomic_water": 2.5}


def configurations(spec: TargetSpec, number: int = 20, seed: int = 1) -> Tensor:
    """Particles near the sites of a simple cubic lattice (in a box, spread over it): no pair outweighs the others."""
    rng = np.random.default_rng(seed)
    n, d = spec.space.event_shape
    side = int(np.ceil(n ** (1 / d) - 1e-9))
    grid = np.array(list(product(range(side), repeat=d)), dtype=np.float64)[:n]
    jittered = grid + rng.normal(scale=0.12, size=(number, n, d))
    if spec.space.box is not None:
        wrapped = ((jittered + 0.5) / side) % 1.0 - 0.5
        return torch.from_numpy(wrapped * spec.space.box)
    x = LENGTHS[spec.kind] * jittered
    return torch.from_numpy(x - x.mean(1, keepdims=True))


def built(spec: TargetSpec) -> ContinuousTarget:
    target = build_target(spec)
    assert isinstance(target, ContinuousTarget)
    return target


every_system = pytest.mark.parametrize("spec", SYSTEMS, ids=lambda s: s.model_dump_json(exclude_defaults=True))


def test_distances_are_those_between_nearest_images() -> None:
    box = (3.0, 4.0, 2.5)
    x = (np.random.default_rng(2).random((4, 5, 3)) - 0.5) * box
    found = Pairs(5, box).distances(torch.from_numpy(x))
    images = [np.array(image) * box for image in product((-1, 0, 1), repeat=3)]
    for row, distances in zip(x, found.tolist(), strict=True):
        nearest = [min(dist(row[i], row[j] + image) for image in images) for i in range(5) for j in range(i + 1, 5)]
        assert distances == pytest.approx(nearest, rel=1e-13)


def test_a_sum_over_pairs_takes_each_once() -> None:
    x = torch.from_numpy(np.random.default_rng(3).normal(size=(3, 6, 2)))
    found = Pairs(6).energy(x, lambda squared: squared**1.5)
    loops = [sum(dist(row[i], row[j]) ** 3 for i in range(6) for j in range(i)) for row in x.tolist()]
    assert found.tolist() == pytest.approx(loops, rel=1e-13)
    twice = [sum(dist(row[i], row[j]) ** 3 for i in range(6) for j in range(6)) for row in x.tolist()]
    assert found.tolist() != pytest.approx(twice, rel=1e-3)


def test_one_particle_has_no_pair() -> None:
    assert Pairs(1).number == 0
    assert Pairs(1).energy(torch.zeros(4, 1, 2), torch.rsqrt).tolist() == [0.0] * 4
    assert Pairs(1).force(torch.zeros(4, 1, 2), torch.rsqrt).abs().max() == 0


def test_virial_is_the_derivative_under_dilation() -> None:
    x = torch.from_numpy(np.random.default_rng(4).normal(size=(3, 4, 3)))
    cubic = Pairs(4).virial(x, lambda squared: 3 * squared.sqrt())  # v = r^3, r v' = 3 r^3
    assert torch.allclose(cubic, -3 * Pairs(4).energy(x, lambda squared: squared**1.5), rtol=1e-12)


def test_radius_of_gyration_does_not_feel_the_centre() -> None:
    x = torch.tensor([[[0.0, 0.0], [2.0, 0.0]], [[7.0, 7.0], [7.0, 9.0]]])
    assert radius_of_gyration(x).tolist() == [1.0, 1.0]


@every_system
def test_force_is_the_closed_form_of_minus_the_gradient(spec: TargetSpec) -> None:
    target, x = built(spec), configurations(spec)
    force = target.force(x)
    scale = float(force.abs().max())
    assert force.dtype == torch.float64
    assert torch.allclose(force, negative_gradient(target.energy, x), rtol=1e-10, atol=1e-12 * scale)
    assert not force.requires_grad


@every_system
def test_force_is_that_of_finite_differences(spec: TargetSpec) -> None:
    target, x = built(spec), configurations(spec, number=3)
    force, step = target.force(x), 1e-5
    for index in np.ndindex(*spec.space.event_shape):
        shift = torch.zeros(spec.space.event_shape, dtype=torch.float64)
        shift[index] = step
        slope = (target.energy(x + shift) - target.energy(x - shift)) / (2 * step)
        wanted = force[(slice(None), *index)]
        assert torch.allclose(-slope, wanted, rtol=1e-4, atol=1e-6 * float(force.abs().max()))


@every_system
def test_particles_in_the_same_place_have_finite_energies_and_forces(spec: TargetSpec) -> None:
    target = built(spec)
    x = configurations(spec, number=3)
    x[0] = 0.0
    x[1, -1] = x[1, 0]
    for dtype in (torch.float64, torch.float32):
        assert bool(target.energy(x.to(dtype)).isfinite().all())
        assert bool(target.force(x.to(dtype)).isfinite().all())
        assert bool(negative_gradient(target.energy, x.to(dtype)).isfinite().all())
        assert all(bool(value.isfinite().all()) for value in target.observables(x.to(dtype)).values())


@every_system
def test_chunks_change_nothing(spec: TargetSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    target, x = built(spec), configurations(spec)
    energy, force, gradient = target.energy(x), target.force(x), negative_gradient(target.energy, x)
    for at_once in (1, 100):
        monkeypatch.setattr(pairs_module, "PAIRS_AT_ONCE", at_once)
        monkeypatch.setattr(pairs_module, "_PAIRS_IN_CACHE", at_once)
        assert torch.allclose(target.energy(x), energy, rtol=1e-14)
        assert torch.allclose(target.force(x), force, rtol=1e-12, atol=1e-12 * float(force.abs().max()))
        assert torch.allclose(negative_gradient(target.energy, x), gradient, rtol=1e-12)


@pytest.mark.parametrize("tracked", [False, True])
def test_no_more_pairs_are_held_than_allowed(monkeypatch: pytest.MonkeyPatch, tracked: bool) -> None:  # noqa: FBT001
    monkeypatch.setattr(pairs_module, "PAIRS_AT_ONCE", 100)
    monkeypatch.setattr(pairs_module, "_PAIRS_IN_CACHE", 100)
    seen: list[int] = []

    def potential(squared: Tensor) -> Tensor:
        seen.append(squared.numel())
        return squared.sqrt()

    x = torch.from_numpy(np.random.default_rng(5).normal(size=(40, 8, 2))).requires_grad_(tracked)
    energy = Pairs(8).energy(x, potential)
    assert max(seen) <= 100
    assert sum(seen) == 40 * 28
    if tracked:
        (gradient,) = torch.autograd.grad(energy.sum(), x, create_graph=True)
        assert max(seen) <= 100
        assert sum(seen) == 2 * 40 * 28  # each chunk a second time, none kept
        assert gradient.abs().max() > 0


@every_system
def test_energies_have_second_derivatives(spec: TargetSpec) -> None:
    target, x = built(spec), configurations(spec, number=2).requires_grad_()
    (gradient,) = torch.autograd.grad(target.energy(x).sum(), x, create_graph=True)
    direction = torch.from_numpy(np.random.default_rng(6).normal(size=x.shape))
    (curvature,) = torch.autograd.grad((gradient * direction).sum(), x)
    step = 1e-5
    ahead, behind = (target.force(x.detach() + sign * step * direction) for sign in (1, -1))
    expected = (behind - ahead) / (2 * step)
    assert torch.allclose(curvature, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))
