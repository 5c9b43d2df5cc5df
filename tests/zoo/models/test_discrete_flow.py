"""Discrete flows: one to one, the derivative that stands for that of the argmax, and how wrong it is."""

from math import log, prod

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from tests.conformance.cases import scramble
from tests.zoo.objectives.exact_gradients import (
    SHAPE,
    STANDARD_ERRORS,
    estimates,
    flat_gradient,
    ising_state,
    largest_deviation,
    scrambled,
)
from zoo.catalog import build_model, build_objective
from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.spaces import DiscreteSpace, build_space
from zoo.models.discrete_flow import DiscreteFlowModel, shifted_back
from zoo.objectives.base import Batch
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.discrete_flow import DiscreteFlowSpec
from zoo.specs.objectives import MaximumLikelihoodSpec, ReverseKlSpec
from zoo.specs.spaces import SpaceKind, SpaceSpec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem, TrainingData
from zoo.training.trainer import Trainer, train

SMALL = DiscreteFlowSpec(couplings=3, width=6, depth=1)


def flow(kind: SpaceKind, shape: tuple[int, ...], num_values: int | None = None) -> DiscreteFlowModel:
    space = build_space(SpaceSpec(kind=kind, event_shape=shape, num_values=num_values))
    model = build_model(SMALL, space, seed=1)
    scramble(model, 0.5)
    assert isinstance(model, DiscreteFlowModel)
    return model


@pytest.mark.parametrize(
    ("kind", "shape", "num_values"), [("spins", (2, 4), None), ("bits", (7,), None), ("categorical", (5,), 3)]
)
def test_the_map_is_one_to_one_and_its_probabilities_are_those_of_the_base(
    kind: SpaceKind, shape: tuple[int, ...], num_values: int | None
) -> None:
    model = flow(kind, shape, num_values)
    network, q, sites = model.network, num_values or 2, prod(shape)
    z = torch.arange(q**sites)[:, None] // torch.tensor([q**i for i in range(sites)]) % q
    with torch.no_grad():
        x = network.forward_values(z, None)
        assert torch.equal(network.inverse_one_hot(x, None), one_hot(z, q).float())
        assert len({tuple(row) for row in x.tolist()}) == q**sites
        assert not torch.equal(x, z)
        base = network.base_log_prob(None)[0].exp()
        product = torch.stack([base[i, z[:, i]] for i in range(sites)]).prod(0)
        q_x = model.log_prob(network.space.from_indices(x).view(-1, *shape)).exp()
    torch.testing.assert_close(q_x, product)
    assert float(q_x.sum()) == pytest.approx(1, abs=1e-12)


def test_the_derivative_is_that_of_the_sum_over_one_hot_vectors_with_softmax_for_argmax() -> None:
    generator = torch.Generator().manual_seed(1)
    q = 5
    outputs = torch.randn(20, 3, q, generator=generator, dtype=torch.float64, requires_grad=True)
    soft_x = torch.randn(20, 3, q, generator=generator, dtype=torch.float64, requires_grad=True)
    values = torch.randint(q, (20, 3), generator=generator)
    vectors = one_hot(values, q).double() + (soft_x - soft_x.detach())
    shift, soft = outputs.argmax(2), (outputs / 0.3).softmax(2)
    straight = one_hot(shift, q).double() + (soft - soft.detach())
    k = torch.arange(q)
    by_sum = torch.stack([(vectors[:, :, (i + k) % q] * straight).sum(2) for i in range(q)], 2)
    moved, z = shifted_back(values, vectors, shift, soft)
    assert torch.equal(z.detach(), by_sum.detach())
    assert torch.equal(z.argmax(2), moved)
    weight = torch.randn(by_sum.shape, generator=generator, dtype=torch.float64)
    expected, found = (
        torch.autograd.grad((part * weight).sum(), (outputs, soft_x), retain_graph=True) for part in (by_sum, z)
    )
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)
        assert bool(a.abs().max() > 0)


def reverse_kl_gradients(model: Model, number: int = 400) -> Tensor:
    objective, state = build_objective(ReverseKlSpec(symmetry_penalty=0)), ising_state()
    return estimates(lambda k: objective(model, Batch(64, state), RandomStream(1, k)).value, model, number)


def weights_of_the_base(model: Model) -> Tensor:
    """Which entries of a flat gradient belong to the base."""
    return torch.cat([torch.full((p.numel(),), name.endswith(".logits")) for name, p in model.named_parameters()])


def exact_and_straight_through(model: Model) -> tuple[Tensor, Tensor]:
    """Cov_q(f, grad ln q) by enumeration with the model's own derivatives, and the base's exact gradient of <f>."""
    space = model.space
    assert isinstance(space, DiscreteSpace)
    x = space.enumerate()
    energy, log_prob = ising_state().reduced_energy(x), model.log_prob(x)
    weight, f = log_prob.detach().exp(), energy + log_prob.detach()
    straight = flat_gradient((weight * (f - weight @ f) * log_prob).sum(), model)
    log_prob = model.log_prob(x)
    return straight, flat_gradient((log_prob.exp() * (energy + log_prob)).sum(), model)


def enumerated_value(model: Model) -> float:
    space = model.space
    assert isinstance(space, DiscreteSpace)
    x = space.enumerate()
    with torch.no_grad():
        log_prob = model.log_prob(x)
        return float((log_prob.exp() * (ising_state().reduced_energy(x) + log_prob)).sum())


def test_the_gradient_is_exact_in_the_base_and_biased_in_the_shifts_by_what_is_declared() -> None:
    model = scrambled(SMALL)
    base = weights_of_the_base(model)
    gradients = reverse_kl_gradients(model)
    straight, exact = exact_and_straight_through(model)
    assert largest_deviation(gradients[:, base], exact[base]) < STANDARD_ERRORS
    assert largest_deviation(gradients, straight) < STANDARD_ERRORS
    # the true gradient in the shifts is zero: no small step of their weights changes the loss at all
    before = enumerated_value(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.endswith(".logits"):
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)), alpha=1e-6)
    assert enumerated_value(model) == pytest.approx(before, abs=1e-12)
    error = gradients[:, ~base].std(0) / len(gradients) ** 0.5
    bias = (gradients[:, ~base].mean(0) / error.clamp_min(1e-9)).abs()
    assert float(bias.max()) > 5 * STANDARD_ERRORS
    assert float(straight[~base].norm()) > 0.1 * float(straight[base].norm())


def test_a_score_without_the_shifts_would_be_found_in_the_base() -> None:
    model = scrambled(SMALL)
    base = weights_of_the_base(model)
    _, exact = exact_and_straight_through(model)
    assert largest_deviation(0.8 * reverse_kl_gradients(model)[:, base], exact[base]) > STANDARD_ERRORS


def test_a_colder_softmax_has_another_bias_and_the_same_distribution() -> None:
    models = [scrambled(SMALL.model_copy(update={"temperature": t})) for t in (0.3, 3.0)]
    space = models[0].space
    assert isinstance(space, DiscreteSpace)
    x = space.enumerate()
    assert torch.equal(models[0].log_prob(x).detach(), models[1].log_prob(x).detach())
    shifts = ~weights_of_the_base(models[0])
    first, second = (exact_and_straight_through(model)[0][shifts] for model in models)
    assert not torch.allclose(first, second, rtol=0.1)


def test_maximum_likelihood_finds_correlations_that_no_product_has() -> None:
    state = ising_state(h=0.0)
    space = build_space(SpaceSpec(kind="spins", event_shape=SHAPE))
    assert isinstance(space, DiscreteSpace)
    x = space.enumerate()
    log_p = state.unnormalized_log_prob(x)
    log_p = log_p - log_p.logsumexp(0)
    drawn = torch.multinomial(log_p.exp(), 10_000, replacement=True, generator=torch.Generator().manual_seed(1))
    model = build_model(DiscreteFlowSpec(width=32), space, seed=0)
    spec = TrainingSpec(batch_size=256, max_steps=250, learning_rate=0.01, held_out_fraction=0)
    trainer = Trainer(
        build_objective(MaximumLikelihoodSpec()), Problem(None, TrainingData(x[drawn], x[drawn[:0]])), spec
    )
    for _ in train(trainer, trainer.init(model)):
        pass
    with torch.no_grad():
        divergence = float((log_p.exp() * (log_p - model.log_prob(x))).sum())
    best_product = float((log_p.exp() * log_p).sum()) + len(x[0].flatten()) * log(2)  # all means are zero
    assert best_product > 2.5
    assert divergence < 0.3 * best_product


def test_real_variables_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="models spins, bits and categorical, and the target lives on reals"):
        build_model(SMALL, build_space(SpaceSpec(kind="reals", event_shape=(4,))), seed=1)
