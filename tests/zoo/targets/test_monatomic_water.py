"""Monatomic water against a loop over triplets, ice, and bad parameters."""

from itertools import combinations
from math import exp
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from zoo.specs.errors import NoExactReferenceError
from zoo.specs.targets.monatomic_water import CUTOFF, EPSILON, SIGMA, MonatomicWaterSpec
from zoo.targets.monatomic_water import MonatomicWater
from zoo.targets.pairs import Pairs

SPECS = [MonatomicWaterSpec(n=3, box=(8.7, 9.0, 9.5)), MonatomicWaterSpec(n=22, density=0.0335)]
ICE_DENSITY = 0.033567184


def by_triplets(x: np.ndarray, sides: np.ndarray) -> tuple[float, float]:
    """E_2 and E_3 of one configuration, term by term, with the constants of Molinero and Moore."""
    A, B, p, a, strength, gamma = 7.049556277, 0.6022245584, 4, 1.8, 23.15, 1.2
    n = len(x)
    s = x[None] - x[:, None]
    s = (s - sides * np.round(s / sides)) / 2.3925
    r = np.linalg.norm(s, axis=2)
    two = sum(A * (B * r[i, j] ** -p - 1) * exp(1 / (r[i, j] - a)) for i in range(n) for j in range(i) if r[i, j] < a)
    three = 0.0
    for i in range(n):
        near = [j for j in range(n) if j != i and r[i, j] < a]
        for j, k in combinations(near, 2):
            cosine = s[i, j] @ s[i, k] / (r[i, j] * r[i, k])
            screens = exp(gamma / (r[i, j] - a)) * exp(gamma / (r[i, k] - a))
            three += strength * (cosine + 1 / 3) ** 2 * screens
    return 6.189 * two, 6.189 * three


def configurations(spec: MonatomicWaterSpec, number: int = 30) -> torch.Tensor:
    return torch.from_numpy((np.random.default_rng(1).random((number, spec.n, 3)) - 0.5) * spec.sides)


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_energy_is_the_sum_over_pairs_and_triplets(spec: MonatomicWaterSpec, dtype: torch.dtype) -> None:
    x = configurations(spec).to(dtype)
    parts = [by_triplets(row, np.array(spec.sides)) for row in x.double().numpy()]
    found = MonatomicWater(spec).observables(x)
    assert (found["energy_per_particle"] * spec.n).tolist() == pytest.approx([sum(p) for p in parts], rel=1e-11)
    three = (found["three_body_energy_per_particle"] * spec.n).tolist()
    assert three == pytest.approx([p[1] for p in parts], rel=1e-10, abs=1e-12)
    assert max(three) > 0.1


def ice(bond: float) -> MonatomicWater:
    """64 molecules of cubic ice with this distance between neighbours."""
    return MonatomicWater(MonatomicWaterSpec(n=64, box=(8 * bond / 3**0.5,) * 3))


def test_perfect_ice_has_four_tetrahedral_bonds_and_no_three_body_energy() -> None:
    target = ice(2 ** (1 / 6) * SIGMA)  # where the pair energy is -epsilon
    x = target.lattice()[None]
    target.space.validate(x)
    found = target.observables(x)
    assert found["energy_per_particle"].item() == pytest.approx(-2 * EPSILON, rel=1e-9)
    assert found["three_body_energy_per_particle"].item() == pytest.approx(0, abs=1e-12)
    assert found["neighbours"].item() == 4
    assert target.force(x).abs().max() < 1e-12


def test_ice_of_the_published_density_is_close_to_the_minimum() -> None:
    target = MonatomicWater(MonatomicWaterSpec(n=64, density=ICE_DENSITY))
    x = target.lattice()[None]
    here = target.energy(x).item() / 64
    assert -2 * EPSILON < here < -1.99 * EPSILON
    assert ice(2.5).energy(ice(2.5).lattice()[None]).item() / 64 > here + 0.5
    displaced = x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert target.energy(displaced).item() > target.energy(x).item() + 64


def test_a_bent_bond_costs_three_body_energy() -> None:
    spec = MonatomicWaterSpec(n=3, box=(12.0,) * 3)
    x = torch.zeros(1, 3, 3, dtype=torch.float64)
    x[0, 1, 0], x[0, 2, 1] = 2.7, 2.7  # a right angle; the far ends see each other at 45 degrees and 3.8 Angstrom
    assert MonatomicWater(spec).observables(x)["three_body_energy_per_particle"].item() > 0.1
    x[0, 2] = torch.tensor([-2.7 / 3, 2.7 * 8**0.5 / 3, 0.0])  # cos = -1/3
    bent = MonatomicWater(spec).observables(x)["three_body_energy_per_particle"].item()
    assert bent == pytest.approx(0, abs=1e-12)  # the far ends are 4.41 Angstrom apart, beyond the cut-off


def test_symmetries_are_those_of_the_box() -> None:
    spec = SPECS[1]
    target, x = MonatomicWater(spec), configurations(spec)
    energy = target.energy(x)
    assert target.symmetries == {"permutation", "translation", "z2"}
    for image in (x.flip(1), x + 1.9, -x):
        assert torch.allclose(target.energy(image), energy, rtol=1e-9)
    assert not torch.allclose(
        target.energy(x @ torch.tensor([[0.6, 0.8, 0], [-0.8, 0.6, 0], [0, 0, 1.0]]).double()), energy
    )


def test_energy_and_force_end_smoothly_at_the_cutoff() -> None:
    target = MonatomicWater(MonatomicWaterSpec(n=2, box=(9.0,) * 3))
    x = torch.zeros(400, 2, 3, dtype=torch.float64)
    x[:, 1, 0] = torch.linspace(CUTOFF - 0.2, CUTOFF + 0.1, 400)
    energy, force = target.energy(x), target.force(x)[:, 0, 0]
    assert energy[-100:].abs().max() == force[-100:].abs().max() == 0
    assert energy.diff().abs().max() < 1e-4
    assert force.diff().abs().max() < 1e-3
    assert energy[0].abs() > 1e-4
    assert bool(force.isfinite().all())


def test_the_diamond_lattice_has_four_neighbours_and_twelve_second_ones() -> None:
    target = MonatomicWater(MonatomicWaterSpec(n=216, density=ICE_DENSITY))
    distances = Pairs(216, target.spec.sides).distances(target.lattice()[None])
    bond = target.spec.sides[0] / 3 * 3**0.5 / 4
    second = bond * (8 / 3) ** 0.5
    assert ((distances - bond).abs() < 1e-9).sum().item() == 216 * 4 / 2
    assert ((distances - second).abs() < 1e-9).sum().item() == 216 * 12 / 2


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"n": 64}, "density or box is missing"),
        ({"n": 64, "density": 0}, "greater than"),
        ({"n": 64, "density": -0.03}, "greater than"),
        ({"n": 64, "density": 0.0335, "box": (13.0,) * 3}, "not both"),
        ({"n": 8, "density": ICE_DENSITY}, "density is 0.0335672 with n = 8; allowed: 0 < density <= 0.0125206"),
        (
            {"n": 64, "box": (13.0, 13.0, 8.6)},
            "box has a side of 8.6; allowed: sides of at least 8.613, twice the cut-off",
        ),
        ({"n": 64, "box": (13.0, 13.0)}, "Field required"),
        ({"n": 1, "box": (13.0,) * 3}, "greater than or equal to 2"),
    ],
)
def test_parameters_without_physics_are_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        MonatomicWaterSpec(**fields)
    assert why in str(caught.value)


def test_a_density_beside_a_box_is_one_too_many_whatever_its_range() -> None:
    with pytest.raises(ValidationError, match=r"box and density were both given.*not both"):
        MonatomicWaterSpec.model_validate({"n": 2, "density": 1.0, "box": [20.0, 20.0, 20.0]})


def test_more_than_two_molecules_have_no_exact_reference() -> None:
    with pytest.raises(NoExactReferenceError, match=r"3 molecules; at most 2.*thermodynamic_integration"):
        MonatomicWater(SPECS[0]).exact_reference(1.0)
