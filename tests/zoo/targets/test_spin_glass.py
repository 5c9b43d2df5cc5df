"""The energy of spin glasses against a double loop, the disorder against numpy, and what is refused."""

from math import nan

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from zoo.core.lattices import lattice_bonds
from zoo.specs.targets.spin_glass import EdwardsAnderson, SherringtonKirkpatrick, SpinGlassSpec
from zoo.targets.spin_glass import SpinGlass

SPECS = [
    SpinGlassSpec(couplings=SherringtonKirkpatrick(n=9, seed=3)),
    SpinGlassSpec(couplings=SherringtonKirkpatrick(n=60, seed=3), fields=tuple(0.01 * i for i in range(60))),
    SpinGlassSpec(couplings=SherringtonKirkpatrick(n=1)),
    SpinGlassSpec(couplings=SherringtonKirkpatrick(n=2)),
    SpinGlassSpec(couplings=EdwardsAnderson(shape=(4, 3), seed=1), fields=(0.5,) * 12),
    SpinGlassSpec(couplings=EdwardsAnderson(shape=(2, 3, 2), seed=2, distribution="pm1")),
    SpinGlassSpec(couplings=EdwardsAnderson(shape=(5,), periodic=False)),
    SpinGlassSpec(couplings=EdwardsAnderson(shape=(1, 1))),
    SpinGlassSpec(couplings=((0, 0, 2), (0, 0, 0), (2, 0, 0)), fields=(0, 1, 0)),
    SpinGlassSpec(couplings=((0, 1, 1), (1, 0, 1), (1, 1, 0))),
    SpinGlassSpec(couplings=((0, 1, 0, 1), (1, 0, 1, 0), (0, 1, 0, 1), (1, 0, 1, 0)), fields=(1, -1, 1, -1)),
]


def configurations(spec: SpinGlassSpec, num: int = 40) -> Tensor:
    spins = np.random.default_rng(1).choice([-1, 1], size=(num, *spec.space.event_shape)).astype(np.int8)
    return torch.from_numpy(spins)


def by_loops(s: np.ndarray, spec: SpinGlassSpec) -> float:
    """-sum over bonds, one after the other, less the fields."""
    flat = s.ravel().astype(float)
    energy = -float((spec.field_values() * flat).sum())
    for (i, j), coupling in zip(*spec.bonds(), strict=True):
        energy -= coupling * flat[i] * flat[j]
    return energy


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("dtype", [torch.int8, torch.float32, torch.float64])
def test_energy_is_the_sum_over_pairs(spec: SpinGlassSpec, dtype: torch.dtype) -> None:
    x = configurations(spec).to(dtype)
    energy = SpinGlass(spec).energy(x)
    assert energy.dtype == torch.float64
    assert energy.numpy() == pytest.approx([by_loops(s, spec) for s in x.numpy()], abs=1e-12)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_interactions_give_the_same_energy(spec: SpinGlassSpec) -> None:
    target, s = SpinGlass(spec), configurations(spec).flatten(1).double()
    pairs = target.interactions
    around = torch.cat([s, torch.zeros(len(s), 1)], 1)[:, pairs.neighbours]
    energy = -((s * (pairs.couplings * around).sum(2)).sum(1) / 2 + s @ pairs.fields)
    assert torch.allclose(energy, target.energy(s.reshape(-1, *spec.space.event_shape)))


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_symmetries_are_claimed_exactly_where_they_hold(spec: SpinGlassSpec) -> None:
    target, x = SpinGlass(spec), configurations(spec)
    axes = range(1, x.ndim)
    exchanges = [x.transpose(a, b) for a in axes for b in axes if a < b and x.shape[a] == x.shape[b]]

    def unchanged(images: list[Tensor]) -> bool:
        return all(torch.allclose(target.energy(x), target.energy(image)) for image in images)

    assert ("z2" in target.symmetries) == unchanged([-x])
    assert ("lattice_translation" in target.symmetries) == unchanged([x.roll(1, axis) for axis in axes])
    assert ("lattice_point_group" in target.symmetries) == unchanged([*(x.flip(axis) for axis in axes), *exchanges])


def test_a_large_batch_is_done_in_blocks() -> None:
    spec = SpinGlassSpec(couplings=EdwardsAnderson(shape=(64, 64), seed=1))
    target, x = SpinGlass(spec), configurations(spec, 1200)
    whole = target.energy(x)
    assert torch.allclose(whole[1000:1003], target.energy(x[1000:1003]), rtol=1e-13)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("shape", [(1,), (2,), (5,), (2, 2), (3, 4), (1, 4), (2, 3, 2)])
def test_bonds_come_in_the_order_of_the_lattice(shape: tuple[int, ...], *, periodic: bool) -> None:
    lattice = EdwardsAnderson(shape=shape, seed=7, periodic=periodic)
    bonds, values = lattice.bonds()
    assert np.array_equal(bonds, lattice_bonds(shape, periodic=periodic).numpy())
    assert np.array_equal(values, np.random.default_rng(7).standard_normal(len(bonds)))


def test_disorder_is_drawn_from_the_seed() -> None:
    _, normal = SherringtonKirkpatrick(n=300, seed=5).bonds()
    assert np.array_equal(normal, np.random.default_rng(5).standard_normal(300 * 299 // 2) / np.sqrt(300))
    _, signs = EdwardsAnderson(shape=(20, 20), seed=5, distribution="pm1").bonds()
    assert set(signs.tolist()) == {-1.0, 1.0}
    assert abs(signs.mean()) < 5 / np.sqrt(len(signs))
    assert not np.array_equal(signs, EdwardsAnderson(shape=(20, 20), seed=6, distribution="pm1").bonds()[1])


def test_observables_are_those_of_the_words() -> None:
    spec = SpinGlassSpec(couplings=((0, 2, -1), (2, 0, 0), (-1, 0, 0)))
    found = SpinGlass(spec).observables(torch.tensor([[1, 1, 1], [1, 1, -1], [-1, 1, -1]]))
    assert found["satisfied_bonds"].tolist() == pytest.approx([2 / 3, 1, 0])
    assert found["magnetization"].tolist() == pytest.approx([1, 1 / 3, -1 / 3])
    assert found["energy_per_site"].tolist() == pytest.approx([-1 / 3, -1, 1])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"couplings": [[0, 1], [2, 0]]}, r"couplings\[0\]\[1\] is 1.0 but couplings\[1\]\[0\] is 2.0; .* symmetric"),
        ({"couplings": [[0, nan], [nan, 0]]}, r"couplings\[0\]\[1\] is nan; a finite number"),
        ({"couplings": [[0, "1"], ["1", 0]]}, r"couplings\[0\]\[1\] is '1'; a finite number"),
        ({"couplings": [[0, 1e10], [1e10, 0]]}, "from -1e9 to 1e9 is allowed"),
        ({"couplings": [[0, 1], [1]]}, r"couplings\[1\] has 1 numbers and there are 2 rows"),
        ({"couplings": [[0, 1, 2], [1, 0, 3]]}, r"couplings\[0\] has 3 numbers and there are 2 rows"),
        ({"couplings": [1, 2]}, r"couplings\[0\] has 1 and there are 2 rows"),
        ({"couplings": []}, "couplings has 0 rows; 1 to 4096 spins"),
        ({"couplings": [[0, 1], [1, 3]]}, r"couplings\[1\]\[1\] is 3; the diagonal is 0"),
        ({"couplings": [[0, 1], [1, 0]], "fields": [1, 2, 3]}, "fields has 3 numbers for the 2 spins"),
        ({"couplings": {"kind": "sherrington_kirkpatrick", "n": 5000}}, "less than or equal to 4096"),
        ({"couplings": {"kind": "sherrington_kirkpatrick", "n": 4}, "fields": [1]}, "fields has 1 numbers for the 4"),
        ({"couplings": {"kind": "edwards_anderson", "shape": [65, 64]}}, "shape has 4160 sites; .* at most 4096"),
        ({"couplings": {"kind": "hopfield"}}, "'sherrington_kirkpatrick' or 'edwards_anderson'"),
        ({"couplings": 3}, "couplings are a symmetric matrix"),
    ],
    ids=str,
)
def test_what_is_no_spin_glass_is_refused_in_words(data: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(SpinGlassSpec).validate_python(data)
