"""Rings as a target."""

from math import sqrt

import pytest
import torch
from pydantic import ValidationError

from zoo.core.random import RandomStream
from zoo.core.targets import negative_gradient
from zoo.specs.targets.ring import RingSpec
from zoo.targets.ring import Ring

SPECS = [RingSpec(), RingSpec(radii=(1, 2, 3, 4, 5), width=sqrt(0.02))]


def test_energy_is_the_formula() -> None:
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, -2.0]])
    assert Ring(RingSpec()).energy(x).tolist() == pytest.approx([9 / 0.32, 4 / 0.32, 0])
    x = torch.tensor([[0.0, 1.2], [1.6, 0.0], [-5.2, 0.0]])
    assert Ring(SPECS[1]).energy(x).tolist() == pytest.approx([1, 4, 1], rel=1e-5)


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_force_is_the_negative_gradient(spec: RingSpec) -> None:
    target, x = Ring(spec), 2 * RandomStream(1).normals(50, 2)
    assert torch.allclose(target.force(x), negative_gradient(target.energy, x), rtol=1e-10, atol=1e-10)
    h = 1e-6
    for axis in range(2):
        step = h * torch.eye(2, dtype=torch.float64)[axis]
        slope = (target.energy(x + step) - target.energy(x - step)) / (2 * h)
        assert torch.allclose(target.force(x)[:, axis], -slope, rtol=1e-5, atol=1e-5)


def test_force_at_the_origin_is_zero() -> None:
    assert Ring(RingSpec()).force(torch.zeros(1, 2)).tolist() == [[0, 0]]


def test_observables_tell_the_rings_apart() -> None:
    found = Ring(SPECS[1]).observables(torch.tensor([[0.1, 0.0], [0.0, 1.45], [1.6, 0.0], [0.0, 9.0]]))
    assert found["in_first_ring"].tolist() == [1, 1, 0, 0]
    assert found["radius"].tolist() == pytest.approx([0.1, 1.45, 1.6, 9.0])


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_energy_depends_on_the_radius_alone(spec: RingSpec) -> None:
    target, x = Ring(spec), 2 * RandomStream(1).normals(50, 2)
    turned = x @ torch.tensor([[0.6, 0.8], [-0.8, 0.6]], dtype=torch.float64)
    assert torch.allclose(target.energy(x), target.energy(turned), atol=1e-10)
    assert torch.equal(target.energy(x), target.energy(-x))
    assert target.symmetries == {"z2"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"radii": (2.0, 1.0)}, r"radii\[1\] is 1.0, and radii\[0\] is 2.0; radii increase"),
        ({"radii": (0.0,)}, "radii.0\n.*greater than"),
        ({"radii": ()}, "radii"),
        ({"width": 0.0}, "width"),
    ],
)
def test_parameters_outside_their_range_are_refused(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RingSpec.model_validate(parameters)
