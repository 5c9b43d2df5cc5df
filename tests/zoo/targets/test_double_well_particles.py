"""DW4 against loops, its wells, and parameters that let particles escape."""

from itertools import combinations
from math import dist, sqrt
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from zoo.core.spaces import Particles
from zoo.specs.targets.double_well_particles import DoubleWellParticlesSpec
from zoo.targets.double_well_particles import DoubleWellParticles

SPECS = [
    DoubleWellParticlesSpec(),
    DoubleWellParticlesSpec(n=2, dimension=1),
    DoubleWellParticlesSpec(n=5, dimension=3, a=0.3, b=1.5, c=0.2, r0=1.5, tau=2.0),
]


def test_particles_that_escape_are_refused_at_a_field() -> None:
    with pytest.raises(ValidationError, match="Value error, c is 0 with b = -1"):
        DoubleWellParticlesSpec(a=0.0, b=-1.0, c=0.0)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_energy_is_the_polynomial_of_each_distance_once(spec: DoubleWellParticlesSpec) -> None:
    x = np.random.default_rng(1).normal(size=(20, spec.n, spec.dimension), scale=3.0)

    def energy(row: np.ndarray) -> float:
        away = [dist(a, b) - spec.r0 for a, b in combinations(row, 2)]
        return sum(spec.a * y + spec.b * y**2 + spec.c * y**4 for y in away) / spec.tau

    found = DoubleWellParticles(spec).energy(torch.from_numpy(x))
    assert found.tolist() == pytest.approx([energy(row) for row in x], rel=1e-12)


def test_defaults_are_four_particles_with_wells_on_both_sides_of_four() -> None:
    spec = DoubleWellParticlesSpec()
    assert (spec.n, spec.dimension, spec.r0, spec.a, spec.b, spec.c, spec.tau) == (4, 2, 4.0, 0.0, -4.0, 0.9, 1.0)
    pair = DoubleWellParticles(DoubleWellParticlesSpec(n=2, dimension=1))
    for distance in (4.0, 4 + sqrt(4 / 1.8), 4 - sqrt(4 / 1.8)):  # 2 b y + 4 c y^3 = 0
        x = torch.tensor([[[-distance / 2], [distance / 2]]], dtype=torch.float64)
        assert pair.force(x).abs().max() < 1e-13
    assert pair.energy(x).item() == pytest.approx(-16 / (4 * 0.9))


def test_the_space_fixes_the_centre_but_the_energy_does_not_feel_it() -> None:
    target = DoubleWellParticles(DoubleWellParticlesSpec())
    assert isinstance(target.space, Particles)
    assert target.space.spec.centered
    assert target.space.spec.num_degrees_of_freedom == 6
    x = torch.from_numpy(np.random.default_rng(2).normal(size=(10, 4, 2)))
    turn = torch.tensor([[0.6, 0.8], [0.8, -0.6]], dtype=torch.float64)
    energy = target.energy(x)
    assert target.symmetries == {"permutation", "rotation", "translation", "z2"}
    for image in (x.flip(1), x @ turn, x + 1.7, -x):
        assert torch.allclose(target.energy(image), energy, rtol=1e-12)
    assert not torch.allclose(target.energy(1.01 * x), energy)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"c": 0.0}, "c is 0 with b = -4"),
        ({"c": 0.0, "b": 0.0}, "a > 0"),
        ({"c": 0.0, "b": 0.0, "a": -1.0}, "a = -1"),
        ({"c": -0.1}, "greater than or equal to 0"),
        ({"tau": 0.0}, "greater than"),
        ({"n": 1}, "greater than or equal to 2"),
        ({"dimension": 4}, "1, 2 or 3"),
    ],
)
def test_parameters_without_a_partition_function_are_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DoubleWellParticlesSpec(**fields)
    assert why in str(caught.value)


@pytest.mark.parametrize("fields", [{"c": 0.0, "b": 1.0}, {"c": 0.0, "b": 0.0, "a": 0.5}], ids=str)
def test_weaker_confinement_is_enough(fields: dict[str, Any]) -> None:
    assert DoubleWellParticlesSpec(n=2, **fields).space.centered
