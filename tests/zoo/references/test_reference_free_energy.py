"""Free energies by the conventional routes: published values, calibrated errors, honest warnings, stopping."""

from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
import pytest
import torch

from tests.zoo.samplers.continuous_systems import Compasses, Pair, Quartic, Repulsion, Rotors, Springs, System
from zoo.catalog import build_chains, build_target
from zoo.core.random import RandomStream
from zoo.core.targets import Target
from zoo.references.diagnostics import doubts_of_overlap, doubts_of_states, state_diagnostics
from zoo.references.plan import Method, Progress, ReferencePlan, completed
from zoo.references.run import ReferenceResult, reference_free_energy
from zoo.samplers.base import Beta, Chains
from zoo.specs.errors import InvalidValueError, LimitExceededError
from zoo.specs.samplers import ChainLength, HmcSpec, MetropolisSpec, SwendsenWangSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.coulomb_gas import CoulombGasSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.phi4 import Phi4Spec

METHODS: tuple[Method, ...] = ("thermodynamic_integration", "mbar", "ais")


def chains_of(target: Target, beta: Beta) -> Chains[Any]:
    if target.space.spec.is_discrete:
        return build_chains(MetropolisSpec(), target, beta)
    return build_chains(HmcSpec(num_leapfrog=6), target, beta)


def found(target: Target, beta: float, plan: ReferencePlan, seed: int) -> ReferenceResult:
    return completed(reference_free_energy(target, beta, plan, chains_of, RandomStream(seed)))


PUBLISHED: dict[str, tuple[TargetSpec, float]] = {
    "Kaufman, 8 x 8 at beta 0.44": (IsingSpec(shape=(8, 8), beta=0.44), -60.07630753),
    "Ginibre, n = 6": (
        CoulombGasSpec(n=6, dimension=2, trap=2.0, interaction="logarithmic", charge_squared=2.0, beta=1.0),
        -23.8980827500245,
    ),
    "transfer matrix, phi4 4 x 4": (Phi4Spec(shape=(4, 4), mass_squared=-4.0, coupling=8.0), -2.405139),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", PUBLISHED)
def test_known_free_energies_are_found_within_3_sigma_at_sigma_below_0_05(name: str, method: Method) -> None:
    spec, exact = PUBLISHED[name]
    draws = 400 if spec.kind == "ising" else 60
    plan = ReferencePlan(method, 16, ChainLength(num_chains=32, burn_in=150, num_draws=draws, thin=2))
    estimate = found(build_target(spec), spec.state_beta, plan, seed=11).estimate
    assert estimate.standard_error is not None
    assert estimate.standard_error <= 0.05
    assert abs(estimate.value - exact) <= 3 * estimate.standard_error
    assert estimate.reliable, estimate.warnings
    assert estimate.method == method


SMALL: dict[str, System] = {
    "reals": Quartic(2),
    "torus": Rotors(2),
    "spheres": Compasses(2),
    "centred particles": Springs(3, 2),
    "box": Pair(),
    "singular pair in a box": Repulsion(),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SMALL)
def test_every_space_has_a_path(name: str, method: Method) -> None:
    plan = ReferencePlan(method, 16, ChainLength(num_chains=40, burn_in=60, num_draws=50, thin=2))
    result = found(SMALL[name], 1.0, plan, seed=3)
    estimate = result.estimate
    assert estimate.standard_error is not None
    assert 0 < estimate.standard_error < 0.05
    assert abs(estimate.value - SMALL[name].known().beta_f) < 3.5 * estimate.standard_error
    assert result.lambdas[0] == 0
    assert result.lambdas[-1] == 1
    assert (np.diff(result.lambdas) > 0).all()


ISING = build_target(IsingSpec(shape=(3, 3), h=0.1))
EXACT = -float(torch.logsumexp(-0.4 * ISING.energy(ISING.space.enumerate()), 0))  # type: ignore[attr-defined]


def z_scores(method: Method, seeds: range) -> np.ndarray:
    plan = ReferencePlan(method, 6, ChainLength(num_chains=16, burn_in=50, num_draws=40, thin=1))
    estimates = [found(ISING, 0.4, plan, seed).estimate for seed in seeds]
    return np.array([(e.value - EXACT) / (e.standard_error or np.nan) for e in estimates])


@pytest.mark.parametrize("method", ["thermodynamic_integration", "mbar"])
def test_error_bars_are_calibrated_over_100_seeds(method: Method) -> None:
    z = z_scores(method, range(100))
    assert abs(z.mean()) < 4 / sqrt(100)
    assert 0.8 < z.std() < 1.25, z.std()  # 100 values: 0.07 is one standard error


def test_chains_at_the_wrong_temperature_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def hotter(target: Target, beta: Beta) -> Chains[Any]:
        return build_chains(MetropolisSpec(), target, 0.97 * beta)

    monkeypatch.setitem(globals(), "chains_of", hotter)
    for method in METHODS[:2]:
        assert abs(z_scores(method, range(20)).mean()) > 4 / sqrt(20)


def test_a_run_is_a_pure_function_of_its_seed() -> None:
    plan = ReferencePlan("mbar", 4, ChainLength(num_chains=10, burn_in=5, num_draws=10, thin=1))
    first, second, other = (found(Rotors(2), 1.0, plan, seed).estimate for seed in (1, 1, 2))
    assert first == second
    assert first.value != other.value


def test_progress_grows_to_1_and_a_run_can_be_left_at_any_step() -> None:
    for method in METHODS:
        plan = ReferencePlan(method, 4, ChainLength(num_chains=10, burn_in=20, num_draws=10, thin=3))
        seen: list[Progress] = []
        steps = reference_free_energy(Quartic(1), 1.0, plan, chains_of, RandomStream(1))
        completed(steps, seen.append)
        fractions = [progress.fraction for progress in seen]
        assert fractions == sorted(fractions)
        assert fractions[-1] == pytest.approx(1, abs=1e-12)
        assert len(seen) > 2 * 20 + 30

    class LeftError(Exception):
        pass

    def leave(_: Progress) -> None:
        raise LeftError

    with pytest.raises(LeftError):
        completed(reference_free_energy(Quartic(1), 1.0, plan, chains_of, RandomStream(1)), leave)


def test_too_few_states_for_the_change_between_them_are_reported() -> None:
    cold = build_target(IsingSpec(shape=(8, 8)))
    plan = ReferencePlan("mbar", 3, ChainLength(num_chains=20, burn_in=100, num_draws=50, thin=1))
    estimate = found(cold, 0.8, plan, seed=1).estimate
    assert not estimate.reliable
    assert any("use more states" in warning for warning in estimate.warnings)
    integral = found(cold, 0.8, replace(plan, method="thermodynamic_integration"), seed=1).estimate
    assert any("the rule itself errs" in warning for warning in integral.warnings)


def test_chains_that_have_not_mixed_are_reported() -> None:
    apart = np.random.default_rng(0).normal(size=(4, 100)) + np.arange(4)[:, None]
    together = np.random.default_rng(0).normal(size=(4, 100))
    states = [state_diagnostics(0.5, values, 0.5) for values in (together, apart)]
    doubts = doubts_of_states(states)
    assert "R-hat is up to" in doubts[0]
    assert "at states 1" in doubts[0]
    assert "effective samples at states 1" in doubts[1]
    assert doubts_of_states(states[:1]) == ()


def test_what_never_changes_is_known_without_error() -> None:
    state = state_diagnostics(0.0, np.zeros((4, 10)), 1.0)
    assert (state.derivative, state.standard_error, state.r_hat) == (0.0, 0.0, 1.0)


def test_overlaps_below_the_limit_are_named() -> None:
    assert doubts_of_overlap(np.array([0.4, 0.5])) == ()
    (doubt,) = doubts_of_overlap(np.array([0.4, 0.001]))
    assert "states 1" in doubt


def test_plans_that_cannot_be_run_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="at least 3 states"):
        ReferencePlan("mbar", 2, ChainLength())
    with pytest.raises(LimitExceededError, match="at most 100000000 samples"):
        ReferencePlan("mbar", 24, ChainLength(num_chains=100_000, num_draws=1000))


def test_states_that_hardly_overlap_end_in_doubts_and_not_in_a_crash() -> None:
    spec = IsingSpec(shape=(16, 16), beta=1.0)
    plan = ReferencePlan("mbar", 3, ChainLength(num_chains=20, burn_in=10, num_draws=20, thin=1))
    estimate = completed(
        reference_free_energy(build_target(spec), 1.0, plan, swendsen_wang_of, RandomStream(1))
    ).estimate
    assert not estimate.reliable
    assert any("overlap" in warning for warning in estimate.warnings)


def swendsen_wang_of(target: Target, beta: Beta) -> Chains[Any]:
    return build_chains(SwendsenWangSpec(), target, beta)
