"""The reverse-KL loss: its value bounds beta_f from above, and its gradient estimator is unbiased."""

from collections.abc import Iterator
from functools import cache

import pytest
import torch
from torch import Tensor

from tests.conformance.cases import scramble, spins
from zoo.catalog import build_model, build_target
from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.targets import ThermodynamicState
from zoo.objectives.reverse_kl import ReverseKl
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.pixelcnn import PixelCnnSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.targets.ising import IsingSpec

SHAPE = (2, 3)
BETA = 0.5
BATCH_SIZE = 4
NUM_BATCHES = 1000
STANDARD_ERRORS = 5.0
SPECS = (MadeSpec(width=6), MadeSpec(width=6, symmetry="z2"), PixelCnnSpec(width=2, depth=2))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def target_state() -> ThermodynamicState:
    return ThermodynamicState(build_target(IsingSpec(shape=SHAPE, beta=BETA, h=0.2)), BETA)


def scrambled(spec: ModelSpec) -> Model:
    model = build_model(spec, spins(SHAPE), seed=0)
    scramble(model)
    return model


def flat_gradient(value: Tensor, model: Model) -> Tensor:
    gradients = torch.autograd.grad(value, list(model.parameters()))
    return torch.cat([g.flatten() for g in gradients]).double()


def enumerated_loss(model: Model) -> Tensor:
    """sum_x q(x) (beta E(x) + ln q(x)) over all configurations, differentiable."""
    x = spins(SHAPE).enumerate()
    log_prob = model.log_prob(x)
    return (log_prob.exp() * (target_state().reduced_energy(x) + log_prob)).sum()


@cache
def estimated_gradients(spec: ModelSpec) -> Tensor:
    """The estimator's gradient on many small batches, shape (batch, parameter)."""
    objective, state, model = ReverseKl(ReverseKlSpec()), target_state(), scrambled(spec)
    losses = (objective(model, state, BATCH_SIZE, RandomStream(21, domain=k)) for k in range(NUM_BATCHES))
    return torch.stack([flat_gradient(loss.value, model) for loss in losses])


def largest_deviation(gradients: Tensor, spec: ModelSpec) -> float:
    """Of the mean of ``gradients`` from the enumerated gradient, in standard errors, over all parameters."""
    model = scrambled(spec)
    exact = flat_gradient(enumerated_loss(model), model)
    error = gradients.std(0) / len(gradients) ** 0.5
    return float(((gradients.mean(0) - exact).abs() / error.clamp_min(1e-9)).max())


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_gradient_is_that_of_the_enumerated_loss_within_its_error(spec: ModelSpec) -> None:
    assert largest_deviation(estimated_gradients(spec), spec) < STANDARD_ERRORS


def test_a_baseline_that_contains_its_own_sample_is_caught() -> None:
    # f_i - mean f in place of f_i - mean_{j != i} f_j shrinks the gradient by (n - 1) / n.
    biased = estimated_gradients(SPECS[0]) * (BATCH_SIZE - 1) / BATCH_SIZE
    assert largest_deviation(biased, SPECS[0]) > STANDARD_ERRORS


def test_the_value_is_the_mean_of_beta_energy_plus_log_prob_and_bounds_beta_f() -> None:
    model, state = scrambled(MadeSpec(width=6)), target_state()
    loss = ReverseKl(ReverseKlSpec())(model, state, 20_000, RandomStream(3))
    exact_beta_f = -float(torch.logsumexp(state.unnormalized_log_prob(spins(SHAPE).enumerate()), 0))
    expected = float(enumerated_loss(model).detach())
    error = float(loss.parts["standard_error"])
    assert float(loss.value.detach()) == pytest.approx(float(-loss.log_weights.mean()), abs=1e-12)
    assert float(loss.value.detach()) == pytest.approx(float(loss.parts["variational_beta_f"]), abs=1e-12)
    assert abs(float(loss.value.detach()) - expected) < 4 * error
    assert expected > exact_beta_f
    log_z = float(torch.logsumexp(loss.log_weights, 0)) - torch.tensor(20_000.0).log().item()
    assert log_z == pytest.approx(-exact_beta_f, abs=0.05)


def test_log_weights_are_float64_and_detached() -> None:
    loss = ReverseKl(ReverseKlSpec())(scrambled(MadeSpec(width=6)), target_state(), 8, RandomStream(0))
    assert loss.log_weights.dtype == torch.float64
    assert not loss.log_weights.requires_grad
    assert not any(part.requires_grad for part in loss.parts.values())
    assert loss.value.requires_grad
