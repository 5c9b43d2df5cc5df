"""The energy of vector spins against a loop over bonds, planar spins, and averages by importance sampling."""

from itertools import product
from math import log

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from zoo.specs.targets.vector_spins import VectorSpinsSpec
from zoo.specs.targets.xy import XYSpec
from zoo.targets.vector_spins import VectorSpins
from zoo.targets.xy import XY

SPECS = [
    VectorSpinsSpec(shape=(1,), h=0.4),
    VectorSpinsSpec(shape=(2,)),
    VectorSpinsSpec(shape=(7,), J=-1.5, components=2),
    VectorSpinsSpec(shape=(7,), periodic=False, components=5),
    VectorSpinsSpec(shape=(2, 5), J=0.7, h=-0.3),
    VectorSpinsSpec(shape=(3, 3), periodic=False, h=0.2),
    VectorSpinsSpec(shape=(3, 1, 2), J=2.0),
]


def by_bonds(s: np.ndarray, spec: VectorSpinsSpec) -> float:
    """E of one configuration: each site's bond to the next along each axis, wrapped where periodic, and the field."""
    energy = 0.0
    for site in product(*(range(side) for side in spec.shape)):
        energy -= spec.h * float(s[site][-1])
        for axis, side in enumerate(spec.shape):
            following = list(site)
            following[axis] = (site[axis] + 1) % side
            wraps = following[axis] != site[axis] + 1
            if side > 1 and (spec.periodic or not wraps):
                energy -= spec.J * float(s[site] @ s[tuple(following)])
    return energy


def configurations(spec: VectorSpinsSpec, num: int = 30, seed: int = 1) -> Tensor:
    normals = np.random.default_rng(seed).normal(size=(num, *spec.space.event_shape))
    return torch.from_numpy(normals / np.linalg.norm(normals, axis=-1, keepdims=True))


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_energy_is_the_sum_over_bonds(spec: VectorSpinsSpec, dtype: torch.dtype) -> None:
    x = configurations(spec).to(dtype)
    energy = VectorSpins(spec).energy(x)
    assert energy.dtype == torch.float64
    assert energy.numpy() == pytest.approx([by_bonds(s, spec) for s in x.double().numpy()], abs=1e-12)


def test_two_components_are_planar_spins() -> None:
    planar, vectors = XYSpec(shape=(3, 4), J=0.7), VectorSpinsSpec(shape=(3, 4), J=0.7, components=2)
    theta = torch.from_numpy(np.random.default_rng(2).uniform(-np.pi, np.pi, size=(20, 3, 4)))
    x = torch.stack([theta.cos(), theta.sin()], -1)
    torch.testing.assert_close(VectorSpins(vectors).energy(x), XY(planar).energy(theta))
    angular, force = XY(planar).force(theta), VectorSpins(vectors).force(x)
    torch.testing.assert_close((force * torch.stack([-theta.sin(), theta.cos()], -1)).sum(-1), angular)
    found, expected = VectorSpins(vectors).observables(x), XY(planar).observables(theta)
    for name in ("abs_magnetization", "magnetization_squared", "energy_per_site"):
        torch.testing.assert_close(found[name], expected[name])


@pytest.mark.parametrize("spec", [VectorSpinsSpec(shape=(4,)), VectorSpinsSpec(shape=(1,), h=1.2)], ids=str)
@pytest.mark.parametrize("beta", [0.4, 1.1])
def test_even_vectors_reweighted_give_the_exact_free_energy_and_energy(spec: VectorSpinsSpec, beta: float) -> None:
    target, num = VectorSpins(spec), 200_000
    x = configurations(spec, num, seed=7)
    weights = torch.exp(-beta * target.energy(x))
    exact = target.exact_reference(beta)
    log_z = log(float(weights.mean())) + target.space.base_log_measure
    assert abs(log_z + exact.beta_f) < 4.5 * float(weights.std() / weights.mean()) / num**0.5
    energy = target.observables(x)["energy_per_site"]
    mean = float(weights @ energy / weights.sum())
    error = float((weights * (energy - mean)).square().sum().sqrt() / weights.sum())
    assert abs(mean - exact.observables["energy_per_site"]) < 4.5 * error


@pytest.mark.parametrize(
    "bad", [{"shape": ()}, {"shape": (2,) * 4}, {"components": 1}, {"components": 9}, {"components": 3.0}, {"h": "x"}]
)
def test_parameters_outside_their_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        VectorSpinsSpec.model_validate({"shape": (2, 2)} | bad)
