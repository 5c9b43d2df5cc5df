"""Coupled oscillators as a target: springs one by one, forces, draws, symmetries, and what is refused."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from zoo.core.random import RandomStream
from zoo.core.targets import negative_gradient
from zoo.specs.targets.coupled_oscillators import CoupledOscillatorsSpec
from zoo.targets.coupled_oscillators import CoupledOscillators

SPECS = [
    CoupledOscillatorsSpec(n=5),
    CoupledOscillatorsSpec(n=1),
    CoupledOscillatorsSpec(n=1, onsite=0.4, periodic=True),
    CoupledOscillatorsSpec(n=2, onsite=0.4, spring=1.3, periodic=True),
    CoupledOscillatorsSpec(n=2, onsite=0.4, ends="free"),
    CoupledOscillatorsSpec(n=6, onsite=0.4, spring=0.3, periodic=True, momenta=True),
    CoupledOscillatorsSpec(n=6, onsite=0.4, spring=0.3, ends="free", momenta=True),
    CoupledOscillatorsSpec(n=6, onsite=0.4, spring=0.3, ends="free"),
]


def by_springs(x: np.ndarray, spec: CoupledOscillatorsSpec, *, double_bonds: bool = True) -> float:
    """E of one configuration, spring by spring."""
    q, p = x[: spec.n], x[spec.n :]
    energy = 0.5 * float(p @ p) + 0.5 * spec.onsite * float(q @ q)
    for i in range(spec.n - 1):
        energy += 0.5 * spec.spring * (q[i] - q[i + 1]) ** 2
    if spec.periodic and spec.n > (1 if double_bonds else 2):
        energy += 0.5 * spec.spring * (q[-1] - q[0]) ** 2
    if spec.boundary == "fixed":
        energy += 0.5 * spec.spring * (q[0] ** 2 + q[-1] ** 2)
    return float(energy)


def configurations(spec: CoupledOscillatorsSpec, num: int = 20) -> torch.Tensor:
    return RandomStream(1).normals(num, spec.space.num_sites)


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_energy_is_the_sum_over_springs(spec: CoupledOscillatorsSpec) -> None:
    x = configurations(spec)
    expected = [by_springs(row, spec) for row in x.numpy()]
    assert CoupledOscillators(spec).energy(x).tolist() == pytest.approx(expected, rel=1e-12)


def test_counting_the_spring_of_a_ring_of_two_once_is_caught() -> None:
    spec, x = SPECS[3], torch.tensor([[1.0, -1.0]])
    energy = float(CoupledOscillators(spec).energy(x))
    assert energy == pytest.approx(by_springs(x[0].numpy(), spec))
    assert energy - by_springs(x[0].numpy(), spec, double_bonds=False) == pytest.approx(1.3 * 2)


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_force_is_the_negative_gradient(spec: CoupledOscillatorsSpec) -> None:
    target, x = CoupledOscillators(spec), configurations(spec)
    assert torch.allclose(target.force(x), negative_gradient(target.energy, x), rtol=1e-11, atol=1e-12)
    h = 1e-5
    for axis in range(x.shape[1]):
        step = h * torch.eye(x.shape[1], dtype=torch.float64)[axis]
        slope = (target.energy(x + step) - target.energy(x - step)) / (2 * h)
        assert torch.allclose(target.force(x)[:, axis], -slope, atol=1e-8)


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_draws_have_the_exact_means(spec: CoupledOscillatorsSpec) -> None:
    target, beta, n = CoupledOscillators(spec), 2.0, 20_000
    found = target.observables(target.draw(n, beta, RandomStream(2)))
    exact = target.exact_reference(beta).observables
    assert set(found) <= set(exact)
    for name, value in found.items():
        sigma = float(value.std()) / n**0.5
        assert abs(float(value.mean()) - exact[name]) < 4.5 * sigma, name
    assert abs(float(found["mean_square_displacement"].mean()) - 2 * exact["mean_square_displacement"]) > 20 * float(
        found["mean_square_displacement"].std() / n**0.5
    )


def test_draws_have_the_covariance_of_the_springs() -> None:
    spec, n = CoupledOscillatorsSpec(n=4, onsite=0.3, periodic=True, momenta=True), 40_000
    x = CoupledOscillators(spec).draw(n, 1.0, RandomStream(4)).numpy()
    K = 0.3 * np.eye(4) + 2 * np.eye(4) - np.roll(np.eye(4), 1, 0) - np.roll(np.eye(4), -1, 0)
    covariance = np.eye(8)
    covariance[:4, :4] = np.linalg.inv(K)
    sigma = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / n)
    assert np.abs((x.T @ x / n - covariance) / sigma).max() < 4.5


def test_each_draw_depends_on_its_own_index_alone() -> None:
    target = CoupledOscillators(SPECS[5])
    many = target.draw(100, 1.0, RandomStream(5))
    assert torch.equal(many[41:44], target.draw(3, 1.0, RandomStream(5).at(41)))


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_symmetries_of_positions_are_the_measured_ones(spec: CoupledOscillatorsSpec) -> None:
    target, x = CoupledOscillators(spec), configurations(spec)
    assert torch.allclose(target.energy(x), target.energy(-x))
    if not spec.momenta:
        shifted = torch.allclose(target.energy(x), target.energy(x.roll(1, 1)))
        assert shifted == ("lattice_translation" in target.symmetries)
        assert torch.allclose(target.energy(x), target.energy(x.flip(1)))
        assert "lattice_point_group" in target.symmetries


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n": 4, "periodic": True}, "onsite is 0 with a ring.*Z diverges.*onsite > 0"),
        ({"n": 4, "ends": "free"}, "onsite is 0 with free ends"),
        ({"n": 4, "onsite": 1.0, "periodic": True, "ends": "free"}, "a ring has no ends"),
        ({"n": 4, "onsite": -1.0}, "onsite\n.*greater than or equal to 0"),
        ({"n": 4, "spring": 0.0}, "spring\n.*greater than"),
        ({"n": 0}, "n\n.*greater than or equal to 1"),
        ({"n": 2000}, "n\n.*less than or equal to 1024"),
        ({"n": 4, "ends": "loose"}, "ends"),
    ],
)
def test_chains_without_a_partition_function_are_refused(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CoupledOscillatorsSpec.model_validate(parameters)
