"""Independence Metropolis: detailed balance on all pairs of states, calibrated errors, and wrong acceptances caught."""

from collections.abc import Callable
from math import inf, sqrt

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.zoo.samplers.calibration import boltzmann, chi_square_p_value, index_of, space_of
from tests.zoo.samplers.continuous_systems import Quartic
from zoo.catalog import build_model
from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.targets import Target
from zoo.estimators.chains import chain_average
from zoo.samplers import independence_metropolis
from zoo.samplers.base import RunPlan
from zoo.samplers.independence_metropolis import (
    IndependenceMetropolis,
    Weighed,
    acceptance_probability,
    accepted_steps,
    last_of,
)
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.realnvp import RealNvpSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.targets.ising import Ising

BETA = 0.3
RUNS, CHAINS, STEPS, BURN_IN = 200, 8, 400, 50


def ising() -> tuple[Model, Target]:
    """An untrained model of six spins in a field, which is far from the target and reaches all of it."""
    target = Ising(IsingSpec(shape=(2, 3), h=0.2))
    return frozen(build_model(MadeSpec(width=8), target.space, 3)), target


def quartic() -> tuple[Model, Quartic]:
    """An untrained flow, wide enough for its weights to be bounded."""
    target = Quartic(2)
    return frozen(build_model(RealNvpSpec(couplings=2, width=8), target.space, 3)), target


def frozen(model: Model) -> Model:
    return model.eval().requires_grad_(requires_grad=False)


def z_scores(model: Model, target: Target, exact: float) -> np.ndarray:
    """Deviations of the mean energy of each run of 8 chains from the exact one, in the run's own standard errors."""
    chains, rng = IndependenceMetropolis(model, target, BETA if isinstance(target, Ising) else 1.0), RandomStream(5)
    state = chains.warm_up(chains.init(RUNS * CHAINS, rng.spawn(0)), BURN_IN, rng.spawn(1))
    energies = chains.walk(state, STEPS, rng.spawn(2)).visited.energies.T.reshape(RUNS, CHAINS, STEPS)
    averages = [chain_average(run) for run in energies]
    return np.array([(a.value - exact) / (a.standard_error or np.nan) for a in averages])


def calibrated(z: np.ndarray) -> bool:
    """Mean within 4 / sqrt(n) of 0 and standard deviation in 0.85 .. 1.15, which a true one misses once in 400."""
    return bool(abs(z.mean()) <= 4 / sqrt(len(z)) and 0.85 <= z.std() <= 1.15)


def ising_scores() -> np.ndarray:
    model, target = ising()
    states = space_of(target).enumerate()
    return z_scores(model, target, float(boltzmann(target, BETA) @ target.energy(states)))


def test_every_pair_of_states_is_in_detailed_balance() -> None:
    model, target = ising()
    p, states = boltzmann(target, BETA), space_of(target).enumerate()
    log_q = model.log_prob(states)
    log_w = -BETA * target.energy(states) - log_q
    flow = p[:, None] * log_q.exp() * acceptance_probability(log_w[:, None], log_w)
    torch.testing.assert_close(flow, flow.T, rtol=1e-12, atol=0.0)
    assert float(flow.sum()) < 0.9, "an acceptance of 1 everywhere would show nothing"


def test_mean_energies_of_spins_are_calibrated() -> None:
    z = ising_scores()
    assert calibrated(z), f"mean {z.mean():.3f}, standard deviation {z.std():.3f}"


def test_mean_energies_of_a_flow_are_calibrated() -> None:
    model, target = quartic()
    z = z_scores(model, target, target.known().energy)
    assert calibrated(z), f"mean {z.mean():.3f}, standard deviation {z.std():.3f}"


WRONG: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "every proposal accepted": lambda current, proposed: torch.ones_like(proposed - current),
    "the inverse ratio": lambda current, proposed: (current - proposed).clamp(max=0).exp(),
    "half the logarithm": lambda current, proposed: (0.5 * (proposed - current)).clamp(max=0).exp(),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_acceptances_are_not_calibrated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(independence_metropolis, "acceptance_probability", WRONG[name])
    assert not calibrated(ising_scores())


def test_a_density_without_log_q_is_not_calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    def unweighed(self: IndependenceMetropolis, x: Tensor, log_prob: Tensor) -> Weighed:
        energies = self.target.energy(x)
        return Weighed(x, energies, log_prob, -BETA * energies)

    monkeypatch.setattr(IndependenceMetropolis, "_weighed", unweighed)
    assert not calibrated(ising_scores())


def test_states_have_the_frequencies_of_the_target() -> None:
    model, target = ising()
    chains, rng = IndependenceMetropolis(model, target, BETA), RandomStream(2)
    state = chains.warm_up(chains.init(20_000, rng.spawn(0)), 60, rng.spawn(1))
    assert chi_square_p_value(index_of(target, state.configurations), boltzmann(target, BETA)) > 1e-3
    start = chains.init(20_000, rng.spawn(0))
    assert chi_square_p_value(index_of(target, start.configurations), boltzmann(target, BETA)) < 1e-12


def test_a_walk_goes_step_by_step_where_its_proposals_were_accepted() -> None:
    model, target = quartic()
    chains, rng = IndependenceMetropolis(model, target, 1.0), RandomStream(7)
    state = chains.init(5, RandomStream(1))
    walk = chains.walk(state, 9, rng)
    x, log_prob = model.sample_and_log_prob(45, rng.spawn(0))
    log_w = (-target.energy(x) - log_prob).view(9, 5)
    uniforms = rng.spawn(1).uniforms(45, 1).view(9, 5)
    here, log_here = state.configurations.clone(), state.log_weights.clone()
    for t in range(9):
        for c in range(5):
            if float(uniforms[t, c]) < min(1.0, float((log_w[t, c] - log_here[c]).exp())):
                here[c], log_here[c] = x.view(9, 5, 2)[t, c], log_w[t, c]
        assert torch.equal(walk.visited.configurations[t], here), t
        assert torch.equal(walk.visited.log_weights[t], log_here), t
    assert torch.equal(walk.visited.energies.flatten(), target.energy(walk.visited.configurations.flatten(0, 1)))
    assert torch.equal(last_of(walk).configurations, here)
    assert 0 < int(walk.accepted.sum()) < 45


def test_weights_of_zero_are_left_at_once_and_never_entered() -> None:
    current = torch.tensor([-inf, 0.0, -inf], dtype=torch.float64)
    proposed = torch.tensor([[-500.0, -inf, -inf], [-inf, 1.0, 3.0]], dtype=torch.float64)
    accepted = accepted_steps(current, proposed, torch.full((2, 3), 0.999))
    assert accepted.tolist() == [[True, False, False], [False, True, True]]


@pytest.mark.parametrize("worthless", [float("nan"), -inf])
def test_proposals_whose_weight_is_no_number_are_never_accepted(worthless: float) -> None:
    model, target = quartic()
    chains = IndependenceMetropolis(model, target, 1.0)
    state = chains.init(4, RandomStream(1))
    found = chains._weighed(state.configurations, torch.tensor([0.0, worthless, 0.0, 0.0]))
    assert found.log_weights[1] == -inf
    assert found.log_weights[[0, 2, 3]].isfinite().all()


def test_a_run_is_a_pure_function_of_its_arguments() -> None:
    model, target = ising()
    first, second = (
        IndependenceMetropolis(model, target, BETA).run(4, RunPlan(5, 20, 2), RandomStream(3)) for _ in range(2)
    )
    assert torch.equal(first.configurations, second.configurations)
    assert torch.equal(first.energies.flatten(), target.energy(first.configurations.flatten(0, 1)))
    target.space.validate(first.configurations.flatten(0, 1))


def test_each_chain_can_have_a_beta_of_its_own() -> None:
    model, target = ising()
    states = space_of(target).enumerate()
    betas = torch.tensor([0.1, 0.6], dtype=torch.float64).repeat(500)
    chains, rng = IndependenceMetropolis(model, target, betas), RandomStream(4)
    state = chains.warm_up(chains.init(1000, rng.spawn(0)), 800, rng.spawn(1))
    for group, beta in enumerate((0.1, 0.6)):
        exact = float(boltzmann(target, beta) @ target.energy(states))
        drawn = state.energies[group::2]
        assert abs(float(drawn.mean()) - exact) < 4 * float(drawn.std()) / sqrt(500)
    with pytest.raises(InvalidValueError, match="3 chains were asked"):
        chains.init(3, rng)


def test_chains_can_start_from_given_configurations() -> None:
    model, target = ising()
    x = space_of(target).enumerate()[:7]
    state = IndependenceMetropolis(model, target, BETA).state_at(x)
    torch.testing.assert_close(state.log_weights, -BETA * target.energy(x) - model.log_prob(x))
    assert torch.equal(state.configurations, x)
