"""Cached sampling draws what one full forward pass per site draws, from the same network and the same uniforms."""

import pytest
import torch
from torch import Tensor

from tests.conformance.cases import scramble, spins
from zoo.catalog import build_model
from zoo.core.random import RandomStream
from zoo.models.autoregressive import AutoregressiveSpins, sample_by_full_passes
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.pixelcnn import PixelCnnSpec

NUM_SAMPLES = 300
CLOSE = 1e-6

CASES: tuple[tuple[ModelSpec, tuple[int, ...]], ...] = (
    (MadeSpec(width=64), (8, 8)),
    (MadeSpec(width=100, depth=3, symmetry="z2"), (5, 7)),
    (MadeSpec(width=7, depth=2), (40,)),
    (MadeSpec(width=3), (1,)),
    (MadeSpec(width=9, symmetry="z2"), (2, 3, 4)),
    (PixelCnnSpec(width=12), (8, 8)),
    (PixelCnnSpec(width=8, depth=4, half_kernel=2, symmetry="z2"), (6, 5)),
    (PixelCnnSpec(width=4, half_kernel=5), (3, 4)),
    (PixelCnnSpec(width=6), (1, 9)),
    (PixelCnnSpec(width=6, symmetry="z2"), (9, 1)),
    (PixelCnnSpec(width=4), (1, 1)),
)


def scrambled(spec: ModelSpec, shape: tuple[int, ...]) -> AutoregressiveSpins:
    model = build_model(spec, spins(shape), seed=3)
    assert isinstance(model, AutoregressiveSpins)
    scramble(model, scale=0.2)
    return model


def by_full_passes(model: AutoregressiveSpins, rng: RandomStream) -> Tensor:
    with torch.inference_mode():
        *_, x = sample_by_full_passes(model, NUM_SAMPLES, rng)
    return x


def unexplained_differences(model: AutoregressiveSpins, cached: Tensor, reference: Tensor, rng: RandomStream) -> int:
    """Rows whose first differing spin had a uniform farther than CLOSE from its probability."""
    with torch.inference_mode():
        probability = torch.sigmoid(model.logits(reference))
    distance = (rng.uniforms(*reference.shape) - probability).abs()
    differs = cached.flatten(1) != reference
    first = differs.long().argmax(1, keepdim=True)
    return int((differs.any(1) & (distance.gather(1, first).squeeze(1) > CLOSE)).sum())


@pytest.mark.parametrize(("spec", "shape"), CASES, ids=str)
def test_cached_samples_are_those_of_full_passes(spec: ModelSpec, shape: tuple[int, ...]) -> None:
    model, rng = scrambled(spec, shape), RandomStream(17)
    reference = by_full_passes(model, rng)
    assert unexplained_differences(model, model.sample(NUM_SAMPLES, rng), reference, rng) == 0


@pytest.mark.parametrize(("spec", "shape"), CASES[:1] + CASES[5:6], ids=str)
def test_logits_of_the_sampling_pass_are_those_of_the_full_pass(spec: ModelSpec, shape: tuple[int, ...]) -> None:
    model = scrambled(spec, shape)
    x = model.sample(NUM_SAMPLES, RandomStream(17)).flatten(1).float()
    with torch.inference_mode():
        sweep = model.sweep(NUM_SAMPLES)
        for site in range(x.shape[1]):
            sweep.advance(site)
            sweep.spins[site] = x[:, site]
        torch.testing.assert_close(sweep.logits.t(), model.network(x), atol=2e-5, rtol=1e-5)


def test_a_network_that_differs_by_a_hundredth_in_its_biases_is_caught() -> None:
    model, rng = scrambled(PixelCnnSpec(width=12), (8, 8)), RandomStream(17)
    reference = by_full_passes(model, rng)
    with torch.no_grad():
        model.get_parameter("site_bias")[20:] += 1e-2
    assert unexplained_differences(model, model.sample(NUM_SAMPLES, rng), reference, rng) > 0


def test_z2_draws_both_signs_evenly_and_the_first_uniform_decides() -> None:
    model, rng = scrambled(MadeSpec(width=9, symmetry="z2"), (3, 3)), RandomStream(5)
    x = model.sample(4096, rng)
    up = rng.uniforms(4096, 9)[:, 0] < 0.5
    assert torch.equal(x[:, 0, 0] > 0, up)
    assert abs(float(x[:, 0, 0].float().mean())) < 4 / 4096**0.5


@pytest.mark.parametrize("spec", [MadeSpec(width=64), PixelCnnSpec(width=16)], ids=str)
def test_the_bits_do_not_depend_on_the_number_of_threads(spec: ModelSpec) -> None:
    model, before = scrambled(spec, (8, 8)), torch.get_num_threads()
    answers = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        answers.append(model.sample_and_log_prob(2048, RandomStream(1)))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert torch.equal(answers[0][0], answers[1][0])
    assert torch.equal(answers[0][1], answers[1][1])


def test_samples_carry_no_gradient_and_can_be_trained_on() -> None:
    model = scrambled(MadeSpec(width=9), (3, 3))
    x, log_prob = model.sample_and_log_prob(10, RandomStream(0))
    assert not log_prob.requires_grad
    assert not x.is_inference()
    assert model.log_prob(x).requires_grad
