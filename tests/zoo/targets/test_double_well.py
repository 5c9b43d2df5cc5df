"""The double well as a target."""

import pytest
import torch
from pydantic import ValidationError

from zoo.core.random import RandomStream
from zoo.core.targets import negative_gradient
from zoo.specs.targets.double_well import DoubleWellSpec
from zoo.targets.double_well import DoubleWell

SPECS = [DoubleWellSpec(), DoubleWellSpec(dimension=1, c=0.3), DoubleWellSpec(dimension=4, a=0.5, b=-1.0, k=2.0)]


def test_energy_is_the_formula() -> None:
    target = DoubleWell(DoubleWellSpec(dimension=3, a=0.5, b=2.0, c=0.3, k=4.0))
    x = torch.tensor([[1.5, 1.0, -2.0], [-(2.0**0.5), 0.0, 0.0]])
    expected = [0.5 * 0.25**2 + 0.45 + 2 * 5, -0.3 * 2**0.5]
    assert target.energy(x).tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_force_is_the_negative_gradient(spec: DoubleWellSpec) -> None:
    target, x = DoubleWell(spec), 1.5 * RandomStream(1).normals(20, spec.dimension)
    assert torch.allclose(target.force(x), negative_gradient(target.energy, x), rtol=1e-11, atol=1e-12)
    h = 1e-5
    for axis in range(spec.dimension):
        step = h * torch.eye(spec.dimension, dtype=torch.float64)[axis]
        slope = (target.energy(x + step) - target.energy(x - step)) / (2 * h)
        assert torch.allclose(target.force(x)[:, axis], -slope, atol=1e-6)


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_flip_is_a_symmetry_exactly_where_it_is_claimed(spec: DoubleWellSpec) -> None:
    target, x = DoubleWell(spec), RandomStream(1).normals(20, spec.dimension)
    assert torch.allclose(target.energy(x), target.energy(-x)) == ("z2" in target.symmetries)


def test_the_wells_are_told_apart_at_the_barrier() -> None:
    target = DoubleWell(DoubleWellSpec(c=1.0))
    barrier = target.exact_reference(1.0).observables["barrier_position"]
    x = torch.tensor([[barrier - 1e-3, 0.0], [barrier + 1e-3, 0.0]], dtype=torch.float64)
    assert target.observables(x)["right_well"].tolist() == [0, 1]
    assert target.force(x)[:, 0].sign().tolist() == [-1, 1]  # a maximum
    assert target.observables(x)["position"].tolist() == x[:, 0].tolist()


@pytest.mark.parametrize("parameters", [{"a": 0.0}, {"a": -1.0}, {"k": 0.0}, {"dimension": 0}, {"b": float("nan")}])
def test_parameters_outside_their_range_are_refused(parameters: dict[str, float]) -> None:
    (name,) = parameters
    with pytest.raises(ValidationError, match=f"{name}\n"):
        DoubleWellSpec.model_validate(parameters)
