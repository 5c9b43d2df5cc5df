"""Parallel tempering: the joint distribution of all replicas, and what it is for: crossing barriers."""

from math import exp

import pytest
import torch
from torch import Tensor

from tests.zoo.samplers.calibration import boltzmann, chi_square_p_value, index_of, last_states, space_of
from zoo.catalog import build_chains, build_target
from zoo.core.random import RandomStream
from zoo.samplers import parallel_tempering
from zoo.samplers.base import Beta, Chains, RunPlan, StateT
from zoo.samplers.hmc import Hmc
from zoo.samplers.metropolis import Metropolis
from zoo.samplers.parallel_tempering import ParallelTempering, TemperedState
from zoo.specs.samplers import MetropolisSpec, ParallelTemperingSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.gaussian import GaussianSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.potts import PottsSpec

BETA = 0.6
SPEC = ParallelTemperingSpec(num_temperatures=3, min_beta_fraction=0.25)


def chains_on(spec: TargetSpec, beta: Beta = BETA, tempering: ParallelTemperingSpec = SPEC) -> ParallelTempering:
    return ParallelTempering(tempering, build_target(spec), beta)


def joint_states(chains: ParallelTempering, state: TemperedState) -> Tensor:
    """The number of the state of each chain's replicas together, the hottest changing slowest."""
    count = 2**chains.target.space.num_sites
    index = index_of(chains.target, state.replicas.configurations(state.state)).reshape(3, -1)
    joint: Tensor = index[0] * count**2 + index[1] * count + index[2]
    return joint


def after_steps(chains: ParallelTempering, num_steps: int) -> tuple[Tensor, Tensor]:
    """The joint states of 50,000 chains that start in equilibrium at each temperature, and their distribution."""
    states = space_of(chains.target).enumerate()
    p = [boltzmann(chains.target, BETA * float(f)) for f in chains.fractions]
    drawn = [torch.multinomial(q, 50_000, replacement=True, generator=torch.Generator().manual_seed(1)) for q in p]
    mixed = [row[torch.randperm(50_000, generator=torch.Generator().manual_seed(i))] for i, row in enumerate(drawn)]
    start = chains.state_at(states[:1].expand(50_000, *states.shape[1:]))
    state = TemperedState(start.replicas, start.replicas.state_at(states[torch.cat(mixed)]))
    for time in range(num_steps):
        state, _ = chains.step(state, RandomStream(4).spawn(time))
    return joint_states(chains, state), torch.einsum("a,b,c->abc", *p).flatten()


def test_all_replicas_together_stay_in_equilibrium() -> None:
    for spec in (IsingSpec(shape=(2,)), IsingSpec(shape=(3,), h=0.4, periodic=False)):
        states, p = after_steps(chains_on(spec), 6)
        assert chi_square_p_value(states, p) > 1e-4


@pytest.mark.parametrize("mistake", ["sign of the ratio", "always accepted", "rows mixed up"])
def test_a_wrong_exchange_is_caught(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right, sources = parallel_tempering._exchange_accepted, parallel_tempering._sources
    if mistake == "sign of the ratio":
        monkeypatch.setattr(parallel_tempering, "_exchange_accepted", lambda b, e, rng: right(b, -e, rng))
    elif mistake == "always accepted":
        monkeypatch.setattr(parallel_tempering, "_exchange_accepted", lambda b, e, rng: right(0 * b, e, rng))
    else:
        monkeypatch.setattr(parallel_tempering, "_sources", lambda a, first, n: sources(a, 0, n))
    states, p = after_steps(chains_on(IsingSpec(shape=(2,))), 6)
    assert chi_square_p_value(states, p) < 1e-12


@pytest.mark.parametrize("num_temperatures", [2, 3, 4, 5])
def test_exchanges_are_of_neighbours_that_take_turns(num_temperatures: int) -> None:
    tempering = ParallelTemperingSpec(num_temperatures=num_temperatures, min_beta_fraction=0.9)
    chains = chains_on(IsingSpec(shape=(2,), J=1e-9), 1.0, tempering)  # equal energies: always accepted
    state = chains.state_at(torch.ones(1, 2))
    for first in (0, 1, 0):
        accepted = torch.ones(len(range(first, num_temperatures - 1, 2)), 1, dtype=torch.bool)
        expected = list(range(num_temperatures))
        for i in range(first, num_temperatures - 1, 2):
            expected[i], expected[i + 1] = expected[i + 1], expected[i]
        assert parallel_tempering._sources(accepted, first, num_temperatures).flatten().tolist() == expected
        assert state.num_steps % 2 == first
        state, _ = chains.step(state, RandomStream(1))


def test_the_ladder_ends_at_the_target() -> None:
    chains = chains_on(IsingSpec(shape=(2,)))
    assert chains.fractions.tolist() == pytest.approx([0.25, 0.5, 1.0])
    betas = chains.init(2, RandomStream(1)).replicas.beta
    assert isinstance(betas, Tensor)
    assert betas.tolist() == pytest.approx([0.15, 0.15, 0.3, 0.3, 0.6, 0.6])


def test_a_temperature_for_each_chain() -> None:
    betas = torch.tensor([0.2, 0.4, 0.6], dtype=torch.float64).repeat_interleave(5_000)
    for spec in (IsingSpec(shape=(3, 3)), PottsSpec(shape=(2, 2), q=3)):
        chains = chains_on(spec, betas)
        states = last_states(chains, chains.run(15_000, RunPlan(1, burn_in=60), RandomStream(3)))
        for row, beta in zip(states.reshape(3, -1), (0.2, 0.4, 0.6), strict=True):
            assert chi_square_p_value(row, boltzmann(chains.target, beta)) > 1e-4


def test_replicas_cross_a_barrier_that_single_chains_do_not() -> None:
    spec = IsingSpec(shape=(4, 4))
    up = torch.ones(500, 4, 4)

    def share_up(chains: Chains[StateT]) -> float:
        state = chains.warm_up(chains.state_at(up), 100, RandomStream(1))
        return float((chains.configurations(state).flatten(1).sum(1) > 0).double().mean())

    tempered = chains_on(spec, 1.2, ParallelTemperingSpec(num_temperatures=6, min_beta_fraction=0.15))
    assert share_up(Metropolis(MetropolisSpec(), build_target(spec), 1.2)) > 0.98
    assert share_up(tempered) == pytest.approx(0.5, abs=0.12)


def test_coordinates_are_moved_by_trajectories() -> None:
    spec = GaussianSpec(precision=((2.0, 0.5), (0.5, 1.0)))
    chains = build_chains(SPEC, build_target(spec), 1.0)
    drawn = chains.run(100, RunPlan(200, burn_in=100), RandomStream(2))
    assert isinstance(chains.init(2, RandomStream(1)).replicas, Hmc)
    covariance = torch.linalg.inv(torch.tensor(spec.precision, dtype=torch.float64))
    x = drawn.configurations.flatten(0, 1)
    assert torch.allclose(x.T @ x / len(x), covariance, atol=0.05)
    assert float(drawn.energies.mean()) == pytest.approx(1.0, abs=0.05)


def test_one_seed_one_answer() -> None:
    chains = chains_on(IsingSpec(shape=(4, 4)))
    one, same, other = (chains.run(20, RunPlan(5, burn_in=3), RandomStream(seed)).configurations for seed in (1, 1, 2))
    assert one.shape == (20, 5, 4, 4)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_an_exchange_is_accepted_with_the_ratio_of_the_joint_weights() -> None:
    betas = torch.tensor([[0.2], [0.5]], dtype=torch.float64).expand(2, 100_000)
    energies = torch.tensor([[-3.0], [1.0]], dtype=torch.float64).expand(2, 100_000)
    wanted = 1.0  # the lower energy goes to the lower temperature
    assert float(parallel_tempering._exchange_accepted(betas, energies, RandomStream(1)).double().mean()) == wanted
    share = float(parallel_tempering._exchange_accepted(betas, energies.flip(0), RandomStream(1)).double().mean())
    assert share == pytest.approx(exp(-0.3 * 4), abs=0.006)
