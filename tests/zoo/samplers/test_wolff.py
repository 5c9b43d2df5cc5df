"""Wolff against the sum over all subsets of bonds, and against exact averages."""

import pytest
import torch

from tests.zoo.samplers.calibration import (
    boltzmann,
    chi_square_p_value,
    cluster_matrix,
    index_of,
    last_states,
    space_of,
)
from tests.zoo.samplers.test_swendsen_wang import BETA, CHAINS_PER_STATE, SYSTEMS, activation_of, bonds_of
from zoo.catalog import build_target
from zoo.core.random import RandomStream
from zoo.estimators.chains import chain_average
from zoo.exact.ising import exact_reference
from zoo.samplers.base import Beta, RunPlan
from zoo.samplers.wolff import Wolff
from zoo.specs.errors import InvalidValueError
from zoo.specs.samplers import WolffSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.potts import PottsSpec


def chains_on(spec: TargetSpec, beta: Beta = BETA) -> Wolff:
    return Wolff(WolffSpec(), build_target(spec), beta)


@pytest.mark.parametrize("spec", SYSTEMS, ids=str)
def test_a_step_goes_where_the_sum_over_bond_subsets_says(spec: IsingSpec | PottsSpec) -> None:
    chains = chains_on(spec)
    exact = cluster_matrix(chains.target, bonds_of(spec), activation_of(spec), single=True)
    p = boltzmann(chains.target, BETA)
    assert torch.allclose(p[:, None] * exact, (p[:, None] * exact).T, atol=1e-14)
    states = space_of(chains.target).enumerate().repeat_interleave(CHAINS_PER_STATE, 0)
    after, info = chains.step(chains.state_at(states), RandomStream(2))
    reached = chains.configurations(after)
    for state, probability in zip(index_of(chains.target, reached).reshape(len(p), -1), exact, strict=True):
        assert chi_square_p_value(state, probability) > 1e-5
    assert torch.equal(info.acceptance, (reached != states).flatten(1).float().mean(1))


@pytest.mark.parametrize("spec", [IsingSpec(shape=(3, 3)), IsingSpec(shape=(2, 2, 2)), PottsSpec(shape=(2, 2), q=3)])
def test_chains_follow_the_boltzmann_distribution(spec: TargetSpec) -> None:
    chains = chains_on(spec)
    drawn = chains.run(20_000, RunPlan(1, burn_in=40), RandomStream(seed=5))
    assert chi_square_p_value(last_states(chains, drawn), boltzmann(chains.target, BETA)) > 1e-4


def test_the_energy_is_exact_at_the_critical_point() -> None:
    spec = IsingSpec(shape=(32, 32))
    energies = chains_on(spec, 0.4406867935097715).run(50, RunPlan(100, burn_in=100), RandomStream(6)).energies / 1024
    average, exact = chain_average(energies), exact_reference(spec, 0.4406867935097715).observables["energy_per_site"]
    assert average.standard_error is not None
    assert average.standard_error < 0.006
    assert abs(average.value - exact) < 4 * average.standard_error


def test_a_temperature_for_each_chain() -> None:
    betas = torch.tensor([0.1, 0.4, 0.7], dtype=torch.float64).repeat_interleave(10_000)
    chains = chains_on(IsingSpec(shape=(3, 3)), betas)
    states = last_states(chains, chains.run(30_000, RunPlan(1, burn_in=40), RandomStream(3)))
    for row, beta in zip(states.reshape(3, -1), (0.1, 0.4, 0.7), strict=True):
        assert chi_square_p_value(row, boltzmann(chains.target, beta)) > 1e-4


def test_one_seed_one_answer() -> None:
    chains = chains_on(IsingSpec(shape=(8, 8)))
    state = chains.init(20, RandomStream(1))
    before = state.values.copy()
    chains.step(state, RandomStream(3))
    assert (state.values == before).all()
    one, same, other = (chains.run(20, RunPlan(5), RandomStream(seed)).configurations for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("spec", [IsingSpec(shape=(4,), h=0.1), PottsSpec(shape=(4,), q=3, J=-1.0)], ids=str)
def test_fields_and_antiferromagnets_are_refused(spec: TargetSpec) -> None:
    assert "no field" in str(WolffSpec().unsupported_reason(spec))
    with pytest.raises(InvalidValueError, match="no field"):
        chains_on(spec)
