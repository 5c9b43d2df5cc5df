"""Metropolis against enumeration: exact detailed balance, stationarity, chi-square, and a wrong acceptance caught."""

from math import prod
from time import perf_counter

import numpy as np
import pytest
import torch

from tests.zoo.samplers.calibration import boltzmann, chi_square_p_value, last_states, transition_matrix
from zoo.catalog import build_target
from zoo.core.random import RandomStream
from zoo.estimators.chains import chain_average, chain_heat_capacity, r_hat
from zoo.exact.ising import exact_reference
from zoo.samplers import metropolis, spin_flips
from zoo.samplers.base import Beta, RunPlan
from zoo.samplers.metropolis import PROPOSAL_PROBABILITY, Metropolis, metropolis_rate
from zoo.samplers.spin_flips import SpinFlips, UniformSpinFlips
from zoo.specs.errors import InvalidValueError
from zoo.specs.samplers import MetropolisSpec
from zoo.specs.targets.bars_and_stripes import BarsAndStripesSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.hopfield import HopfieldSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.potts import PottsSpec
from zoo.specs.targets.spin_glass import SpinGlassSpec

SYSTEMS: list[TargetSpec] = [
    IsingSpec(shape=(2,), h=0.3),
    IsingSpec(shape=(3,)),
    IsingSpec(shape=(6,), J=-1.0),
    IsingSpec(shape=(5,), periodic=False, h=-0.2),
    IsingSpec(shape=(5,), periodic=False),
    IsingSpec(shape=(2, 2), h=0.1),
    IsingSpec(shape=(3, 3)),
    IsingSpec(shape=(3, 3), lattice="triangular"),
    IsingSpec(shape=(3, 3), J=-0.7, h=0.4),
    IsingSpec(shape=(2, 4), periodic=False),
    IsingSpec(shape=(1, 4)),
    IsingSpec(shape=(2, 1, 3), h=0.2),
    IsingSpec(shape=(2, 2, 2), J=-0.5),
    IsingSpec(shape=(1,), h=0.5),
    SpinGlassSpec(couplings={"kind": "sherrington_kirkpatrick", "n": 6, "seed": 1}),
    SpinGlassSpec(couplings={"kind": "edwards_anderson", "shape": (2, 3), "seed": 2}, fields=(0.3, 0, -1, 0, 0.2, 0)),
    HopfieldSpec(n=6, patterns=2),
    PottsSpec(shape=(4,), q=3),
    PottsSpec(shape=(2, 2), q=3, J=-0.8),
    PottsSpec(shape=(2, 3), q=2, periodic=False),
    PottsSpec(shape=(3,), q=5),
]
BETA = 0.4


def chains_on(spec: TargetSpec, beta: Beta = BETA) -> Metropolis:
    return Metropolis(MetropolisSpec(), build_target(spec), beta)


@pytest.mark.parametrize("spec", SYSTEMS, ids=str)
def test_every_sublattice_obeys_detailed_balance_exactly(spec: TargetSpec) -> None:
    chains = chains_on(spec)
    p = boltzmann(chains.target, BETA)
    for part in range(len(chains.rule.sites.parts)):
        flow = p[:, None] * transition_matrix(chains, part)
        assert flow.sum() == pytest.approx(1.0, abs=1e-8)
        assert float((flow - flow.T).abs().max()) < 1e-8 * float(flow.max())  # 32 random bits


@pytest.mark.parametrize("spec", SYSTEMS, ids=str)
def test_a_sweep_reaches_every_state_and_forgets_where_it_began(spec: TargetSpec) -> None:
    chains = chains_on(spec)
    p = boltzmann(chains.target, BETA)
    sweep = torch.eye(len(p), dtype=torch.float64)
    for part in range(len(chains.rule.sites.parts)):
        sweep = sweep @ transition_matrix(chains, part)
    assert torch.allclose(p @ sweep, p, atol=1e-8)
    assert torch.allclose(torch.linalg.matrix_power(sweep, 20_000), p.expand_as(sweep), atol=1e-5)


@pytest.mark.parametrize("spec", SYSTEMS, ids=str)
def test_chains_follow_the_boltzmann_distribution(spec: TargetSpec) -> None:
    chains = chains_on(spec)
    drawn = chains.run(20_000, RunPlan(1, burn_in=60), RandomStream(seed=5))
    # 21 cases with a false alarm of 1e-4 each, at a fixed seed
    assert chi_square_p_value(last_states(chains, drawn), boltzmann(chains.target, BETA)) > 1e-4


@pytest.mark.parametrize("spec", [IsingSpec(shape=(3, 3)), PottsSpec(shape=(2, 2), q=3)], ids=str)
@pytest.mark.parametrize("mistake", ["half the cost", "all sites at once"])
def test_a_wrong_update_is_caught(spec: TargetSpec, mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if mistake == "half the cost":
        monkeypatch.setattr(metropolis, "metropolis_rate", lambda x: metropolis_rate(x / 2))
        chains = chains_on(spec)
    else:
        chains = chains_on(spec)
        chains.rule.sites.parts = [slice(0, chains.target.space.num_sites)]
    drawn = chains.run(20_000, RunPlan(1, burn_in=60), RandomStream(seed=5))
    p = boltzmann(chains.target, BETA)
    assert chi_square_p_value(last_states(chains, drawn), p) < 1e-12
    flow = p[:, None] * transition_matrix(chains, 0)
    assert float((flow - flow.T).abs().max()) > 1e-3 * float(flow.max())


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
    energies = chains_on(spec, beta).run(50, RunPlan(800, burn_in=200), RandomStream(seed=6)).energies
    sites, exact = prod(spec.shape), exact_reference(spec, beta).observables
    energy, heat_capacity = chain_average(energies / sites), chain_heat_capacity(energies, beta, sites)
    assert abs(energy.value - exact["energy_per_site"]) < 4 * float(energy.standard_error or 0)
    assert abs(heat_capacity.value - exact["heat_capacity_per_site"]) < 4 * float(heat_capacity.standard_error or 0)
    assert r_hat(energies) < 1.02


def test_a_temperature_for_each_chain() -> None:
    spec = IsingSpec(shape=(3, 3))
    betas = torch.tensor([0.1, 0.25, 0.4], dtype=torch.float64).repeat_interleave(10_000)
    for system in (spec, spec.model_copy(update={"h": 0.1}), PottsSpec(shape=(2, 2), q=3)):
        chains = chains_on(system, betas)
        states = last_states(chains, chains.run(30_000, RunPlan(1, burn_in=80), RandomStream(3)))
        for row, beta in zip(states.reshape(3, -1), (0.1, 0.25, 0.4), strict=True):
            assert chi_square_p_value(row, boltzmann(chains.target, beta)) > 1e-4


def test_the_table_decides_as_the_formula_does(monkeypatch: pytest.MonkeyPatch) -> None:
    betas = torch.linspace(0, 1.5, 64, dtype=torch.float64)
    for spec in (IsingSpec(shape=(6, 5)), IsingSpec(shape=(4, 4), J=-0.7, periodic=False)):
        for beta in (0.44, betas):
            with monkeypatch.context() as patch:
                table = chains_on(spec, beta)
                patch.setattr(spin_flips, "_MOST_NEIGHBOURS_OF_A_TABLE", 0)
                formula = chains_on(spec, beta)
            assert isinstance(table.rule, UniformSpinFlips)
            assert isinstance(formula.rule, SpinFlips)
            one, other = (c.run(64, RunPlan(5), RandomStream(8)) for c in (table, formula))
            # a word falls on a threshold, where they may differ, with 2^-32
            assert torch.equal(one.configurations, other.configurations)


def test_rates_obey_detailed_balance_at_any_cost() -> None:
    x = np.array([0.0, 1e-9, 0.3, 5.0, 40.0, 700.0, 1e18])
    assert np.allclose(metropolis_rate(x), np.exp(-x) * metropolis_rate(-x), rtol=1e-12)
    assert metropolis_rate(np.array([-np.inf, np.inf])).tolist() == [PROPOSAL_PROBABILITY, 0.0]


def test_without_any_energy_chains_still_mix() -> None:
    # flips that cost nothing are always accepted by the textbook rule: the lattice would only be flipped as a whole
    for spec in (IsingSpec(shape=(4, 4), J=0.0), IsingSpec(shape=(4, 4), beta=1e-9)):
        chains = chains_on(spec, spec.beta)
        state, info = chains.step(chains.state_at(torch.ones(200, 4, 4)), RandomStream(1))
        up = chains.configurations(state).eq(1).double().mean()
        assert float(up) == pytest.approx(1 - PROPOSAL_PROBABILITY, abs=0.03)
        assert float(info.acceptance.mean()) == pytest.approx(1 - float(up), abs=1e-6)


def test_one_seed_one_answer_on_any_number_of_threads() -> None:
    chains = chains_on(IsingSpec(shape=(32, 32)))
    plan = RunPlan(2)
    one, same, other = (chains.run(1200, plan, RandomStream(seed)).configurations for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    torch.set_num_threads(3)
    assert torch.equal(one, chains.run(1200, plan, RandomStream(1)).configurations)


def test_chains_do_not_follow_each_other() -> None:
    chains = chains_on(IsingSpec(shape=(32, 32)))  # 1200 chains are more than one block
    x = chains.run(1200, RunPlan(1, burn_in=3), RandomStream(1)).configurations[:, 0].flatten(1).float()
    overlap = (x @ x.T / x.shape[1]).fill_diagonal_(0)
    assert float(overlap.abs().max()) < 0.5


def test_a_step_leaves_its_state_alone_and_tells_what_it_changed() -> None:
    for spec in (IsingSpec(shape=(4, 4)), IsingSpec(shape=(4, 4), h=0.1), PottsSpec(shape=(4, 4), q=3)):
        chains = chains_on(spec)
        state = chains.init(100, RandomStream(3))
        before = state.values.copy()
        after, info = chains.step(state, RandomStream(3))
        assert np.array_equal(state.values, before)
        changed = (chains.configurations(after) != chains.configurations(state)).flatten(1).float()
        assert torch.equal(info.acceptance, changed.mean(1))


@pytest.mark.parametrize("spec", [IsingSpec(shape=(3, 5), h=0.2), PottsSpec(shape=(3, 5), q=4)], ids=str)
def test_runs_return_configurations_of_the_space_with_their_energies(spec: TargetSpec) -> None:
    chains = chains_on(spec)
    drawn = chains.run(4, RunPlan(6, thin=2), RandomStream(1))
    assert drawn.configurations.shape == (4, 6, 3, 5)
    rows = drawn.configurations.flatten(0, 1)
    chains.target.space.validate(rows)
    assert torch.equal(drawn.energies.flatten(), chains.target.energy(rows))
    assert torch.equal(chains.configurations(chains.state_at(rows)), rows)


@pytest.mark.parametrize("plan", [(0, 0, 1), (1, -1, 1), (1, 0, 0)], ids=str)
def test_a_plan_that_cannot_be_run_is_refused(plan: tuple[int, int, int]) -> None:
    with pytest.raises(InvalidValueError, match="cannot be run"):
        RunPlan(*plan)


def test_what_cannot_be_run_is_refused_in_words() -> None:
    with pytest.raises(InvalidValueError, match="BarsAndStripes came"):
        chains_on(BarsAndStripesSpec(shape=(2, 2)))
    with pytest.raises(InvalidValueError, match="5 chains were asked, and beta has 3 values"):
        chains_on(IsingSpec(shape=(4,)), torch.ones(3, dtype=torch.float64)).init(5, RandomStream(1))


def test_a_thousand_chains_of_8x8_do_a_sweep_in_milliseconds() -> None:
    chains = chains_on(IsingSpec(shape=(8, 8)), 0.44)
    state, rng = chains.init(1000, RandomStream(1)), RandomStream(1)
    start = perf_counter()
    for time in range(200):
        state, _ = chains.step(state, rng.spawn(time))
    assert (perf_counter() - start) / 200 < 0.005  # about 0.0004 on an idle core
