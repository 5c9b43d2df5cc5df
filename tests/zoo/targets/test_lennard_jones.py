"""Lennard-Jones clusters and solids against loops, published forms of the energy, crystals, and bad parameters."""

from itertools import combinations
from math import dist
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from zoo.catalog import AnyTarget
from zoo.core.targets import negative_gradient
from zoo.specs.errors import InvalidValueError, NoExactReferenceError
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.lennard_jones import LennardJonesSpec
from zoo.targets.crystals import diamond_lattice, fcc_lattice
from zoo.targets.lennard_jones import LennardJones
from zoo.targets.pairs import Pairs

type_of_target: TypeAdapter[TargetSpec] = TypeAdapter(AnyTarget)

SOLIDS = [
    LennardJonesSpec(n=10, density=0.8),
    LennardJonesSpec(n=10, density=0.8, cutoff=1.05),
    LennardJonesSpec(n=10, density=0.8, switching=0.9, epsilon=0.7, sigma=1.2),
    LennardJonesSpec(n=9, dimension=2, box=(3.0, 4.0), cutoff=1.5, switching=1.0),
]


def pair_energy(r: float, spec: LennardJonesSpec) -> float:
    return 4 * spec.epsilon * ((spec.sigma / r) ** 12 - (spec.sigma / r) ** 6)


def cut_pair_energy(r: float, spec: LennardJonesSpec) -> float:
    cutoff = spec.cutoff_radius
    if r >= cutoff:
        return 0.0
    if spec.switching is None:
        return pair_energy(r, spec) - pair_energy(cutoff, spec)
    y = max(0.0, (r - spec.switching) / (cutoff - spec.switching))
    return pair_energy(r, spec) * (1 - 10 * y**3 + 15 * y**4 - 6 * y**5)


def apart(number: int, n: int, d: int, seed: int = 1) -> np.ndarray:
    """Particles of clusters that are a little apart."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(3)] * d, indexing="ij"), -1).reshape(-1, d)[:n]
    return np.asarray(1.1 * grid + rng.normal(scale=0.1, size=(number, n, d)))


def in_box(spec: LennardJonesSpec, number: int = 20) -> np.ndarray:
    assert spec.sides is not None
    return np.asarray((np.random.default_rng(2).random((number, spec.n, spec.dimension)) - 0.5) * spec.sides)


@pytest.mark.parametrize(
    "spec", [LennardJonesSpec(), LennardJonesSpec(n=5, dimension=2, epsilon=1.4, sigma=0.9, center_pull=0.3)], ids=str
)
def test_a_cluster_has_each_pair_once_and_the_pull_to_its_centre(spec: LennardJonesSpec) -> None:
    x = apart(20, spec.n, spec.dimension)
    away = x - x.mean(1, keepdims=True)
    loops = [sum(pair_energy(dist(a, b), spec) for a, b in combinations(row, 2)) for row in x]
    expected = np.array(loops) + (0.3 if spec.n == 5 else 1.0) / 2 * (away**2).sum((1, 2))
    assert LennardJones(spec).energy(torch.from_numpy(x)).tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("spec", SOLIDS, ids=str)
def test_a_solid_has_each_pair_once_cut_off(spec: LennardJonesSpec) -> None:
    x = in_box(spec)
    sides = np.array(spec.sides)

    def energy(row: np.ndarray) -> float:
        separations = [a - b for a, b in combinations(row, 2)]
        nearest = [s - sides * np.round(s / sides) for s in separations]
        return sum(cut_pair_energy(float(np.linalg.norm(s)), spec) for s in nearest)

    assert LennardJones(spec).energy(torch.from_numpy(x)).tolist() == pytest.approx([energy(row) for row in x])


def test_published_clusters_count_each_pair_once_or_twice() -> None:
    x = torch.from_numpy(apart(5, 13, 3))
    ordered = 2 * Pairs(13).energy(x, lambda r2: r2**-6 - 2 * r2**-3)  # over all i != j with r_m = 1
    pull = (x - x.mean(1, keepdim=True)).square().sum((1, 2)) / 2
    once = LennardJones(LennardJonesSpec(sigma=2 ** (-1 / 6))).energy(x)
    twice = LennardJones(LennardJonesSpec(sigma=2 ** (-1 / 6), epsilon=2.0)).energy(x)
    assert torch.allclose(once, ordered / 2 + pull, rtol=1e-12)
    assert torch.allclose(twice, ordered + pull, rtol=1e-12)
    assert not torch.allclose(once, twice, rtol=0.1)


@pytest.mark.parametrize("spec", SOLIDS, ids=str)
def test_energies_are_continuous_at_the_cutoff_and_forces_where_they_are_switched_off(spec: LennardJonesSpec) -> None:
    wide = {"n": 2, "density": None, "box": (20.0,) * spec.dimension, "cutoff": spec.cutoff_radius}
    pair = LennardJones(spec.model_copy(update=wide))
    edges = [spec.cutoff_radius] if spec.switching is None else [spec.switching, spec.cutoff_radius]
    for edge in edges:
        x = torch.zeros(2, 2, spec.dimension, dtype=torch.float64)
        x[:, 1, 0] = torch.tensor([edge - 1e-9, edge + 1e-9], dtype=torch.float64)
        below, above = pair.energy(x).tolist()
        assert below == pytest.approx(above, abs=1e-4)
        jump = float((pair.force(x)[0] - pair.force(x)[1]).abs().max())
        assert (jump < 1e-3) == (spec.switching is not None)


def test_the_usual_cutoff_is_that_of_the_box_or_published() -> None:
    assert LennardJonesSpec(n=500, density=1.28).cutoff_radius == 2.7
    small = LennardJonesSpec(n=32, density=1.28)
    assert small.cutoff_radius == pytest.approx((32 / 1.28) ** (1 / 3) / 2)
    assert small.volume == pytest.approx(25.0)
    assert LennardJonesSpec(n=500, density=1.28, sigma=2.0).volume == pytest.approx(8 * 500 / 1.28)


@pytest.mark.parametrize("spec", [*SOLIDS, LennardJonesSpec(n=6), LennardJonesSpec(n=6, dimension=2)], ids=str)
def test_symmetries_are_those_of_the_box_or_of_free_space(spec: LennardJonesSpec) -> None:
    target, d = LennardJones(spec), spec.dimension
    x = torch.from_numpy(apart(20, spec.n, d) if spec.sides is None else in_box(spec))
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(d, d)))
    energy = target.energy(x)
    for image in (x.flip(1), x + 0.37, -x):
        assert torch.allclose(target.energy(image), energy, rtol=1e-9)
    turned = torch.allclose(target.energy(x @ torch.from_numpy(turn)), energy, rtol=1e-9)
    assert turned == ("rotation" in target.symmetries) == (spec.sides is None)


def test_the_crystal_is_at_rest_with_twelve_nearest_neighbours() -> None:
    target = LennardJones(LennardJonesSpec(n=108, density=1.28))
    x = target.lattice()
    target.space.validate(x[None])
    assert target.spec.sides is not None
    spacing = target.spec.sides[0] / 3 / 2**0.5
    distances = Pairs(108, target.spec.sides).distances(x[None])
    assert (distances < spacing * 1.01).sum().item() == 108 * 12 / 2
    assert distances.min().item() == pytest.approx(spacing)
    assert target.force(x[None]).abs().max() < 1e-10


def test_crystals_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="n = 4 m"):
        LennardJones(LennardJonesSpec(n=30, density=1.0)).lattice()
    with pytest.raises(InvalidValueError, match="cubic box in three dimensions"):
        LennardJones(LennardJonesSpec(n=32, box=(3.0, 3.0, 3.1))).lattice()
    with pytest.raises(InvalidValueError, match="box None"):
        LennardJones(LennardJonesSpec(n=32)).lattice()
    with pytest.raises(InvalidValueError, match="n = 8 m"):
        diamond_lattice(32, (9.0,) * 3)
    assert len(fcc_lattice(4, (1.0,) * 3)) == 4


def test_excess_pressure_is_minus_the_slope_of_the_energy_with_the_volume() -> None:
    spec = LennardJonesSpec(n=32, density=1.0, cutoff=1.4, switching=1.1)
    assert spec.sides is not None
    x = LennardJones(spec).lattice() + 0.05 * torch.randn(32, 3, generator=torch.Generator().manual_seed(1))

    def energy(scale: float) -> float:
        sides = tuple(scale * side for side in spec.sides or ())
        return LennardJones(spec.model_copy(update={"density": None, "box": sides})).energy(scale * x[None]).item()

    step, volume = 1e-5, spec.volume or 0.0
    slope = (energy(1 + step) - energy(1 - step)) / (2 * step * 3 * volume)
    assert LennardJones(spec).observables(x[None])["excess_pressure"].item() == pytest.approx(-slope, rel=1e-6)


def test_close_particles_have_large_energies_that_a_float32_holds() -> None:
    target = LennardJones(LennardJonesSpec(n=2))
    x = torch.zeros(1, 2, 3)
    energy = target.energy(x)
    assert energy.item() == pytest.approx(4e36, rel=1e-5)
    assert bool(energy.float().isfinite())
    assert negative_gradient(target.energy, x).abs().max() == target.force(x).abs().max() == 0


BAD: list[tuple[dict[str, Any], tuple[str, ...], str]] = [
    ({"n": 1}, ("n",), "greater than or equal to 2"),
    ({"density": 0}, ("density",), "greater than"),
    ({"density": -1.0}, ("density",), "greater than"),
    ({"box": [3.0, 3.0, 0.0]}, ("box", "2"), "greater than"),
    ({"box": [3.0, 3.0]}, ("box",), "box has 2 sides; one side > 0 is expected for each of the 3 axes"),
    ({"box": [3.0, 3.0, 3.0], "density": 1.0}, ("box",), "not both"),
    ({"n": 32, "density": 1.28, "cutoff": 1.5}, ("cutoff",), "allowed: 0 < cutoff <= 1.462"),
    ({"n": 32, "box": [9.0, 3.0, 9.0], "cutoff": 1.6}, ("cutoff",), "allowed: 0 < cutoff <= 1.5"),
    ({"n": 32, "density": 1.28, "cutoff": 0.0}, ("cutoff",), "greater than"),
    (
        {"n": 32, "density": 1.28, "cutoff": 1.2, "switching": 1.2},
        ("switching",),
        "allowed: 0 < switching < cutoff = 1.2",
    ),
    ({"cutoff": 2.0}, ("cutoff",), "belongs to a periodic box"),
    ({"switching": 2.0}, ("switching",), "belongs to a periodic box"),
    ({"center_pull": 0.0}, ("center_pull",), "greater than"),
    ({"center_pull": 1.0, "density": 1.0}, ("center_pull",), "belongs to clusters"),
    ({"dimension": 4}, ("dimension",), "2 or 3"),
    ({"sigma": 0.0}, ("sigma",), "greater than"),
]


@pytest.mark.parametrize(("fields", "where", "why"), BAD, ids=lambda value: str(value)[:50])
def test_parameters_without_physics_are_refused(fields: dict[str, Any], where: tuple[str, ...], why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        type_of_target.validate_python({"kind": "lennard_jones", **fields})
    (error,) = caught.value.errors()
    assert tuple(map(str, error["loc"])) == ("lennard_jones", *where)
    assert why in error["msg"]


def test_more_than_two_particles_have_no_exact_reference() -> None:
    with pytest.raises(NoExactReferenceError, match=r"13 particles; at most 2.*thermodynamic_integration or mbar"):
        LennardJones(LennardJonesSpec()).exact_reference(1.0)
