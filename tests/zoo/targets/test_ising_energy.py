"""The Ising energy against a loop over bonds, its symmetries, and its observables with their units."""

from itertools import product

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from zoo.core.targets import ThermodynamicState
from zoo.specs.targets.ising import IsingSpec
from zoo.targets.ising import Ising

SPECS = [
    IsingSpec(shape=(1,), h=0.4),
    IsingSpec(shape=(2,)),
    IsingSpec(shape=(7,), J=-1.5, h=0.3),
    IsingSpec(shape=(7,), periodic=False),
    IsingSpec(shape=(2, 2), J=0.7),
    IsingSpec(shape=(3, 5), h=-0.2),
    IsingSpec(shape=(1, 6)),
    IsingSpec(shape=(4, 2), periodic=False, h=1.0),
    IsingSpec(shape=(2, 3, 4), J=-0.3, h=0.1),
    IsingSpec(shape=(3, 1, 2), periodic=False),
    IsingSpec(shape=(4, 5), lattice="triangular", J=-1.2, h=0.3),
    IsingSpec(shape=(4, 4), lattice="triangular", periodic=False),
    IsingSpec(shape=(2, 3), lattice="triangular"),
    IsingSpec(shape=(2, 2), lattice="triangular", h=0.1),
    IsingSpec(shape=(1, 4), lattice="triangular"),
    IsingSpec(shape=(1, 1), lattice="triangular"),
    IsingSpec(shape=(1, 2), lattice="triangular", periodic=False),
    IsingSpec(shape=(2, 2), periodic=False),
    IsingSpec(shape=(3, 3), J=0.0, lattice="triangular", periodic=False, h=1.0),
]


def by_bonds(s: np.ndarray, spec: IsingSpec, *, double_bonds: bool = True) -> float:
    """E of one configuration, site by site: each site's bond to the next along each axis, wrapped where periodic.

    A triangular lattice has one more for each site, to the one further along both axes.
    """
    energy = 0.0
    for site in product(*(range(side) for side in spec.shape)):
        energy -= spec.h * float(s[site])
        if spec.lattice == "triangular":
            following = [i + 1 for i in site]
            wrapped = tuple(i % side for i, side in zip(following, spec.shape, strict=True))
            if wrapped != site and (spec.periodic or wrapped == tuple(following)):
                energy -= spec.J * float(s[site]) * float(s[wrapped])
        for axis, side in enumerate(spec.shape):
            following = list(site)
            following[axis] = (site[axis] + 1) % side
            wraps = following[axis] != site[axis] + 1
            if side == 1 or (wraps and not spec.periodic) or (wraps and side == 2 and not double_bonds):
                continue
            energy -= spec.J * float(s[site]) * float(s[tuple(following)])
    return energy


def configurations(spec: IsingSpec, num: int = 40, seed: int = 1) -> Tensor:
    spins = np.random.default_rng(seed).choice([-1, 1], size=(num, *spec.shape)).astype(np.int8)
    return torch.from_numpy(spins)


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("dtype", [torch.int8, torch.float32, torch.float64])
def test_energy_is_the_sum_over_bonds(spec: IsingSpec, dtype: torch.dtype) -> None:
    x = configurations(spec).to(dtype)
    energy = Ising(spec).energy(x)
    assert energy.dtype == torch.float64
    assert energy.shape == (40,)
    assert energy.numpy() == pytest.approx([by_bonds(s, spec) for s in x.numpy()], abs=1e-12)


def test_counting_the_bond_of_a_periodic_pair_once_is_caught() -> None:
    spec = IsingSpec(shape=(2, 2))
    energy = Ising(spec).energy(torch.ones(1, 2, 2, dtype=torch.int8))
    assert energy.item() == by_bonds(np.ones((2, 2)), spec) == -8.0
    assert by_bonds(np.ones((2, 2)), spec, double_bonds=False) == -4.0


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_spin_flip_is_a_symmetry_exactly_where_it_is_claimed(spec: IsingSpec) -> None:
    target, x = Ising(spec), configurations(spec)
    equal = torch.allclose(target.energy(x), target.energy(-x))
    assert equal == ("z2" in target.symmetries)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_lattice_symmetries_are_claimed_exactly_where_they_hold(spec: IsingSpec) -> None:
    target, x = Ising(spec), configurations(spec)
    axes = range(1, x.ndim)
    exchanges = [x.transpose(a, b) for a in axes for b in axes if a < b and x.shape[a] == x.shape[b]]

    def unchanged(images: list[Tensor]) -> bool:
        return all(torch.allclose(target.energy(x), target.energy(image)) for image in images)

    assert ("lattice_translation" in target.symmetries) == unchanged([x.roll(1, axis) for axis in axes])
    assert ("lattice_point_group" in target.symmetries) == unchanged([*(x.flip(axis) for axis in axes), *exchanges])


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_interactions_give_the_same_energy(spec: IsingSpec) -> None:
    target, s = Ising(spec), configurations(spec).flatten(1).double()
    pairs = target.interactions
    around = torch.cat([s, torch.zeros(len(s), 1)], 1)[:, pairs.neighbours]
    energy = -((s * (pairs.couplings * around).sum(2)).sum(1) / 2 + s @ pairs.fields)
    assert torch.allclose(energy, target.energy(s.reshape(-1, *spec.shape)))


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_bonds_give_the_same_energy(spec: IsingSpec) -> None:
    target, s = Ising(spec), configurations(spec).flatten(1).double()
    i, j = target.bonds.T
    energy = -spec.J * (s[:, i] * s[:, j]).sum(1) - spec.h * s.sum(1)
    assert torch.allclose(energy, target.energy(s.reshape(-1, *spec.shape)))


@pytest.mark.parametrize("shape", [(5,), (3, 3, 3)])
def test_triangular_lattices_are_two_dimensional(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match=f"shape has {len(shape)} lengths; the triangular lattice is two-dim"):
        IsingSpec(shape=shape, lattice="triangular")


def test_a_ferromagnet_with_all_spins_up_has_two_bonds_a_site() -> None:
    spec = IsingSpec(shape=(6, 8), J=1.5, h=0.25)
    energy = Ising(spec).energy(torch.ones(1, 6, 8, dtype=torch.int8))
    assert energy.item() == pytest.approx(48 * (-2 * 1.5 - 0.25))


def test_observables_are_per_site() -> None:
    spec = IsingSpec(shape=(3, 4), h=0.2)
    target, x = Ising(spec), configurations(spec)
    found = target.observables(x)
    magnetization = x.to(torch.float64).mean((1, 2))
    assert torch.allclose(found["energy_per_site"], target.energy(x) / 12)
    assert torch.allclose(found["magnetization"], magnetization)
    assert torch.allclose(found["abs_magnetization"], magnetization.abs())


def test_reduced_energy_is_beta_times_energy() -> None:
    target, x = Ising(IsingSpec(shape=(4,))), configurations(IsingSpec(shape=(4,)))
    state = ThermodynamicState(target, beta=0.7)
    assert torch.equal(state.reduced_energy(x), 0.7 * target.energy(x))
    assert torch.equal(state.unnormalized_log_prob(x), -0.7 * target.energy(x))


def test_target_lives_on_spins_of_its_shape() -> None:
    target = Ising(IsingSpec(shape=(3, 5)))
    assert target.space.event_shape == (3, 5)
    assert target.space.num_sites == 15
    assert target.exact_beta_f(0.3) == target.exact_reference(0.3).beta_f
