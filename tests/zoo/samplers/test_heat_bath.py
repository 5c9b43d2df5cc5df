"""The heat bath against enumeration: its updates are conditional distributions, whatever the site had before."""

import numpy as np
import pytest
import torch

from tests.zoo.samplers.calibration import boltzmann, chi_square_p_value, last_states, space_of, transition_matrix
from zoo.catalog import build_target
from zoo.core.random import RandomStream
from zoo.samplers import heat_bath
from zoo.samplers.base import Beta, RunPlan
from zoo.samplers.heat_bath import HeatBath, heat_bath_rate
from zoo.specs.errors import InvalidValueError
from zoo.specs.samplers import HeatBathSpec
from zoo.specs.targets.bars_and_stripes import BarsAndStripesSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.hopfield import HopfieldSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.potts import PottsSpec
from zoo.specs.targets.spin_glass import SpinGlassSpec

SYSTEMS: list[TargetSpec] = [
    IsingSpec(shape=(3,)),
    IsingSpec(shape=(5,), periodic=False, h=-0.2),
    IsingSpec(shape=(3, 3), J=-0.7),
    IsingSpec(shape=(2, 4)),
    IsingSpec(shape=(1,), h=0.5),
    SpinGlassSpec(couplings={"kind": "sherrington_kirkpatrick", "n": 6, "seed": 1}),
    HopfieldSpec(n=6, patterns=2),
    PottsSpec(shape=(4,), q=3),
    PottsSpec(shape=(2, 2), q=3, J=-0.8),
    PottsSpec(shape=(2, 3), q=2, periodic=False),
    PottsSpec(shape=(3,), q=5),
]
BETA = 0.4


def chains_on(spec: TargetSpec, beta: Beta = BETA) -> HeatBath:
    return HeatBath(HeatBathSpec(), build_target(spec), beta)


@pytest.mark.parametrize("spec", SYSTEMS, ids=str)
def test_a_sublattice_is_drawn_from_its_distribution_given_the_rest(spec: TargetSpec) -> None:
    chains = chains_on(spec)
    p, states = boltzmann(chains.target, BETA), space_of(chains.target).enumerate().flatten(1)
    for part, where in enumerate(chains.rule.sites.parts):
        kept = torch.from_numpy(np.delete(chains.rule.sites.order, np.arange(where.start, where.stop)))
        same_rest = (states[:, None, kept] == states[None, :, kept]).all(2)
        conditional = same_rest * p / (same_rest * p).sum(1, keepdim=True)
        assert torch.allclose(transition_matrix(chains, part), conditional, atol=1e-8)


@pytest.mark.parametrize("spec", SYSTEMS, ids=str)
def test_chains_follow_the_boltzmann_distribution(spec: TargetSpec) -> None:
    chains = chains_on(spec)
    drawn = chains.run(20_000, RunPlan(1, burn_in=60), RandomStream(seed=5))
    # 11 cases with a false alarm of 1e-4 each, at a fixed seed
    assert chi_square_p_value(last_states(chains, drawn), boltzmann(chains.target, BETA)) > 1e-4


def test_a_wrong_conditional_distribution_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heat_bath, "heat_bath_rate", lambda x: heat_bath_rate(x / 2))
    chains = chains_on(IsingSpec(shape=(3, 3)))
    p = boltzmann(chains.target, BETA)
    drawn = chains.run(20_000, RunPlan(1, burn_in=60), RandomStream(seed=5))
    assert chi_square_p_value(last_states(chains, drawn), p) < 1e-12
    flow = p[:, None] * transition_matrix(chains, 0)
    assert float((flow - flow.T).abs().max()) > 1e-3 * float(flow.max())


def test_a_temperature_for_each_chain() -> None:
    betas = torch.tensor([0.1, 0.25, 0.4], dtype=torch.float64).repeat_interleave(10_000)
    for spec in (IsingSpec(shape=(3, 3)), PottsSpec(shape=(2, 2), q=3)):
        chains = chains_on(spec, betas)
        states = last_states(chains, chains.run(30_000, RunPlan(1, burn_in=60), RandomStream(3)))
        for row, beta in zip(states.reshape(3, -1), (0.1, 0.25, 0.4), strict=True):
            assert chi_square_p_value(row, boltzmann(chains.target, beta)) > 1e-4


def test_any_temperature_is_finite() -> None:
    for spec in (IsingSpec(shape=(4, 4)), IsingSpec(shape=(4, 4), h=0.1), PottsSpec(shape=(4, 4), q=3, J=-1.0)):
        cold = chains_on(spec, 1e9)
        energies = cold.run(200, RunPlan(1, burn_in=200), RandomStream(1)).energies
        ground = float(energies.min())
        assert ground == {"ising": -32.0 - 16 * spec.model_dump().get("h", 0), "potts": 0.0}[spec.kind]
        with np.errstate(all="raise", under="ignore"):
            chains_on(spec, 1e-9).run(2, RunPlan(1), RandomStream(1))


def test_one_seed_one_answer_on_any_number_of_threads() -> None:
    chains = chains_on(PottsSpec(shape=(32, 32), q=10))
    one, same, other = (chains.run(200, RunPlan(2), RandomStream(seed)).configurations for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    torch.set_num_threads(2)
    assert torch.equal(one, chains.run(200, RunPlan(2), RandomStream(1)).configurations)


def test_other_systems_are_refused_in_words() -> None:
    with pytest.raises(InvalidValueError, match="BarsAndStripes came"):
        chains_on(BarsAndStripesSpec(shape=(2, 2)))
