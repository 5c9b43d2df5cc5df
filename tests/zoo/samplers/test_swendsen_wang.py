"""Swendsen-Wang against the sum over all subsets of bonds, and against enumeration."""

from math import exp

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
from zoo.catalog import build_target
from zoo.core.lattices import lattice_bonds
from zoo.core.random import RandomStream
from zoo.estimators.chains import chain_average
from zoo.exact.ising import exact_reference
from zoo.samplers.base import Beta, RunPlan
from zoo.samplers.clusters import ferromagnet
from zoo.samplers.swendsen_wang import SwendsenWang
from zoo.specs.errors import InvalidValueError
from zoo.specs.samplers import SwendsenWangSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.potts import PottsSpec

SYSTEMS: list[IsingSpec | PottsSpec] = [
    IsingSpec(shape=(3,)),
    IsingSpec(shape=(2, 2)),
    IsingSpec(shape=(4,), J=0.6, periodic=False),
    IsingSpec(shape=(2, 2), lattice="triangular", periodic=False),
    IsingSpec(shape=(1,)),
    PottsSpec(shape=(3,), q=3, J=1.3),
    PottsSpec(shape=(2, 2), q=3, periodic=False),
    PottsSpec(shape=(2,), q=4),
]
BETA = 0.4
CHAINS_PER_STATE = 3000


def chains_on(spec: TargetSpec, beta: Beta = BETA) -> SwendsenWang:
    return SwendsenWang(SwendsenWangSpec(), build_target(spec), beta)


def bonds_of(spec: IsingSpec | PottsSpec) -> list[tuple[int, int]]:
    triangular = isinstance(spec, IsingSpec) and spec.lattice == "triangular"
    bonds = lattice_bonds(spec.shape, periodic=spec.periodic, triangular=triangular)
    return [(int(i), int(j)) for i, j in bonds]


def activation_of(spec: IsingSpec | PottsSpec) -> float:
    return 1 - exp(-BETA * spec.J * (2 if isinstance(spec, IsingSpec) else 1))


@pytest.mark.parametrize("spec", SYSTEMS, ids=str)
def test_a_step_goes_where_the_sum_over_bond_subsets_says(spec: IsingSpec | PottsSpec) -> None:
    chains = chains_on(spec)
    exact = cluster_matrix(chains.target, bonds_of(spec), activation_of(spec), single=False)
    p = boltzmann(chains.target, BETA)
    assert torch.allclose(p[:, None] * exact, (p[:, None] * exact).T, atol=1e-14)
    states = space_of(chains.target).enumerate().repeat_interleave(CHAINS_PER_STATE, 0)
    after, _ = chains.step(chains.state_at(states), RandomStream(2))
    reached = index_of(chains.target, chains.configurations(after)).reshape(len(p), -1)
    for state, probability in zip(reached, exact, strict=True):
        assert chi_square_p_value(state, probability) > 1e-5


@pytest.mark.parametrize("spec", [*SYSTEMS, IsingSpec(shape=(3, 3)), IsingSpec(shape=(2, 2, 2))], ids=str)
def test_chains_follow_the_boltzmann_distribution(spec: TargetSpec) -> None:
    chains = chains_on(spec)
    drawn = chains.run(20_000, RunPlan(1, burn_in=20), RandomStream(seed=5))
    assert chi_square_p_value(last_states(chains, drawn), boltzmann(chains.target, BETA)) > 1e-4


def test_the_energy_is_exact_at_the_critical_point() -> None:
    spec = IsingSpec(shape=(32, 32))
    energies = chains_on(spec, 0.4406867935097715).run(20, RunPlan(300, burn_in=50), RandomStream(6)).energies / 1024
    average, exact = chain_average(energies), exact_reference(spec, 0.4406867935097715).observables["energy_per_site"]
    assert average.standard_error is not None
    assert average.standard_error < 0.006
    assert abs(average.value - exact) < 4 * average.standard_error


def test_a_temperature_for_each_chain() -> None:
    betas = torch.tensor([0.1, 0.4, 0.7], dtype=torch.float64).repeat_interleave(10_000)
    for spec in (IsingSpec(shape=(3, 3)), PottsSpec(shape=(2, 2), q=3)):
        chains = chains_on(spec, betas)
        states = last_states(chains, chains.run(30_000, RunPlan(1, burn_in=30), RandomStream(3)))
        for row, beta in zip(states.reshape(3, -1), (0.1, 0.4, 0.7), strict=True):
            assert chi_square_p_value(row, boltzmann(chains.target, beta)) > 1e-4


def test_a_double_bond_is_two_bonds() -> None:
    for spec in (IsingSpec(shape=(2, 3)), PottsSpec(shape=(2, 3), q=3)):
        bonds = [(min(bond), max(bond)) for bond in ferromagnet(build_target(spec)).bonds.tolist()]
        assert sorted(bonds) == sorted((min(bond), max(bond)) for bond in bonds_of(spec))
        assert len(bonds) == len(set(bonds)) + 3


def test_without_bonds_every_step_is_a_new_draw() -> None:
    for spec in (IsingSpec(shape=(4, 4), J=0.0), IsingSpec(shape=(1, 1)), PottsSpec(shape=(4, 4), q=5, J=0.0)):
        chains = chains_on(spec)
        _, info = chains.step(chains.init(4000, RandomStream(1)), RandomStream(2))
        q = space_of(chains.target).num_values
        assert float(info.acceptance.mean()) == pytest.approx(1 - 1 / q, abs=0.03)


def test_one_seed_one_answer_on_any_number_of_threads() -> None:
    chains = chains_on(IsingSpec(shape=(32, 32)))
    state = chains.init(150, RandomStream(1))
    before = state.values.copy()
    one, same, other = (chains.run(150, RunPlan(2), RandomStream(seed)).configurations for seed in (1, 1, 2))
    after, info = chains.step(state, RandomStream(3))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert (state.values == before).all()
    assert info.acceptance.tolist() == pytest.approx((after.values != before).mean(1).tolist())
    torch.set_num_threads(2)
    assert torch.equal(one, chains.run(150, RunPlan(2), RandomStream(1)).configurations)


@pytest.mark.parametrize("spec", [IsingSpec(shape=(4,), h=0.1), IsingSpec(shape=(4,), J=-1.0)], ids=str)
def test_fields_and_antiferromagnets_are_refused(spec: TargetSpec) -> None:
    assert "no field" in str(SwendsenWangSpec().unsupported_reason(spec))
    with pytest.raises(InvalidValueError, match="no field"):
        chains_on(spec)


def test_configurations_survive_the_way_in_and_out() -> None:
    for spec in (IsingSpec(shape=(2, 3)), PottsSpec(shape=(2, 2), q=3)):
        chains = chains_on(spec)
        states = space_of(chains.target).enumerate()
        back = chains.configurations(chains.state_at(states))
        assert torch.equal(back, states)
        assert back.dtype == states.dtype
