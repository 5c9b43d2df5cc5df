"""Cached sampling draws what one full forward pass per site draws, from the same network and the same uniforms."""

import pytest
import torch
from torch import Tensor

from tests.conformance.cases import scramble
from zoo.catalog import build
from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.spaces import build_space
from zoo.models.autoregressive import Autoregressive, ConditionalAutoregressive, sample_by_full_passes
from zoo.models.pixelcnn import PixelCnn
from zoo.specs.models.autoregressive import AutoregressiveSpec
from zoo.specs.models.conditions import ConditionOn
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.pixelcnn import PixelCnnSpec
from zoo.specs.spaces import SpaceKind, SpaceSpec

NUM_SAMPLES = 300
CLOSE = 1e-6
BETAS = ConditionOn(beta=(0.1, 1.0))

CASES: tuple[tuple[AutoregressiveSpec, tuple[int, ...], SpaceKind], ...] = (
    (MadeSpec(width=64), (8, 8), "spins"),
    (MadeSpec(width=100, depth=3, symmetry="z2"), (5, 7), "spins"),
    (MadeSpec(width=7, depth=2), (40,), "spins"),
    (MadeSpec(width=3), (1,), "spins"),
    (MadeSpec(width=9, symmetry="z2"), (2, 3, 4), "spins"),
    (MadeSpec(width=12, depth=2), (5, 4), "categorical"),
    (MadeSpec(width=12, depth=2, condition_on=BETAS), (4, 4), "categorical"),
    (MadeSpec(width=12, condition_on=BETAS, symmetry="z2"), (4, 4), "spins"),
    (PixelCnnSpec(width=12), (8, 8), "spins"),
    (PixelCnnSpec(width=8, depth=4, half_kernel=2, symmetry="z2"), (6, 5), "spins"),
    (PixelCnnSpec(width=4, depth=4, half_kernel=2, dilated=True, residual=False), (9, 5), "spins"),
    (PixelCnnSpec(width=4, half_kernel=5), (3, 4), "spins"),
    (PixelCnnSpec(width=6), (1, 9), "spins"),
    (PixelCnnSpec(width=6, symmetry="z2"), (9, 1), "spins"),
    (PixelCnnSpec(width=4), (1, 1), "spins"),
    (PixelCnnSpec(width=6, condition_on=BETAS), (6, 5), "spins"),
)


def scrambled(spec: AutoregressiveSpec, shape: tuple[int, ...], kind: SpaceKind = "spins") -> Autoregressive:
    """The model; a conditional one with a value of its own for each of NUM_SAMPLES rows."""
    space = SpaceSpec(kind=kind, event_shape=shape, num_values=3 if kind == "categorical" else None)
    model = build(spec, build_space(space), seed=3)
    scramble(model, scale=0.2)
    if isinstance(model, ConditionalAutoregressive):
        return model.at(torch.linspace(0.1, 1, NUM_SAMPLES)[:, None])
    assert isinstance(model, Autoregressive)
    return model


def by_full_passes(model: Autoregressive, rng: RandomStream) -> Tensor:
    with torch.inference_mode():
        *_, (_, draws) = sample_by_full_passes(model, NUM_SAMPLES, rng)
    return draws.configurations()


def unexplained_differences(model: Autoregressive, cached: Tensor, reference: Tensor, rng: RandomStream) -> int:
    """Rows whose first differing site had a uniform farther than CLOSE from where its value changes."""
    uniforms = rng.uniforms(*reference.shape).double()
    differs = cached.flatten(1) != reference
    site = differs.long().argmax(1, keepdim=True)
    first = torch.zeros_like(reference).scatter(1, site, 1).bool()
    values = [-1, 1] if model.space.spec.kind == "spins" else [0, 1, 2]
    probabilities = []
    for value in reversed(values) if model.space.spec.kind == "spins" else values:
        tried = torch.where(first, torch.full_like(reference, value), reference).reshape(cached.shape)
        with torch.no_grad():
            probabilities.append(model.site_log_prob(tried).gather(1, site).squeeze(1).exp())
    boundaries = torch.stack(probabilities).cumsum(0)[:-1]
    distance = (uniforms.gather(1, site).squeeze(1) - boundaries).abs().amin(0)
    return int((differs.any(1) & (distance > CLOSE)).sum())


@pytest.mark.parametrize(("spec", "shape", "kind"), CASES, ids=str)
def test_cached_samples_are_those_of_full_passes(
    spec: AutoregressiveSpec, shape: tuple[int, ...], kind: SpaceKind
) -> None:
    model, rng = scrambled(spec, shape, kind), RandomStream(17)
    reference = by_full_passes(model, rng)
    assert unexplained_differences(model, model.sample(NUM_SAMPLES, rng), reference, rng) == 0


@pytest.mark.parametrize(("spec", "shape", "kind"), [CASES[i] for i in (0, 5, 6, 8, 10, 15)], ids=str)
def test_parameters_of_the_sampling_pass_are_those_of_the_full_pass(
    spec: AutoregressiveSpec, shape: tuple[int, ...], kind: SpaceKind
) -> None:
    model = scrambled(spec, shape, kind)
    network = model.network
    x = model.sample(NUM_SAMPLES, RandomStream(17))
    with torch.inference_mode():
        features, inputs = network.features(model.conditions), network.values.encode(x)
        sweep = network.sweep(NUM_SAMPLES, features)
        for site in range(inputs.shape[1]):
            sweep.advance(site)
            sweep.inputs[site] = inputs[:, site].t()
        torch.testing.assert_close(sweep.outputs.permute(2, 0, 1), network(inputs, features), atol=2e-5, rtol=1e-5)


def test_a_network_that_differs_by_a_hundredth_in_its_biases_is_caught() -> None:
    model, rng = scrambled(PixelCnnSpec(width=12), (8, 8)), RandomStream(17)
    reference = by_full_passes(model, rng)
    assert isinstance(model.network, PixelCnn)
    with torch.no_grad():
        model.network.site_embedding[20:] += 1e-2
    assert unexplained_differences(model, model.sample(NUM_SAMPLES, rng), reference, rng) > 0


def test_frozen_weights_that_change_are_packed_anew() -> None:
    model = scrambled(MadeSpec(width=9), (3, 3))
    model.requires_grad_(requires_grad=False)
    before = model.sample(NUM_SAMPLES, RandomStream(1))
    assert torch.equal(before, model.sample(NUM_SAMPLES, RandomStream(1)))
    model.load_state_dict({name: value.neg() for name, value in model.state_dict().items()})
    after, log_prob = model.sample_and_log_prob(NUM_SAMPLES, RandomStream(1))
    assert not torch.equal(before, after)
    assert torch.allclose(log_prob, model.log_prob(after), rtol=1e-5)


def test_z2_draws_both_signs_evenly_and_the_first_uniform_decides() -> None:
    model, rng = scrambled(MadeSpec(width=9, symmetry="z2"), (3, 3)), RandomStream(5)
    x = model.sample(4096, rng)
    up = rng.uniforms(4096, 9)[:, 0] < 0.5
    assert torch.equal(x[:, 0, 0] > 0, up)
    assert abs(float(x[:, 0, 0].float().mean())) < 4 / 4096**0.5


@pytest.mark.parametrize("spec", [MadeSpec(width=64), PixelCnnSpec(width=16)], ids=str)
def test_the_bits_do_not_depend_on_the_number_of_threads(spec: AutoregressiveSpec) -> None:
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
    model: Model = scrambled(MadeSpec(width=9), (3, 3))
    x, log_prob = model.sample_and_log_prob(10, RandomStream(0))
    assert not log_prob.requires_grad
    assert not x.is_inference()
    assert model.log_prob(x).requires_grad
