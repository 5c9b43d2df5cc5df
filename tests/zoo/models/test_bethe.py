"""Belief propagation: exact on trees, and elsewhere honest about what it is."""

from math import atanh

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.conformance.cases import spins
from zoo.catalog import build_equations, build_target, states_of
from zoo.core.random import RandomStream
from zoo.core.self_consistency import Solution, solved
from zoo.core.targets import HasExactFreeEnergy, PairwiseSpins, ThermodynamicState
from zoo.models.bethe import Bethe, Messages
from zoo.models.fixed_points import FixedPoint, critical_beta
from zoo.models.pair_graph import PairGraph
from zoo.specs.estimate import Estimate
from zoo.specs.models.bethe import BetheSpec
from zoo.specs.models.mean_field import MeanFieldSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.spin_glass import EdwardsAnderson, SherringtonKirkpatrick, SpinGlassSpec

BETA_BETHE = atanh(1 / 3)


def glass(couplings: NDArray[np.float64], fields: NDArray[np.float64], beta: float) -> SpinGlassSpec:
    rows = tuple(tuple(map(float, row)) for row in couplings)
    return SpinGlassSpec(couplings=rows, fields=tuple(map(float, fields)), beta=beta)


def random_tree(n: int, seed: int, beta: float) -> SpinGlassSpec:
    """Each site joined to a random earlier one, with normal couplings and fields."""
    rng = np.random.default_rng(seed)
    couplings = np.zeros((n, n))
    for site in range(1, n):
        other = rng.integers(site)
        couplings[site, other] = couplings[other, site] = rng.normal()
    return glass(couplings, rng.normal(size=n), beta)


def star(n: int, beta: float) -> SpinGlassSpec:
    couplings = np.zeros((n, n))
    couplings[0, 1:] = couplings[1:, 0] = np.linspace(-1, 2, n - 1)
    return glass(couplings, np.linspace(0.3, -0.2, n), beta)


def forest(beta: float) -> SpinGlassSpec:
    """A chain of three, a pair, and a single spin."""
    couplings = np.zeros((6, 6))
    for i, j, coupling in ((0, 4, 1.3), (4, 2, -0.7), (1, 5, 2.0)):
        couplings[i, j] = couplings[j, i] = coupling
    return glass(couplings, np.array([0.1, 0, -0.5, 0.8, 0, 0.2]), beta)


TREES: dict[str, TargetSpec] = {
    "open chain": IsingSpec(shape=(12,), periodic=False, beta=0.7, h=0.25),
    "open chain at low temperature": IsingSpec(shape=(10,), periodic=False, beta=8.0, h=0.25),
    "open chain without field": IsingSpec(shape=(10,), periodic=False, beta=1.4),
    "ring of two, a double bond": IsingSpec(shape=(2,), beta=0.6, h=0.1),
    "no coupling": IsingSpec(shape=(3, 3), J=0.0, h=0.7, beta=1.1),
    "one spin": IsingSpec(shape=(1,), h=0.3, beta=2.0),
    "star": star(13, beta=1.2),
    "forest": forest(beta=0.9),
    **{f"random tree {seed}": random_tree(14, seed, beta=0.5 + seed) for seed in range(4)},
}
LOOPS: dict[str, tuple[TargetSpec, float]] = {  # with how close beta_f is, per site
    "Ising at high temperature": (IsingSpec(shape=(4, 4), beta=0.2), 5e-3),
    "Ising in the ordered phase": (IsingSpec(shape=(4, 4), beta=0.7, h=0.1), 1e-2),
    "a ring": (IsingSpec(shape=(16,), beta=0.5, h=0.2), 1e-4),
    "Edwards and Anderson": (SpinGlassSpec(couplings=EdwardsAnderson(shape=(4, 4), seed=1), beta=0.4), 2e-2),
    "Sherrington and Kirkpatrick": (SpinGlassSpec(couplings=SherringtonKirkpatrick(n=16, seed=1), beta=0.5), 1e-2),
}


def solution_of(target: TargetSpec, spec: BetheSpec | None = None) -> tuple[Solution, Estimate]:
    bethe = Bethe(spec or BetheSpec())
    solution = solved(bethe.solve(states_of(target)({}), RandomStream(0)))
    return solution, bethe.estimate(solution)


class Enumerated:
    """What a sum over all configurations says."""

    def __init__(self, target: TargetSpec) -> None:
        state = states_of(target)({})
        x = spins(target.space.event_shape).enumerate()
        weights = state.unnormalized_log_prob(x)
        self.beta_f = -float(torch.logsumexp(weights, 0))
        p = torch.softmax(weights, 0)
        self.energy = float(p @ state.target.energy(x))
        self.magnetizations = p @ x.flatten(1).double()


@pytest.mark.parametrize("name", TREES)
def test_on_trees_everything_is_exact(name: str) -> None:
    solution, estimate = solution_of(TREES[name])
    exact = Enumerated(TREES[name])
    assert solution.is_tree
    assert solution.converged
    assert solution.beta_f == pytest.approx(exact.beta_f, abs=1e-10)
    assert solution.energy == pytest.approx(exact.energy, abs=1e-10)
    assert torch.allclose(solution.magnetizations, exact.magnetizations, atol=1e-10)
    assert estimate.reliable
    assert estimate.warnings == ()
    assert estimate.standard_error is not None
    assert 0 < estimate.standard_error < 1e-11
    assert estimate.num_samples == 0
    assert solution.start_name == "even"


def test_a_fault_of_one_message_is_seen_on_a_tree() -> None:
    target = build_target(TREES["star"])
    assert isinstance(target, PairwiseSpins)
    messages = Messages(PairGraph.of(target.interactions), 1.2)
    solution, _ = solution_of(TREES["star"])
    wrong = solution.values.clone()
    wrong[3] += 0.01
    assert float((messages.updated(wrong) - wrong).abs().max()) > 1e-3


@pytest.mark.parametrize("sites", [200, 3000])
def test_long_chains_end_after_as_many_iterations_as_they_are_long(sites: int) -> None:
    target = IsingSpec(shape=(sites,), periodic=False, beta=0.9, h=0.01)
    solution, estimate = solution_of(target, BetheSpec(max_iterations=1))
    exact = build_target(target)
    assert isinstance(exact, HasExactFreeEnergy)
    assert solution.converged
    assert solution.iterations <= sites
    assert solution.beta_f == pytest.approx(exact.exact_beta_f(0.9), rel=1e-13)
    assert estimate.reliable


@pytest.mark.parametrize("name", LOOPS)
def test_with_loops_it_is_close_and_says_that_it_is_neither_exact_nor_a_bound(name: str) -> None:
    target, close = LOOPS[name]
    solution, estimate = solution_of(target)
    exact = Enumerated(target)
    assert solution.converged
    assert not solution.is_tree
    assert abs(solution.beta_f - exact.beta_f) < close * target.space.num_sites
    assert abs(solution.beta_f - exact.beta_f) > 1e-9
    assert not estimate.reliable
    assert estimate.standard_error is None
    assert any("neither exact nor a bound" in warning for warning in estimate.warnings)


def test_it_can_lie_below_the_exact_value() -> None:
    target, _ = LOOPS["Sherrington and Kirkpatrick"]
    assert solution_of(target)[0].beta_f < Enumerated(target).beta_f - 1e-3


@pytest.mark.parametrize("name", ["Ising at high temperature", "a ring"])
def test_it_is_closer_than_mean_field(name: str) -> None:
    target, _ = LOOPS[name]
    mean_field = solved(build_equations(MeanFieldSpec()).solve(states_of(target)({}), RandomStream(0)))
    exact = Enumerated(target).beta_f
    assert abs(solution_of(target)[0].beta_f - exact) < 0.2 * abs(mean_field.beta_f - exact)


@pytest.mark.parametrize("iterations", [5, 300])
def test_what_does_not_converge_says_so_with_the_residual(iterations: int) -> None:
    target = SpinGlassSpec(couplings=SherringtonKirkpatrick(n=16, seed=1), beta=4.0)
    solution, estimate = solution_of(target, BetheSpec(max_iterations=iterations))
    assert not solution.converged
    assert solution.residual > 1e-6
    assert solution.iterations == iterations
    assert not estimate.reliable
    (warning,) = [w for w in estimate.warnings if "did not converge" in w]
    assert f"{solution.residual:.3g}" in warning


def test_the_free_energy_is_stationary_at_the_fixed_point() -> None:
    spec, _ = LOOPS["a ring"]
    target = build_target(spec)
    assert isinstance(target, PairwiseSpins)
    messages = Messages(PairGraph.of(target.interactions), 0.5)
    solution, _ = solution_of(spec)
    assert solution.converged
    noise = torch.randn(messages.number, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved = [_beta_f_at(messages, solution.values + step * noise) - solution.beta_f for step in (1e-2, 1e-3)]
    assert abs(moved[0]) < 1e-2
    assert moved[1] == pytest.approx(moved[0] / 100, rel=0.2)


def _beta_f_at(messages: Messages, values: torch.Tensor) -> float:
    return messages.solution(FixedPoint(values, 0, 0.0, converged=False), 0).beta_f


@pytest.mark.parametrize("beta", [0.2, 0.6])
def test_the_energy_is_the_derivative_of_beta_f(beta: float) -> None:
    target = IsingSpec(shape=(4, 4), beta=beta, h=0.05)
    step = 1e-4
    higher, lower = (solution_of(target.model_copy(update={"beta": beta + s}))[0].beta_f for s in (step, -step))
    assert solution_of(target)[0].energy == pytest.approx((higher - lower) / (2 * step), abs=1e-5)


@pytest.mark.parametrize("side", [3, 4, 5])
def test_the_even_solution_loses_its_stability_where_three_tanh_beta_is_one(side: int) -> None:
    bethe = Bethe(BetheSpec())
    state_at = states_of(IsingSpec(shape=(side, side)))
    found = critical_beta(lambda beta: bethe.growth(state_at({"beta": beta})), 0.1, 0.6)
    assert found == pytest.approx(BETA_BETHE, abs=1e-9)
    assert found == pytest.approx(0.34657359, abs=1e-8)


@pytest.mark.parametrize("side", [3, 4, 8])
def test_the_magnetisation_appears_there(side: int) -> None:
    below, _ = solution_of(IsingSpec(shape=(side, side), beta=0.341))
    above, _ = solution_of(IsingSpec(shape=(side, side), beta=0.352))
    assert below.converged
    assert above.converged
    assert float(below.magnetizations.abs().max()) < 1e-6
    assert float(above.magnetizations.min()) > 0.2
    assert above.start_name == "up"


def test_an_unstable_even_solution_is_not_taken_for_an_answer() -> None:
    target = SpinGlassSpec(couplings=SherringtonKirkpatrick(n=16, seed=1), beta=3.0)
    state = ThermodynamicState(build_target(target), 3.0)
    assert Bethe(BetheSpec()).growth(state) > 1
    solution, _ = solution_of(target, BetheSpec(max_iterations=200, random_starts=0))
    assert float(solution.magnetizations.abs().max()) > 1e-3


def test_random_starts_are_those_of_the_stream() -> None:
    target = SpinGlassSpec(couplings=EdwardsAnderson(shape=(4, 4), seed=2), beta=1.2)
    bethe, state = Bethe(BetheSpec(random_starts=4, max_iterations=50)), states_of(target)({})
    first, again = (solved(bethe.solve(state, RandomStream(3))) for _ in range(2))
    assert torch.equal(first.values, again.values)


def test_progress_is_told_on_the_way() -> None:
    target = SpinGlassSpec(couplings=SherringtonKirkpatrick(n=8, seed=1), beta=4.0)
    told = list(Bethe(BetheSpec(max_iterations=200, random_starts=1)).solve(states_of(target)({}), RandomStream(0)))
    done = [progress.iterations for progress in told]
    assert done == sorted(done)
    assert {progress.max_iterations for progress in told} == {800}


def test_double_bonds_are_one_edge_of_twice_the_coupling() -> None:
    target = build_target(IsingSpec(shape=(2, 3), J=0.5))
    assert isinstance(target, PairwiseSpins)
    graph = PairGraph.of(target.interactions)
    assert graph.couplings.tolist().count(1.0) == 3
    assert graph.couplings.tolist().count(0.5) == 6
    x = torch.tensor([[[1, -1, 1], [1, 1, -1]]])
    first, second = graph.ends
    flat = x.flatten(1).double()
    assert float(-(graph.couplings * flat[0, first] * flat[0, second]).sum()) == float(target.energy(x))


def test_the_spins_of_the_tree_satisfy_a_staggered_lattice() -> None:
    target = build_target(IsingSpec(shape=(4, 6), J=-1.0))
    assert isinstance(target, PairwiseSpins)
    s = PairGraph.of(target.interactions).tree_spins().reshape(1, 4, 6)
    assert float(target.energy(s)) == -48
