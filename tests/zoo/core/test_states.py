"""Several states at once: each part of a batch belongs to its own."""

import pytest
import torch

from tests.conformance.configurations import random_configurations
from zoo.catalog import build_target, states_of
from zoo.core.targets import Ensemble, ThermodynamicState
from zoo.specs.errors import CapabilityMissingError
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.phi4 import Phi4Spec

ISING = IsingSpec(shape=(3, 3), beta=0.4)
PHI4 = Phi4Spec(shape=(3, 3), mass_squared=-1.0, coupling=0.5)


def test_parts_have_the_energies_of_their_own_states() -> None:
    targets = [build_target(ISING), build_target(ISING.model_copy(update={"h": 0.7})), build_target(ISING)]
    ensemble = Ensemble(tuple(ThermodynamicState(t, b) for t, b in zip(targets, (0.2, 0.5, 1.0), strict=True)))
    x = random_configurations(targets[0].space, 12)
    parts = [beta * t.energy(p) for t, beta, p in zip(targets, (0.2, 0.5, 1.0), x.chunk(3), strict=True)]
    assert ensemble.groups == 3
    assert torch.equal(ensemble.reduced_energy(x), torch.cat(parts))
    assert torch.equal(ensemble.unnormalized_log_prob(x), -torch.cat(parts))
    assert not torch.allclose(ensemble.reduced_energy(x.flip(0)), torch.cat(parts))


def test_one_target_at_several_temperatures_is_evaluated_once() -> None:
    target = build_target(ISING)
    ensemble = Ensemble(tuple(ThermodynamicState(target, beta) for beta in (0.1, 0.9)))
    x = random_configurations(target.space, 8)
    scale = torch.tensor([0.1] * 4 + [0.9] * 4, dtype=torch.float64)
    assert torch.equal(ensemble.reduced_energy(x), scale * target.energy(x))


def test_forces_are_those_of_their_own_states() -> None:
    targets = [build_target(PHI4), build_target(PHI4.model_copy(update={"mass_squared": 2.0}))]
    ensemble = Ensemble((ThermodynamicState(targets[0], 1.0), ThermodynamicState(targets[1], 0.5)))
    x = random_configurations(targets[0].space, 6).requires_grad_()
    (gradient,) = torch.autograd.grad(ensemble.reduced_energy(x).sum(), x)
    assert torch.allclose(ensemble.reduced_force(x.detach()), -gradient, atol=1e-10)
    assert not torch.allclose(ensemble.reduced_force(x.detach().flip(0)), -gradient.flip(0), atol=1e-3)


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    target = build_target(ISING)
    ensemble = Ensemble((ThermodynamicState(target, 0.1), ThermodynamicState(target, 0.2)))
    with pytest.raises(ValueError, match="7 configurations cannot be divided evenly among 2 states"):
        ensemble.reduced_energy(random_configurations(target.space, 7))


def test_spins_have_no_forces() -> None:
    with pytest.raises(CapabilityMissingError, match="forces were asked of a target on spins"):
        ThermodynamicState(build_target(ISING), 1.0).reduced_force(torch.ones(1, 3, 3))


def test_states_of_a_spec_follow_the_values_of_its_parameters() -> None:
    state_at = states_of(ISING)
    x = random_configurations(build_target(ISING).space, 5)
    assert state_at({}).beta == 0.4
    assert state_at({"beta": 0.7}).beta == 0.7
    assert state_at({"beta": 0.7}).target is state_at({}).target
    moved = state_at({"beta": 0.7, "h": 0.3})
    expected = 0.7 * (build_target(ISING).energy(x) - 0.3 * x.flatten(1).double().sum(1))
    assert torch.allclose(moved.reduced_energy(x), expected, atol=1e-12)
    assert not torch.allclose(state_at({"h": 0.3}).reduced_energy(x), state_at({}).reduced_energy(x))
