"""The Potts energy against a loop over bonds and against Ising's, its symmetries, and its order parameter."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.potts import PottsSpec
from zoo.targets.ising import Ising
from zoo.targets.potts import Potts

SPECS = [
    PottsSpec(shape=(1,), q=3),
    PottsSpec(shape=(2,), q=5, J=0.7),
    PottsSpec(shape=(2,), q=5, periodic=False),
    PottsSpec(shape=(7,), q=256, J=-1.5, periodic=False),
    PottsSpec(shape=(2, 2), q=3),
    PottsSpec(shape=(2, 1), q=3, periodic=False),
    PottsSpec(shape=(3, 5), q=2),
    PottsSpec(shape=(4, 4), q=4, periodic=False),
    PottsSpec(shape=(3, 3), q=3, periodic=False, J=0.0),
    PottsSpec(shape=(2, 3, 4), q=3, J=-0.3),
]


def configurations(spec: PottsSpec, num: int = 40) -> Tensor:
    """Half of them with few values, so that neighbours are equal often."""
    rng = np.random.default_rng(1)
    values = rng.integers(0, spec.q, size=(num, *spec.shape))
    values[: num // 2] = values[: num // 2] % 2
    return torch.from_numpy(values.astype(np.uint8))


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
def test_energy_is_the_sum_over_bonds(spec: PottsSpec, dtype: torch.dtype) -> None:
    target, x = Potts(spec), configurations(spec)
    i, j = target.bonds.T
    flat = x.flatten(1)
    energy = target.energy(x.to(dtype))
    assert energy.dtype == torch.float64
    assert torch.allclose(energy, -spec.J * (flat[:, i] == flat[:, j]).sum(1).double())


@pytest.mark.parametrize("shape", [(6,), (2, 3), (3, 4), (2, 2, 3)])
@pytest.mark.parametrize("periodic", [True, False])
def test_two_values_are_the_ising_model_of_half_the_coupling(shape: tuple[int, ...], *, periodic: bool) -> None:
    potts = Potts(PottsSpec(shape=shape, q=2, J=1.4, periodic=periodic))
    ising = Ising(IsingSpec(shape=shape, J=0.7, periodic=periodic))
    x = configurations(potts.spec)
    spins = 2 * x.to(torch.int8) - 1
    assert torch.allclose(potts.energy(x), ising.energy(spins) - 0.7 * len(potts.bonds))


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_symmetries_are_claimed_exactly_where_they_hold(spec: PottsSpec) -> None:
    target, x = Potts(spec), configurations(spec)
    axes = range(1, x.ndim)
    exchanges = [x.transpose(a, b) for a in axes for b in axes if a < b and x.shape[a] == x.shape[b]]
    renamed = torch.from_numpy(np.random.default_rng(2).permutation(spec.q))[x.long()]

    def unchanged(images: list[Tensor]) -> bool:
        return all(torch.allclose(target.energy(x), target.energy(image)) for image in images)

    assert ("value_permutation" in target.symmetries) == unchanged([renamed])
    assert ("lattice_translation" in target.symmetries) == unchanged([x.roll(1, axis) for axis in axes])
    assert ("lattice_point_group" in target.symmetries) == unchanged([*(x.flip(axis) for axis in axes), *exchanges])


def test_the_order_parameter_goes_from_zero_to_one() -> None:
    target = Potts(PottsSpec(shape=(6,), q=3))
    x = torch.tensor([[2, 2, 2, 2, 2, 2], [0, 1, 2, 0, 1, 2], [0, 0, 0, 1, 1, 2]])
    found = target.observables(x)
    assert found["order_parameter"].tolist() == pytest.approx([1.0, 0.0, 0.25])
    assert found["energy_per_site"].tolist() == pytest.approx([-1.0, 0.0, -0.5])


@pytest.mark.parametrize(
    ("q", "shape", "message"),
    [(1, (3,), "greater than or equal to 2"), (257, (3,), "less than or equal to 256"), (3, (0,), "shape.0")],
)
def test_what_is_no_potts_model_is_refused(q: int, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PottsSpec(shape=shape, q=q)
