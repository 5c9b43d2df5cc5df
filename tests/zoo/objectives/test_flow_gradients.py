"""Gradients of the reverse-KL loss of flows, against quadrature: three ways, one mean, different noise."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from tests.conformance.cases import scramble, spins
from tests.zoo.objectives.exact_gradients import flat_gradient, largest_deviation
from zoo.catalog import build_model, build_target
from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.symmetries import images
from zoo.core.targets import ThermodynamicState
from zoo.models.paths import differentiable
from zoo.objectives.base import Batch
from zoo.objectives.reverse_kl import ReverseKl
from zoo.specs.errors import CapabilityMissingError
from zoo.specs.models.distribution import DistributionSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.nice import NiceSpec
from zoo.specs.models.realnvp import RealNvpSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.double_well import DoubleWellSpec
from zoo.specs.targets.gaussian import GaussianSpec
from zoo.specs.targets.ising import IsingSpec

Gradient = Literal["auto", "score_function", "reparametrised", "path_wise"]
GRADIENTS: tuple[Gradient, ...] = ("score_function", "reparametrised", "path_wise")
BATCH_SIZE, NUM_BATCHES = 256, 120
STANDARD_ERRORS = 5.0
WELL = DoubleWellSpec(a=0.5, b=1.0, c=0.3)
NORMAL = GaussianSpec(precision=((1.0, 0.6), (0.6, 2.0)))


@dataclass(frozen=True)
class Case:
    """A flow of two variables and its target; the loss may have a penalty for a symmetry that the flow lacks."""

    spec: DistributionSpec
    target: TargetSpec
    penalty: bool = False

    def model(self) -> Model:
        model = build_model(self.spec, build_target(self.target).space, seed=0)
        scramble(model, scale=0.15)
        return model

    @property
    def state(self) -> ThermodynamicState:
        return ThermodynamicState(build_target(self.target), 1.0)

    @property
    def batch(self) -> Batch:
        return Batch(BATCH_SIZE, self.state, images=images(("z2",), self.target.space) if self.penalty else None)


AFFINE = RealNvpSpec(couplings=3, width=5, depth=1)
CASES = (
    Case(AFFINE, NORMAL),
    Case(AFFINE, WELL),
    Case(NiceSpec(couplings=2, width=5, depth=1, odd=True), NORMAL),
    Case(RealNvpSpec(couplings=2, width=5, depth=1, symmetry="z2"), NORMAL),
    Case(AFFINE, NORMAL, penalty=True),
)
every_case = pytest.mark.parametrize("case", CASES, ids=str)


@cache
def exact_gradient(case: Case) -> Tensor:
    """Of the integral of q (E + ln q + penalty), by the trapezoidal rule."""
    model, line = case.model(), torch.linspace(-20, 20, 401, dtype=torch.float64)
    x = torch.cartesian_prod(line, line)
    log_prob = model.log_prob(x)
    f = build_target(case.target).energy(x) + log_prob
    if case.penalty:
        f = f + log_prob - model.log_prob(-x)
    return flat_gradient((log_prob.exp() * f).sum() * 0.1**2, model)


@cache
def estimates(case: Case, gradient: Gradient) -> Tensor:
    """The estimator's gradient on many batches, shape (batch, parameter)."""
    objective, model, batch = ReverseKl(ReverseKlSpec(gradient=gradient)), case.model(), case.batch
    losses = (objective(model, batch, RandomStream(21, domain=k)) for k in range(NUM_BATCHES))
    return torch.stack([flat_gradient(loss.value, model) for loss in losses])


@every_case
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_the_gradient_is_that_of_the_integrated_loss_within_its_error(case: Case, gradient: Gradient) -> None:
    assert largest_deviation(estimates(case, gradient), exact_gradient(case)) < STANDARD_ERRORS


@pytest.mark.parametrize("case", CASES[:2], ids=str)
def test_gradients_through_samples_are_less_noisy(case: Case) -> None:
    noise = {name: float(estimates(case, name).var(0).sum()) for name in GRADIENTS}
    assert max(noise["reparametrised"], noise["path_wise"]) < noise["score_function"] / 2


def test_flows_are_trained_through_their_samples_unless_something_else_is_asked() -> None:
    case = CASES[0]
    assert torch.equal(estimates(case, "auto"), estimates(case, "reparametrised"))


def matched(size: int) -> tuple[Model, ThermodynamicState]:
    """A flow that is the identity, and the normal distribution that it therefore is."""
    rows = tuple(tuple(row) for row in torch.eye(size).tolist())
    target = build_target(GaussianSpec(precision=rows))
    model = build_model(AFFINE, target.space, seed=0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "output" in name:
                nn.init.zeros_(weight)
    return model, ThermodynamicState(target, 1.0)


def test_where_q_is_p_the_path_wise_gradient_has_no_noise_and_the_whole_one_has() -> None:
    model, state = matched(2)
    largest = {}
    for gradient in GRADIENTS:
        loss = ReverseKl(ReverseKlSpec(gradient=gradient))(model, Batch(BATCH_SIZE, state), RandomStream(1))
        largest[gradient] = float(flat_gradient(loss.value, model).abs().max())
    assert largest["path_wise"] < 1e-5
    assert largest["score_function"] < 1e-5
    assert largest["reparametrised"] > 1e-3


def test_without_the_change_of_the_likelihood_the_gradient_is_wrong() -> None:
    case = CASES[0]
    model, state, gradients = case.model(), case.state, []
    sampler = differentiable(model)
    assert sampler is not None
    for k in range(NUM_BATCHES):
        path, _ = sampler.differentiable_sample(BATCH_SIZE, RandomStream(21, domain=k))
        value = (path * -state.reduced_force(path.detach())).flatten(1).sum(1).mean()
        gradients.append(flat_gradient(value, model))
    assert largest_deviation(torch.stack(gradients), exact_gradient(case)) > 2 * STANDARD_ERRORS


def test_a_model_that_does_not_draw_in_one_pass_is_refused_in_words() -> None:
    model = build_model(MadeSpec(width=4), spins((2, 2)), seed=0)
    state = ThermodynamicState(build_target(IsingSpec(shape=(2, 2))), 1.0)
    with pytest.raises(CapabilityMissingError, match="'reparametrised' was asked of a model of spins"):
        ReverseKl(ReverseKlSpec(gradient="reparametrised"))(model, Batch(10, state), RandomStream(1))
