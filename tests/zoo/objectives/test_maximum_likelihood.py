"""Maximum likelihood: the cross-entropy of data, whose gradient is unbiased when rows are drawn from it."""

from functools import cache
from math import log

import pytest
import torch
from torch import Tensor

from tests.conformance.cases import spins
from tests.zoo.objectives.exact_gradients import (
    SHAPE,
    STANDARD_ERRORS,
    estimates,
    flat_gradient,
    ising_state,
    largest_deviation,
    scrambled,
)
from zoo.core.random import RandomStream
from zoo.objectives.base import Batch
from zoo.objectives.maximum_likelihood import MaximumLikelihood
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.made import MadeSpec
from zoo.specs.objectives import MaximumLikelihoodSpec

OBJECTIVE = MaximumLikelihood(MaximumLikelihoodSpec())


def boltzmann() -> Tensor:
    """Probabilities of all configurations of a small Ising model."""
    return torch.softmax(ising_state().unnormalized_log_prob(spins(SHAPE).enumerate()), 0)


@cache
def draws(number: int, seed: int) -> Tensor:
    """Rows of the enumeration, drawn from the Boltzmann distribution."""
    rows = torch.multinomial(boltzmann(), number, replacement=True, generator=torch.Generator().manual_seed(seed))
    return spins(SHAPE).enumerate()[rows]


def test_the_value_is_the_mean_of_minus_log_prob_with_its_error() -> None:
    model, data = scrambled(MadeSpec(width=6)), draws(500, 1)
    loss = OBJECTIVE(model, Batch(500, data=data), RandomStream(0))
    nll = -model.log_prob(data).detach()
    assert float(loss.value.detach()) == pytest.approx(float(nll.mean()), abs=1e-12)
    assert set(loss.parts) == {"negative_log_likelihood", "data_standard_error"}
    assert float(loss.parts["negative_log_likelihood"]) == pytest.approx(float(nll.mean()), abs=1e-12)
    assert float(loss.parts["data_standard_error"]) == pytest.approx(float(nll.std()) / 500**0.5, rel=1e-9)
    assert len(loss.log_weights) == 0
    assert loss.log_weights.dtype == torch.float64
    assert not any(part.requires_grad for part in loss.parts.values())


def test_it_is_the_entropy_and_the_divergence_together() -> None:
    p, model = boltzmann(), scrambled(MadeSpec(width=6))
    with torch.no_grad():
        log_q = model.log_prob(spins(SHAPE).enumerate())
    entropy, divergence = -float((p * p.log()).sum()), float((p * (p.log() - log_q)).sum())
    parts = OBJECTIVE(model, Batch(20_000, data=draws(20_000, 2)), RandomStream(0)).parts
    nll, error = float(parts["negative_log_likelihood"]), float(parts["data_standard_error"])
    assert abs(nll - entropy - divergence) < 4 * error
    assert abs(nll - entropy) > 4 * error
    assert entropy < 6 * log(2)


def test_the_gradient_is_that_of_the_enumerated_cross_entropy() -> None:
    model = scrambled(MadeSpec(width=6))
    gradients = estimates(
        lambda k: OBJECTIVE(model, Batch(16, data=draws(16, 100 + k)), RandomStream(0)).value, model, 400
    )
    cross_entropy = -(boltzmann() * model.log_prob(spins(SHAPE).enumerate())).sum()
    exact = flat_gradient(cross_entropy, model)
    assert largest_deviation(gradients, exact) < STANDARD_ERRORS
    assert largest_deviation(gradients, 0.8 * exact) > STANDARD_ERRORS


def test_there_must_be_data() -> None:
    with pytest.raises(InvalidValueError, match="learns from data, and there is none"):
        OBJECTIVE(scrambled(MadeSpec(width=6)), Batch(8, ising_state()), RandomStream(0))
