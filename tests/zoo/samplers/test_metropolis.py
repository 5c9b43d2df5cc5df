"""Metropolis against enumeration: exact detailed balance, stationarity, chi-square, and a wrong acceptance caught."""

from collections.abc import Iterator
from math import prod
from time import perf_counter

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.estimators.chains import chain_average, chain_heat_capacity, r_hat
from zoo.exact.ising import exact_reference
from zoo.samplers.metropolis import ChainState, Metropolis, RunPlan, colours, neighbours
from zoo.specs.errors import InvalidValueError
from zoo.specs.targets.ising import IsingSpec

LATTICES = [
    IsingSpec(shape=(2,), h=0.3),
    IsingSpec(shape=(3,)),
    IsingSpec(shape=(6,), J=-1.0),
    IsingSpec(shape=(5,), periodic=False, h=-0.2),
    IsingSpec(shape=(2, 2), h=0.1),
    IsingSpec(shape=(3, 3)),
    IsingSpec(shape=(3, 3), J=-0.7, h=0.4),
    IsingSpec(shape=(2, 4), periodic=False),
    IsingSpec(shape=(1, 4)),
    IsingSpec(shape=(2, 1, 3), h=0.2),
    IsingSpec(shape=(2, 2, 2), J=-0.5),
    IsingSpec(shape=(1,), h=0.5),
]
BETA = 0.4


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors: a second thread costs more than it gives."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def index_of(configurations: Tensor) -> Tensor:
    """The number of each configuration in the order of ``Spins.enumerate``."""
    bits = (configurations.flatten(1).to(torch.int64) + 1) // 2
    return (bits << torch.arange(bits.shape[1])).sum(1)


def boltzmann(sampler: Metropolis) -> Tensor:
    reduced = sampler.beta * sampler.target.energy(sampler.target.space.enumerate())
    return torch.softmax(-reduced, 0)


def transition_matrix(sampler: Metropolis, sublattice: slice) -> Tensor:
    """P(s -> s') of the update of one sublattice, from its acceptance probabilities, for all states."""
    states = sampler.target.space.enumerate()
    spins = sampler.state_at(states).spins
    accept = sampler.acceptance(spins, sublattice).to(torch.float64)
    matrix = torch.zeros(len(states), len(states), dtype=torch.float64)
    for flips in range(2 ** len(accept)):
        chosen = torch.tensor([bool(flips >> i & 1) for i in range(len(accept))])[:, None]
        after = spins.clone()
        after[sublattice] *= 1 - 2 * chosen.to(torch.float32)
        probability = torch.where(chosen, accept, 1 - accept).prod(0)
        reached = index_of(sampler.configurations(ChainState(after, 0)))
        matrix.index_put_((torch.arange(len(states)), reached), probability, accumulate=True)
    return matrix


@pytest.mark.parametrize("spec", LATTICES, ids=str)
def test_every_sublattice_obeys_detailed_balance_exactly(spec: IsingSpec) -> None:
    sampler = Metropolis(spec, BETA)
    p = boltzmann(sampler)
    for sublattice in sampler.sublattices:
        flow = p[:, None] * transition_matrix(sampler, sublattice)
        assert flow.sum() == pytest.approx(1.0, abs=1e-12)
        assert float((flow - flow.T).abs().max()) < 1e-7 * float(flow.max())  # acceptances are float32


@pytest.mark.parametrize("spec", LATTICES, ids=str)
def test_a_sweep_reaches_every_state_and_forgets_where_it_began(spec: IsingSpec) -> None:
    sampler = Metropolis(spec, BETA)
    sweep = torch.eye(2**sampler.target.space.num_sites, dtype=torch.float64)
    for sublattice in sampler.sublattices:
        sweep = sweep @ transition_matrix(sampler, sublattice)
    p = boltzmann(sampler)
    assert torch.allclose(p @ sweep, p, atol=1e-7)
    assert torch.allclose(torch.linalg.matrix_power(sweep, 2000), p.expand_as(sweep), atol=1e-5)


def chi_square_p_value(samples: Tensor, p: Tensor) -> float:
    """Of the counts of independent ``samples`` of states against ``p``; states of less than 5 expected are pooled."""
    expected = p.numpy() * len(samples)
    counts = np.bincount(index_of(samples).numpy(), minlength=len(p))
    rare = expected < 5
    observed = np.r_[counts[~rare], counts[rare].sum()]
    expected = np.r_[expected[~rare], max(expected[rare].sum(), 1e-12)]
    statistic = float(((observed - expected) ** 2 / expected).sum())
    return float(chi2.sf(statistic, int((expected > 1e-9).sum()) - 1))


@pytest.mark.parametrize("spec", LATTICES, ids=str)
@pytest.mark.parametrize("start", ["ordered", "disordered"])
def test_chains_follow_the_boltzmann_distribution(spec: IsingSpec, start: str) -> None:
    sampler = Metropolis(spec, BETA)
    plan = RunPlan(1, burn_in=60, start="ordered" if start == "ordered" else "disordered")
    drawn = sampler.run(20_000, plan, RandomStream(seed=5))
    # 24 cases with a false alarm of 1e-4 each, at a fixed seed
    assert chi_square_p_value(drawn.spins[:, 0], boltzmann(sampler)) > 1e-4


@pytest.mark.parametrize("mistake", ["half the cost", "all sites at once"])
def test_a_wrong_acceptance_is_caught(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = Metropolis(IsingSpec(shape=(3, 3), h=0.1), BETA)
    if mistake == "half the cost":
        right = sampler.acceptance
        monkeypatch.setattr(sampler, "acceptance", lambda spins, part: right(spins, part).sqrt())
    else:
        monkeypatch.setattr(sampler, "sublattices", [slice(0, 9)])
    drawn = sampler.run(20_000, RunPlan(1, burn_in=60), RandomStream(seed=5))
    assert chi_square_p_value(drawn.spins[:, 0], boltzmann(sampler)) < 1e-12
    flow = boltzmann(sampler)[:, None] * transition_matrix(sampler, sampler.sublattices[0])
    assert float((flow - flow.T).abs().max()) > 1e-3 * float(flow.max())


@pytest.mark.parametrize(
    "spec",
    [
        *LATTICES,
        IsingSpec(shape=(5, 7)),
        IsingSpec(shape=(4, 5)),
        IsingSpec(shape=(3, 4, 5)),
        IsingSpec(shape=(3, 5), periodic=False),
    ],
    ids=str,
)
def test_neighbours_have_different_colours(spec: IsingSpec) -> None:
    colour = torch.cat([colours(spec), torch.tensor([-1])])
    assert not (colour[neighbours(spec)] == colour[:-1, None]).any()
    assert int(colour.max()) <= 2


@pytest.mark.parametrize(
    ("spec", "beta"),
    [
        (IsingSpec(shape=(8, 8)), 0.4),
        (IsingSpec(shape=(5, 4), J=-1.0, h=0.5), 0.5),
        (IsingSpec(shape=(5, 7), periodic=False), 0.4),
        (IsingSpec(shape=(2, 3, 3), h=0.1), 0.2),
        (IsingSpec(shape=(40,), h=0.2), 0.8),
    ],
    ids=str,
)
def test_energy_and_heat_capacity_are_exact_within_their_errors(spec: IsingSpec, beta: float) -> None:
    sampler = Metropolis(spec, beta)
    energies = sampler.run(50, RunPlan(800, burn_in=200), RandomStream(seed=6)).energies
    sites, exact = prod(spec.shape), exact_reference(spec, beta).observables
    energy, heat_capacity = chain_average(energies / sites), chain_heat_capacity(energies, beta, sites)
    assert abs(energy.value - exact["energy_per_site"]) < 4 * float(energy.standard_error or 0)
    assert abs(heat_capacity.value - exact["heat_capacity_per_site"]) < 4 * float(heat_capacity.standard_error or 0)
    assert r_hat(energies) < 1.02


def test_without_any_energy_chains_still_mix() -> None:
    # flips that cost nothing are always accepted by the textbook rule: the lattice would only be flipped as a whole
    sampler = Metropolis(IsingSpec(shape=(4, 4), J=0.0), 1.0)
    state, _ = sampler.step(sampler.init(2, RandomStream(1), "ordered"), RandomStream(1))
    assert 0 < float(state.spins.eq(1).to(torch.float32).mean(0)[0]) < 0.5


def test_one_seed_one_answer() -> None:
    sampler = Metropolis(IsingSpec(shape=(4, 4)), 0.4)
    one, same, other = (sampler.run(10, RunPlan(5), RandomStream(seed)).spins for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_step_leaves_its_state_alone_and_tells_what_it_flipped() -> None:
    sampler = Metropolis(IsingSpec(shape=(4, 4)), 0.4)
    state = sampler.init(100, RandomStream(3))
    before = state.spins.clone()
    after, info = sampler.step(state, RandomStream(3))
    assert torch.equal(state.spins, before)
    assert after.sweeps == 1
    changed = (sampler.configurations(after) != sampler.configurations(state)).flatten(1).to(torch.float32)
    assert torch.equal(info.acceptance, changed.mean(1))


def test_runs_return_configurations_of_the_space_with_their_energies() -> None:
    sampler = Metropolis(IsingSpec(shape=(3, 5), h=0.2), 0.4)
    drawn = sampler.run(4, RunPlan(6, thin=2, start="ordered"), RandomStream(1))
    assert drawn.spins.shape == (4, 6, 3, 5)
    assert drawn.spins.dtype == torch.int8
    sampler.target.space.validate(drawn.spins.flatten(0, 1))
    assert torch.equal(drawn.energies.flatten(), sampler.target.energy(drawn.spins.flatten(0, 1)))


@pytest.mark.parametrize("plan", [(0, 0, 1), (1, -1, 1), (1, 0, 0)], ids=str)
def test_a_plan_that_cannot_be_run_is_refused(plan: tuple[int, int, int]) -> None:
    with pytest.raises(InvalidValueError, match="cannot be run"):
        RunPlan(*plan)


def test_a_thousand_chains_of_8x8_do_a_sweep_in_milliseconds() -> None:
    sampler = Metropolis(IsingSpec(shape=(8, 8)), 0.44)
    state, rng = sampler.init(1000, RandomStream(1)), RandomStream(1)
    start = perf_counter()
    for _ in range(200):
        state, _ = sampler.step(state, rng)
    assert (perf_counter() - start) / 200 < 0.01  # about 0.001 on an idle core
