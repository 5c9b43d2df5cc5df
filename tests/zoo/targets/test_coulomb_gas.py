"""The Coulomb gas against loops, its symmetries, and its bad parameters."""

from math import dist, inf, log, nan
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from zoo.specs.targets.coulomb_gas import CoulombGasSpec
from zoo.targets.coulomb_gas import CoulombGas

SPECS = [
    CoulombGasSpec(n=1),
    CoulombGasSpec(n=4, trap=2.0, charge_squared=1.5),
    CoulombGasSpec(n=4, dimension=3, trap=0.3),
    CoulombGasSpec(n=5, interaction="logarithmic", charge_squared=2.0),
    CoulombGasSpec(n=5, dimension=3, interaction="logarithmic", charge_squared=0.7),
    CoulombGasSpec(n=3, charge_squared=0.0),
]


def by_loops(x: list[list[float]], spec: CoulombGasSpec) -> float:
    energy = sum(spec.trap * coordinate**2 / 2 for row in x for coordinate in row)
    for i, a in enumerate(x):
        for b in x[:i]:
            r = dist(a, b)
            energy += spec.charge_squared * (1 / r if spec.interaction == "inverse" else -log(r))
    return energy


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_energy_is_the_trap_and_each_pair_once(spec: CoulombGasSpec, dtype: torch.dtype) -> None:
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(20, spec.n, spec.dimension))).to(dtype)
    energy = CoulombGas(spec).energy(x)
    assert energy.dtype == torch.float64
    assert energy.tolist() == pytest.approx([by_loops(row, spec) for row in x.double().tolist()], rel=1e-12)


def test_charges_repel_in_both_interactions() -> None:
    for interaction in ("inverse", "logarithmic"):
        target = CoulombGas(CoulombGasSpec.model_validate({"n": 2, "trap": 1e-9, "interaction": interaction}))
        force = target.force(torch.tensor([[[-0.5, 0.0], [0.5, 0.0]]]))
        assert force[0, :, 0].tolist() == pytest.approx([-1.0, 1.0])


def test_the_minimum_of_two_logarithmic_charges_is_where_the_trap_balances() -> None:
    spec = CoulombGasSpec(n=2, interaction="logarithmic", trap=3.0, charge_squared=2.0)
    radius = (spec.charge_squared / (2 * spec.trap)) ** 0.5  # k r = q^2 / (2 r)
    force = CoulombGas(spec).force(torch.tensor([[[radius, 0.0], [-radius, 0.0]]], dtype=torch.float64))
    assert force.abs().max() < 1e-14


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_symmetries_are_those_of_the_trap(spec: CoulombGasSpec) -> None:
    target = CoulombGas(spec)
    x = torch.from_numpy(np.random.default_rng(2).normal(size=(10, spec.n, spec.dimension)))
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(spec.dimension, spec.dimension)))
    energy = target.energy(x)
    assert target.symmetries == {"permutation", "rotation", "z2"}
    for image in (x.flip(1), x @ torch.from_numpy(turn), -x):
        assert torch.allclose(target.energy(image), energy, rtol=1e-12)
    assert not torch.allclose(target.energy(x + 0.1), energy)


def test_observables_are_what_they_say() -> None:
    spec = CoulombGasSpec(n=2, trap=2.0)
    found = CoulombGas(spec).observables(torch.tensor([[[3.0, 0.0], [0.0, 4.0]]]))
    assert {name: value.item() for name, value in found.items()} == pytest.approx(
        {
            "energy_per_particle": (25 + 0.2) / 2,
            "sum_r_squared": 25,
            "sum_r_fourth": 81 + 256,
            "radius_of_gyration": 2.5,
            "largest_radius": 4,
            "mean_pair_distance": 5,
            "smallest_pair_distance": 5,
        }
    )
    assert "mean_pair_distance" not in CoulombGas(CoulombGasSpec(n=1)).observables(torch.zeros(1, 1, 2))


@pytest.mark.parametrize(
    ("fields", "where", "why"),
    [
        ({"n": 0}, "n", "greater than or equal to 1"),
        ({"n": 5000}, "n", "less than or equal to 4096"),
        ({"n": 2.0}, "n", "valid integer"),
        ({"n": 2, "trap": 0}, "trap", "greater than"),
        ({"n": 2, "trap": -1.0}, "trap", "greater than"),
        ({"n": 2, "trap": nan}, "trap", "finite"),
        ({"n": 2, "charge_squared": -0.1}, "charge_squared", "greater than or equal to 0"),
        ({"n": 2, "charge_squared": inf}, "charge_squared", "finite"),
        ({"n": 2, "dimension": 1}, "dimension", "2 or 3"),
        ({"n": 2, "interaction": "yukawa"}, "interaction", "'inverse' or 'logarithmic'"),
    ],
)
def test_parameters_without_physics_are_refused_at_the_field(fields: dict[str, Any], where: str, why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CoulombGasSpec(**fields)
    (error,) = caught.value.errors()
    assert error["loc"] == (where,)
    assert why in error["msg"]
