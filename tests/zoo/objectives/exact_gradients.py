"""Gradients by enumeration, and how far the mean of an estimator is from them in its own standard errors."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.conformance.cases import scramble, spins
from zoo.catalog import build_model, build_target
from zoo.core.models import Model
from zoo.core.targets import ThermodynamicState
from zoo.specs.models.base import ModelSpec
from zoo.specs.targets.ising import IsingSpec

SHAPE = (2, 3)
BETA = 0.5
STANDARD_ERRORS = 5.0


def ising_state(h: float = 0.2, beta: float = BETA) -> ThermodynamicState:
    """A small Ising model in a field."""
    return ThermodynamicState(build_target(IsingSpec(shape=SHAPE, beta=beta, h=h)), beta)


def scrambled(spec: ModelSpec, scale: float = 0.3) -> Model:
    """A model on the same lattice that is far from the target."""
    model = build_model(spec, spins(SHAPE), seed=0)
    scramble(model, scale)
    return model


def flat_gradient(value: Tensor, module: nn.Module) -> Tensor:
    """The gradient of ``value`` in all weights, float64; zero where there is none."""
    gradients = torch.autograd.grad(value, list(module.parameters()), allow_unused=True, materialize_grads=True)
    return torch.cat([g.flatten() for g in gradients]).double()


def enumerated_loss(model: Model, state: ThermodynamicState) -> Tensor:
    """sum_x q(x) (beta E(x) + ln q(x)) over all configurations, differentiable."""
    x = spins(SHAPE).enumerate()
    log_prob = model.log_prob(x)
    return (log_prob.exp() * (state.reduced_energy(x) + log_prob)).sum()


def estimates(loss: Callable[[int], Tensor], module: nn.Module, number: int) -> Tensor:
    """The gradients of ``loss`` of the batches 0 .. number - 1, shape (batch, parameter)."""
    return torch.stack([flat_gradient(loss(k), module) for k in range(number)])


def largest_deviation(gradients: Tensor, exact: Tensor) -> float:
    """Of the mean of ``gradients`` from ``exact``, in standard errors, over all parameters."""
    error = gradients.std(0) / len(gradients) ** 0.5
    return float(((gradients.mean(0) - exact).abs() / error.clamp_min(1e-9)).max())
