"""Energy and data together: the stated sum, its gradient, and what it needs."""

import pytest
import torch

from tests.conformance.cases import spins
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
from zoo.core.random import RandomStream
from zoo.core.symmetries import images
from zoo.objectives.base import Batch
from zoo.objectives.maximum_likelihood import MaximumLikelihood
from zoo.objectives.mixed import Mixed
from zoo.objectives.reverse_kl import ReverseKl
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.made import MadeSpec
from zoo.specs.objectives import MaximumLikelihoodSpec, MixedSpec, ReverseKlSpec

DATA = spins(SHAPE).enumerate()[::3]
WEIGHT = 0.3


def test_it_is_the_weighted_sum_of_both_with_the_parts_of_both() -> None:
    model, batch = scrambled(MadeSpec(width=6)), Batch(32, ising_state(), DATA)
    spec = MixedSpec(energy_weight=WEIGHT, reverse_kl=ReverseKlSpec(baseline="none"))
    mixed = Mixed(spec)(model, batch, RandomStream(5))
    energy = ReverseKl(spec.reverse_kl)(model, batch, RandomStream(5))
    data = MaximumLikelihood(MaximumLikelihoodSpec())(model, batch, RandomStream(5))
    torch.testing.assert_close(mixed.value, WEIGHT * energy.value + (1 - WEIGHT) * data.value)
    assert mixed.parts == energy.parts | data.parts
    assert torch.equal(mixed.log_weights, energy.log_weights)
    both = [flat_gradient(loss.value, model) for loss in (mixed, energy, data)]
    torch.testing.assert_close(both[0], WEIGHT * both[1] + (1 - WEIGHT) * both[2], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(both[0], (1 - WEIGHT) * both[1] + WEIGHT * both[2], atol=1e-3)


def test_the_gradient_is_that_of_the_enumerated_sum() -> None:
    model, batch = scrambled(MadeSpec(width=6)), Batch(8, ising_state(), DATA)
    objective = Mixed(MixedSpec(energy_weight=WEIGHT))
    gradients = estimates(lambda k: objective(model, batch, RandomStream(9, domain=k)).value, model, 300)
    energy = flat_gradient(enumerated_loss(model, ising_state()), model)
    data = flat_gradient(-model.log_prob(DATA).mean(), model)
    assert largest_deviation(gradients, WEIGHT * energy + (1 - WEIGHT) * data) < STANDARD_ERRORS
    assert largest_deviation(gradients, 0.5 * energy + 0.5 * data) > STANDARD_ERRORS


def test_the_penalty_belongs_to_the_part_of_the_energy() -> None:
    model = scrambled(MadeSpec(width=6))
    batch = Batch(32, ising_state(), DATA, images(["z2"], spins(SHAPE).spec))
    with_penalty, without = (
        Mixed(MixedSpec(reverse_kl=ReverseKlSpec(symmetry_penalty=weight)))(model, batch, RandomStream(1))
        for weight in (None, 0.0)
    )
    difference = float((with_penalty.value - without.value).detach())
    assert difference == pytest.approx(0.5 * float(with_penalty.parts["symmetry_penalty"]), abs=1e-9)
    assert abs(difference) > 1e-3


@pytest.mark.parametrize("batch", [Batch(8, ising_state()), Batch(8, data=DATA)], ids=["no data", "no target"])
def test_it_needs_both(batch: Batch) -> None:
    with pytest.raises(InvalidValueError, match=r"there is (none|no target)"):
        Mixed(MixedSpec())(scrambled(MadeSpec(width=6)), batch, RandomStream(0))
