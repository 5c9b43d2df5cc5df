"""A model averaged over images: its density is the average, by hand, and its samples are moved evenly."""

import pytest
import torch
from torch import Tensor

from tests.conformance.cases import scramble, spins
from tests.conformance.symmetries import lattice_images
from zoo.catalog import build_model
from zoo.core.models import Completing, Model, SequentialDensity
from zoo.core.random import RandomStream
from zoo.core.spaces import build_space
from zoo.core.symmetries import images
from zoo.models.autoregressive import Autoregressive
from zoo.models.symmetrized import Symmetrized, symmetrized
from zoo.specs.models.made import MadeSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.symmetries import ModelSymmetry

SHAPE = (3, 3)


def averaged(*names: ModelSymmetry) -> Symmetrized:
    model = build_model(MadeSpec(width=5), spins(SHAPE), seed=1)
    scramble(model)
    return symmetrized(model, images(names, spins(SHAPE).spec))


def shifts(x: Tensor) -> list[Tensor]:
    return [x.roll((up, left), (1, 2)) for up in range(3) for left in range(3)]


def turns(x: Tensor) -> list[Tensor]:
    return [image for flat in (x, x.transpose(1, 2)) for image in (flat, flat.flip(1), flat.flip(2), flat.flip(1, 2))]


@pytest.mark.parametrize("name", ["lattice_translation", "lattice_point_group"])
def test_the_density_is_the_average_over_all_images(name: ModelSymmetry) -> None:
    model, x = averaged(name), spins(SHAPE).enumerate()
    orbit = shifts(x) if name == "lattice_translation" else turns(x)
    with torch.no_grad():
        by_hand = torch.stack([model.inner.log_prob(image).exp() for image in orbit]).mean(0)
        torch.testing.assert_close(model.log_prob(x).exp(), by_hand, rtol=1e-9, atol=1e-15)
        assert not torch.allclose(model.inner.log_prob(x).exp(), by_hand, rtol=0.1)
        assert abs(float(by_hand.sum()) - 1) < 1e-6


def test_samples_are_those_of_the_inner_model_under_elements_drawn_evenly() -> None:
    model, rng = averaged("lattice_translation"), RandomStream(3)
    x, inner = model.sample(4500, rng), model.inner.sample(4500, rng)
    which = torch.stack([(x == image).flatten(1).all(1) for image in shifts(inner)])
    assert bool(which.any(0).all())
    alone = which[:, which.sum(0) == 1].double()  # where no two shifts give the same image
    error = (alone.shape[1] * (1 / 9) * (8 / 9)) ** 0.5
    assert bool(((alone.sum(1) - alone.shape[1] / 9).abs() < 4.5 * error).all())
    assert alone.shape[1] > 3000


def test_elements_belong_to_samples_and_not_to_batches() -> None:
    model = averaged("lattice_translation", "lattice_point_group")
    whole = model.sample(64, RandomStream(3))
    assert torch.equal(model.sample(32, RandomStream(3, first=32)), whole[32:])
    assert not torch.equal(model.sample(32, RandomStream(3)), whole[32:])


def test_gradients_flow_through_every_image() -> None:
    model, x = averaged("lattice_point_group"), spins(SHAPE).enumerate()[:50]
    average = torch.stack([model.inner.log_prob(image) for image in turns(x)]).logsumexp(0).sum()
    expected = torch.autograd.grad(average, list(model.parameters()))
    found = torch.autograd.grad(model.log_prob(x).sum(), list(model.parameters()))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_bits_are_averaged_in_their_own_values() -> None:
    bits = build_space(SpaceSpec(kind="bits", event_shape=SHAPE))
    model = build_model(MadeSpec(width=5, symmetry=("z2", "lattice_translation")), bits, seed=1)
    scramble(model)
    x = model.sample(100, RandomStream(1))
    bits.validate(x)
    with torch.no_grad():
        for name in ("z2", "lattice_translation"):
            for image in lattice_images(name, x, bits):
                torch.testing.assert_close(model.log_prob(image), model.log_prob(x), rtol=1e-10, atol=1e-10)


def test_an_average_is_no_product_over_sites_but_completes() -> None:
    model: Model = averaged("lattice_point_group")
    assert not isinstance(model, SequentialDensity)
    assert isinstance(model, Completing)
    plain = build_model(MadeSpec(width=5, symmetry="z2"), spins(SHAPE), seed=1)
    assert isinstance(plain, Autoregressive)
