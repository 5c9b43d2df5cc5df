"""The Mueller-Brown surface as a target: its published stationary points."""

import pytest
import torch

from zoo.core.random import RandomStream
from zoo.core.targets import negative_gradient
from zoo.exact.mueller_brown import mueller_brown_energy
from zoo.specs.targets.mueller_brown import MuellerBrownSpec
from zoo.targets.mueller_brown import MuellerBrown

TARGET = MuellerBrown(MuellerBrownSpec())

MINIMA = [(-0.558, 1.442, -146.700), (0.623, 0.028, -108.167), (-0.050, 0.467, -80.768)]
SADDLES = [(-0.822, 0.624, -40.665), (0.212, 0.293, -72.249)]


def curvature(x: torch.Tensor, h: float = 1e-5) -> torch.Tensor:
    """The matrix of second derivatives at one point, by differences of the force."""
    rows = [TARGET.force((x + h * axis)[None]) - TARGET.force((x - h * axis)[None]) for axis in torch.eye(2).double()]
    return -torch.cat(rows) / (2 * h)


@pytest.mark.parametrize(("x", "y", "energy"), MINIMA + SADDLES)
def test_published_stationary_points(x: float, y: float, energy: float) -> None:
    point = torch.tensor([x, y], dtype=torch.float64)
    for _ in range(20):  # Newton's iteration from the three published digits
        point = point + torch.linalg.solve(curvature(point), TARGET.force(point[None])[0])
    assert float(TARGET.force(point[None]).norm()) < 1e-6
    assert point.tolist() == pytest.approx([x, y], abs=6e-4)
    assert float(TARGET.energy(point[None])) == pytest.approx(energy, abs=6e-4)
    negative = int((torch.linalg.eigvalsh(curvature(point)) < 0).sum())
    assert negative == (0 if (x, y, energy) in MINIMA else 1)


def test_force_is_the_negative_gradient() -> None:
    x = RandomStream(1).normals(50, 2)
    force = TARGET.force(x)
    assert torch.allclose(force, negative_gradient(TARGET.energy, x), rtol=1e-10, atol=1e-9)
    h = 1e-6
    for axis in range(2):
        step = h * torch.eye(2, dtype=torch.float64)[axis]
        slope = (TARGET.energy(x + step) - TARGET.energy(x - step)) / (2 * h)
        assert torch.allclose(force[:, axis], -slope, rtol=1e-5, atol=1e-3)


def test_energy_is_that_of_the_reference() -> None:
    x = 1.5 * RandomStream(2).normals(50, 2)
    assert TARGET.energy(x).tolist() == pytest.approx(mueller_brown_energy(x.numpy()).tolist(), rel=1e-12)


def test_only_the_deepest_minimum_is_in_the_deep_basin() -> None:
    points = torch.tensor([[x, y] for x, y, _ in MINIMA])
    assert TARGET.observables(points)["deep_basin"].tolist() == [1, 0, 0]
    assert TARGET.observables(points)["x"].tolist() == pytest.approx([x for x, _, _ in MINIMA])


def test_no_symmetry_is_claimed_or_there() -> None:
    x = RandomStream(1).normals(20, 2)
    assert not TARGET.symmetries
    assert not torch.allclose(TARGET.energy(x), TARGET.energy(-x))
