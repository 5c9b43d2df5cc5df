"""The continuous Ising field against a dense matrix, its force, and its spins."""

from math import log

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from zoo.core.lattices import lattice_bonds
from zoo.core.targets import negative_gradient
from zoo.specs.targets.dual_ising import DualIsingSpec
from zoo.targets.dual_ising import DualIsing

SPECS = [
    DualIsingSpec(shape=(1, 1), beta=0.7),
    DualIsingSpec(shape=(1, 4), beta=0.7),
    DualIsingSpec(shape=(2, 2), beta=0.3),
    DualIsingSpec(shape=(3, 5), beta=0.44),
    DualIsingSpec(shape=(4, 2), beta=1.5),
    DualIsingSpec(shape=(6, 6), beta=0.44),
]


def matrix(spec: DualIsingSpec, *, double_bonds: bool = True) -> np.ndarray:
    """K + o I from the list of bonds, its offset from its own eigenvalues."""
    sites = spec.space.num_sites
    K = np.zeros((sites, sites))
    for i, j in lattice_bonds(spec.shape, periodic=True).tolist():
        K[i, j] += spec.beta
        K[j, i] += spec.beta
    if not double_bonds:
        K = np.minimum(K, spec.beta)
    return np.asarray(K + (0.1 - np.linalg.eigvalsh(K).min()) * np.eye(sites))


def configurations(spec: DualIsingSpec, num: int = 20) -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(size=(num, *spec.shape)) * 2)


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_energy_is_that_of_the_dense_inverse(spec: DualIsingSpec, dtype: torch.dtype) -> None:
    x = configurations(spec).to(dtype)
    flat = x.double().flatten(1).numpy()
    expected = np.einsum("bi,ij,bj->b", flat, np.linalg.inv(matrix(spec)), flat) / 2 - np.log(np.cosh(flat)).sum(1)
    energy = DualIsing(spec).energy(x)
    assert energy.dtype == torch.float64
    assert energy.numpy() == pytest.approx(expected, rel=1e-10, abs=1e-10)


def test_a_pair_with_a_single_bond_is_caught() -> None:
    spec = DualIsingSpec(shape=(2, 2), beta=0.3)
    x = configurations(spec)
    flat = x.flatten(1).numpy()
    inverse = np.linalg.inv(matrix(spec, double_bonds=False))
    once = np.einsum("bi,ij,bj->b", flat, inverse, flat) / 2 - np.log(np.cosh(flat)).sum(1)
    assert np.abs(DualIsing(spec).energy(x).numpy() - once).max() > 0.1


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_force_is_minus_the_gradient(spec: DualIsingSpec) -> None:
    target, x = DualIsing(spec), configurations(spec, 5)
    force = target.force(x)
    assert force.dtype == torch.float64
    assert torch.allclose(force, negative_gradient(target.energy, x), rtol=1e-11, atol=1e-11)
    steps = 1e-5 * torch.eye(spec.space.num_sites, dtype=torch.float64).reshape(-1, 1, *spec.shape)
    by_differences = torch.stack([(target.energy(x - s) - target.energy(x + s)) / 2e-5 for s in steps], 1)
    assert torch.allclose(force, by_differences.reshape(x.shape), rtol=1e-5, atol=1e-5)


def test_large_fields_do_not_overflow_and_zero_has_a_gradient() -> None:
    target = DualIsing(DualIsingSpec(shape=(1, 1), beta=1.0))
    big = torch.tensor([[[1e4]]], dtype=torch.float64)
    assert target.energy(big).item() == pytest.approx(1e8 / 2 / 0.1 - (1e4 - log(2)))
    zero = torch.zeros(1, 1, 1, dtype=torch.float64)
    assert target.energy(zero).item() == pytest.approx(0, abs=1e-15)
    assert negative_gradient(target.energy, zero).item() == 0


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_claimed_symmetries_hold(spec: DualIsingSpec) -> None:
    target, x = DualIsing(spec), configurations(spec)
    assert target.symmetries == {"z2", "lattice_translation", "lattice_point_group"}
    images = [-x, x.roll(1, 1), x.roll(1, 2), x.flip(1), x.flip(2)]
    for y in images + ([x.transpose(1, 2)] if spec.shape[0] == spec.shape[1] else []):
        assert torch.allclose(target.energy(y), target.energy(x))


def test_beta_of_the_spec_is_the_spins_and_that_of_the_state_is_one() -> None:
    spec = DualIsingSpec(shape=(4, 4), beta=0.44)
    assert spec.state_beta == 1.0
    warmer = DualIsing(DualIsingSpec(shape=(4, 4), beta=0.2))
    x = configurations(spec)
    assert not torch.allclose(DualIsing(spec).energy(x), warmer.energy(x))


def drawn(spec: DualIsingSpec, num: int) -> tuple[np.ndarray, np.ndarray]:
    """Spins of a small lattice by enumeration, and fields given them: x = M s + a normal vector of covariance M."""
    rng, sites, M = np.random.default_rng(5), spec.space.num_sites, matrix(spec)
    states = 2.0 * (np.arange(2**sites)[:, None] >> np.arange(sites) & 1) - 1
    weights = np.exp(np.einsum("bi,ij,bj->b", states, M, states) / 2)
    s = states[rng.choice(2**sites, num, p=weights / weights.sum())]
    return s, s @ M + rng.normal(size=(num, sites)) @ np.linalg.cholesky(M).T


@pytest.mark.parametrize("beta", [0.2, 0.44, 0.8])
def test_observables_of_exact_draws_have_the_exact_means(beta: float) -> None:
    spec, num = DualIsingSpec(shape=(2, 3), beta=beta), 40_000
    target = DualIsing(spec)
    s, x = drawn(spec, num)
    found = target.observables(torch.from_numpy(x.reshape(-1, *spec.shape)))
    exact = dict(target.exact_reference(1.0).observables)
    spins_squared = float((s.mean(1) ** 2).mean())  # of the same draws, to be met within both errors
    for name, expected in (exact | {"magnetization_squared": spins_squared}).items():
        values = found[name].numpy()
        error = values.std() / num**0.5 + (s.mean(1) ** 2).std() / num**0.5 * (name == "magnetization_squared")
        assert abs(values.mean() - expected) < 4.5 * error, name


@pytest.mark.parametrize("bad", [{"shape": (4,)}, {"shape": (2, 2, 2)}, {"beta": 0.0}, {"beta": -1.0}])
def test_parameters_outside_their_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DualIsingSpec.model_validate({"shape": (2, 2)} | bad)
