"""What a target claims of itself: its space, its energies, its symmetries and its exact free energy."""

import pytest
import torch

from tests.conformance.cases import TARGET_SPECS, spins
from zoo.catalog import build_target
from zoo.core.spaces import Spins
from zoo.core.targets import HasExactFreeEnergy, Target, ThermodynamicState
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.ising import IsingSpec

SPECS = [spec for specs in TARGET_SPECS.values() for spec in specs]


def flip_changes_energy(target: Target) -> bool:
    x = spins(target.space.event_shape).enumerate()
    return not torch.equal(target.energy(x), target.energy(-x))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.model_dump_json(exclude_defaults=True))
class TestTarget:
    def test_energies_are_one_float64_number_for_each_configuration(self, spec: TargetSpec) -> None:
        target = build_target(spec)
        assert target.space.spec == spec.space
        assert isinstance(target.space, Spins)
        x = target.space.enumerate()
        energy = target.energy(x)
        assert energy.shape == (2**spec.space.num_sites,)
        assert energy.dtype == torch.float64
        assert bool(energy.isfinite().all())
        assert torch.equal(energy[37:40], target.energy(x[37:40]))
        assert torch.equal(energy, target.energy(x.float()))

    def test_claimed_symmetry_is_the_measured_one(self, spec: TargetSpec) -> None:
        target = build_target(spec)
        assert target.symmetries == spec.symmetries
        assert ("z2" in target.symmetries) == (not flip_changes_energy(target))

    def test_observables_are_one_number_for_each_configuration(self, spec: TargetSpec) -> None:
        target = build_target(spec)
        assert isinstance(target.space, Spins)
        x = target.space.enumerate()[:50]
        observables = target.observables(x)
        assert {"energy_per_site"} <= set(observables)
        for value in observables.values():
            assert value.shape == (50,)
            assert value.dtype == torch.float64

    def test_exact_free_energy_is_that_of_the_enumerated_energies(self, spec: TargetSpec) -> None:
        target = build_target(spec)
        assert isinstance(target.space, Spins)
        assert isinstance(target, HasExactFreeEnergy)
        x = target.space.enumerate()
        for beta in (spec.beta, 2 * spec.beta):
            log_z = torch.logsumexp(ThermodynamicState(target, beta).unnormalized_log_prob(x), 0)
            assert abs(target.exact_beta_f(beta) + float(log_z)) < 1e-10


def test_a_claim_of_symmetry_in_a_field_would_be_caught() -> None:
    assert flip_changes_energy(build_target(IsingSpec(shape=(3, 3), h=1e-6)))
