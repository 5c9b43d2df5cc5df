"""The reverse-KL loss: its value bounds beta_f from above, and its gradient estimators are unbiased."""

from collections.abc import Callable
from functools import cache
from math import log

import pytest
import torch
from torch import Tensor

from tests.conformance.cases import spins
from tests.conformance.symmetries import lattice_images
from tests.zoo.objectives.exact_gradients import (
    SHAPE,
    STANDARD_ERRORS,
    enumerated_loss,
    estimates,
    flat_gradient,
    ising_state,
    largest_deviation,
    scrambled,
)
from zoo.catalog import build
from zoo.core.models import ConditionalModel, Model
from zoo.core.random import RandomStream
from zoo.core.symmetries import Images, images
from zoo.core.targets import Ensemble
from zoo.objectives.base import Batch
from zoo.objectives.reverse_kl import ReverseKl
from zoo.objectives.score_function import Baseline
from zoo.specs.errors import CapabilityMissingError, InvalidValueError
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.conditions import ConditionOn
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.pixelcnn import PixelCnnSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.symmetries import ModelSymmetry

BATCH_SIZE = 8
NUM_BATCHES = 400
SPECS: tuple[ModelSpec, ...] = (
    MadeSpec(width=6),
    MadeSpec(width=6, symmetry="z2"),
    PixelCnnSpec(width=2, depth=2),
    MadeSpec(width=4, symmetry="lattice_translation"),
)
UNBIASED: tuple[Baseline, ...] = ("leave_one_out", "control_variate", "none")


@cache
def estimated_gradients(spec: ModelSpec, baseline: Baseline) -> Tensor:
    """The estimator's gradient on many small batches, shape (batch, parameter)."""
    objective, state, model = ReverseKl(ReverseKlSpec(baseline=baseline)), ising_state(), scrambled(spec)
    batch = Batch(BATCH_SIZE, state)
    return estimates(lambda k: objective(model, batch, RandomStream(21, domain=k)).value, model, NUM_BATCHES)


@cache
def exact_gradient(spec: ModelSpec) -> Tensor:
    model = scrambled(spec)
    return flat_gradient(enumerated_loss(model, ising_state()), model)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_gradient_is_that_of_the_enumerated_loss_within_its_error(spec: ModelSpec) -> None:
    assert largest_deviation(estimated_gradients(spec, "leave_one_out"), exact_gradient(spec)) < STANDARD_ERRORS


@pytest.mark.parametrize("baseline", UNBIASED)
def test_every_other_baseline_is_unbiased_too(baseline: Baseline) -> None:
    gradients = estimated_gradients(SPECS[0], baseline)
    assert largest_deviation(gradients, exact_gradient(SPECS[0])) < STANDARD_ERRORS
    assert largest_deviation(gradients, 0.5 * exact_gradient(SPECS[0])) > STANDARD_ERRORS or baseline == "none"


def test_the_mean_of_the_whole_batch_shrinks_the_gradient_by_the_declared_factor() -> None:
    model, batch = scrambled(SPECS[0]), Batch(2, ising_state())

    def gradients(baseline: Baseline) -> Tensor:
        objective = ReverseKl(ReverseKlSpec(baseline=baseline))
        return estimates(lambda k: objective(model, batch, RandomStream(21, domain=k)).value, model, NUM_BATCHES)

    biased, unbiased = gradients("batch_mean"), gradients("leave_one_out")
    torch.testing.assert_close(biased, unbiased / 2, rtol=1e-4, atol=1e-6)  # (n - 1) / n for n = 2
    assert largest_deviation(biased, exact_gradient(SPECS[0]) / 2) < STANDARD_ERRORS
    assert largest_deviation(biased, exact_gradient(SPECS[0])) > STANDARD_ERRORS


def spread(baseline: Baseline, num_samples: int) -> float:
    """Total variance of the gradient far from the optimum: a cold target and an almost even model."""
    model, state = scrambled(MadeSpec(width=6), scale=0.05), ising_state(beta=1.0)
    objective = ReverseKl(ReverseKlSpec(baseline=baseline))
    batch = Batch(num_samples, state)
    gradients = estimates(lambda k: objective(model, batch, RandomStream(4, domain=k)).value, model, 150)
    return float(gradients.var(0).sum())


def test_baselines_make_the_gradient_less_noisy(record_property: Callable[[str, object], None]) -> None:
    variances = {name: spread(name, 100) for name in ("none", "leave_one_out", "control_variate")}
    for name, variance in variances.items():
        record_property(f"variance_{name}", variance)
    assert variances["leave_one_out"] < 0.9 * variances["none"]
    assert variances["control_variate"] < 0.98 * variances["leave_one_out"]


def test_a_control_variate_needs_a_product_over_sites_and_six_samples() -> None:
    objective = ReverseKl(ReverseKlSpec(baseline="control_variate"))
    with pytest.raises(CapabilityMissingError, match="average over images"):
        objective(scrambled(SPECS[3]), Batch(8, ising_state()), RandomStream(0))
    with pytest.raises(InvalidValueError, match="at least 6 samples"):
        objective(scrambled(SPECS[0]), Batch(4, ising_state()), RandomStream(0))


def test_a_loss_without_a_target_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="there is no target"):
        ReverseKl(ReverseKlSpec())(scrambled(SPECS[0]), Batch(4), RandomStream(0))


def test_the_value_is_the_mean_of_beta_energy_plus_log_prob_and_bounds_beta_f() -> None:
    model, state = scrambled(MadeSpec(width=6)), ising_state()
    loss = ReverseKl(ReverseKlSpec())(model, Batch(20_000, state), RandomStream(3))
    exact_beta_f = -float(torch.logsumexp(state.unnormalized_log_prob(spins(SHAPE).enumerate()), 0))
    expected = float(enumerated_loss(model, state).detach())
    error = float(loss.parts["standard_error"])
    assert float(loss.value.detach()) == pytest.approx(float(-loss.log_weights.mean()), abs=1e-12)
    assert float(loss.value.detach()) == pytest.approx(float(loss.parts["variational_beta_f"]), abs=1e-12)
    assert abs(float(loss.value.detach()) - expected) < 4 * error
    assert expected > exact_beta_f
    log_z = float(torch.logsumexp(loss.log_weights, 0)) - log(20_000)
    assert log_z == pytest.approx(-exact_beta_f, abs=0.05)
    summed = loss.parts["reduced_energy"] + loss.parts["log_prob"]
    assert float(summed) == pytest.approx(float(loss.parts["variational_beta_f"]), abs=1e-12)


def test_log_weights_are_float64_and_detached() -> None:
    loss = ReverseKl(ReverseKlSpec())(scrambled(MadeSpec(width=6)), Batch(8, ising_state()), RandomStream(0))
    assert loss.log_weights.dtype == torch.float64
    assert not loss.log_weights.requires_grad
    assert not any(part.requires_grad for part in loss.parts.values())
    assert loss.value.requires_grad


STATES = tuple(ising_state(h=h, beta=beta) for h, beta in ((0.3, 0.2), (-0.4, 0.5), (0.0, 1.1)))
VALUES = torch.tensor([[0.2], [0.5], [1.1]])


def conditional() -> ConditionalModel:
    model = build(MadeSpec(width=5, condition_on=ConditionOn(beta=(0.1, 1.2))), spins(SHAPE), seed=0)
    assert isinstance(model, ConditionalModel)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
    return model


@pytest.mark.parametrize("baseline", ["leave_one_out", "control_variate"])
def test_the_gradient_of_several_states_is_the_average_of_their_own(baseline: Baseline) -> None:
    model, objective = conditional(), ReverseKl(ReverseKlSpec(baseline=baseline))
    view, batch = model.at(VALUES.repeat_interleave(6, 0)), Batch(18, Ensemble(STATES))
    gradients = estimates(lambda k: objective(view, batch, RandomStream(9, domain=k)).value, model, NUM_BATCHES)
    losses = [enumerated_loss(model.at(row[None]), state) for row, state in zip(VALUES, STATES, strict=True)]
    exact = flat_gradient(torch.stack(losses).mean(), model)
    assert largest_deviation(gradients, exact) < STANDARD_ERRORS
    wrong = [enumerated_loss(model.at(row[None]), state) for row, state in zip(VALUES.flip(0), STATES, strict=True)]
    assert largest_deviation(gradients, flat_gradient(torch.stack(wrong).mean(), model)) > STANDARD_ERRORS


def test_log_weights_of_several_states_are_relative_to_their_own_partition_function() -> None:
    model = conditional()
    view = model.at(VALUES.repeat_interleave(500, 0))
    loss = ReverseKl(ReverseKlSpec())(view, Batch(1500, Ensemble(STATES)), RandomStream(2))
    means = torch.logsumexp(loss.log_weights.view(3, -1), 1) - log(500)
    torch.testing.assert_close(means, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-9)
    one = ReverseKl(ReverseKlSpec())(model.at(VALUES[:1]), Batch(1500, STATES[0]), RandomStream(2))
    assert abs(float(torch.logsumexp(one.log_weights, 0)) - log(1500)) > 1


def enumerated_penalty(model: Model, symmetry: ModelSymmetry, elements: Images) -> Tensor:
    """The mean of KL(q || g q) over the elements that are not the first, by enumeration, differentiable."""
    x = spins(SHAPE).enumerate()
    here = model.log_prob(x)
    others = [model.log_prob(elements.of(x, g)) for g in range(1, len(elements))]
    return torch.stack([(here.exp() * (here - other)).sum() for other in others]).mean()


@pytest.mark.parametrize("symmetry", ["z2", "lattice_translation"])
def test_the_gradient_of_the_symmetry_penalty_is_that_of_the_enumerated_divergence(symmetry: ModelSymmetry) -> None:
    model, state, elements = scrambled(MadeSpec(width=5)), ising_state(), images([symmetry], spins(SHAPE).spec)
    objective, batch = ReverseKl(ReverseKlSpec(symmetry_penalty=2.0)), Batch(BATCH_SIZE, state, images=elements)
    gradients = estimates(lambda k: objective(model, batch, RandomStream(31, domain=k)).value, model, 500)
    bound, penalty = enumerated_loss(model, state), enumerated_penalty(model, symmetry, elements)
    of_bound, of_penalty = flat_gradient(bound, model), flat_gradient(penalty, model)
    assert largest_deviation(gradients, of_bound + 2 * of_penalty) < STANDARD_ERRORS
    assert largest_deviation(gradients, of_bound + of_penalty) > STANDARD_ERRORS
    many = objective(model, Batch(40_000, state, images=elements), RandomStream(1)).parts["symmetry_penalty"]
    assert float(many) == pytest.approx(float(penalty.detach()), rel=0.05)


def test_the_penalty_is_the_divergence_between_a_model_and_its_image() -> None:
    model, elements = scrambled(MadeSpec(width=5)), images(["z2"], spins(SHAPE).spec)
    x = spins(SHAPE).enumerate()
    (image,) = lattice_images("z2", x, spins(SHAPE))
    with torch.no_grad():
        q, of_image = model.log_prob(x), model.log_prob(image)
        expected = float((q.exp() * (q - of_image)).sum())
        assert float(enumerated_penalty(model, "z2", elements)) == pytest.approx(expected, abs=1e-12)
    assert expected > 0.1


def test_a_symmetric_model_pays_nothing() -> None:
    elements, state = images(["z2"], spins(SHAPE).spec), ising_state(h=0.0)
    for spec, pays in ((MadeSpec(width=6, symmetry="z2"), False), (MadeSpec(width=6), True)):
        model = scrambled(spec)
        free = ReverseKl(ReverseKlSpec(symmetry_penalty=0))(model, Batch(64, state, images=elements), RandomStream(1))
        paid = ReverseKl(ReverseKlSpec())(model, Batch(64, state, images=elements), RandomStream(1))
        assert "symmetry_penalty" not in free.parts
        assert (abs(float(paid.parts["symmetry_penalty"])) > 1e-9) == pays
        same = torch.allclose(flat_gradient(free.value, model), flat_gradient(paid.value, model), atol=1e-6)
        assert same != pays
        assert torch.equal(free.log_weights, paid.log_weights)
