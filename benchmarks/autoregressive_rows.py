"""The systems that sequential models are judged on, each with its bars."""

from collections.abc import Callable, Iterator
from math import log, sqrt

import numpy as np
import torch

from benchmarks.acceptance import FEW, MANY, SAMPLE_DOMAIN, Outcome, judged, one_model, reference, sampled, trained
from zoo.catalog import build_chains
from zoo.core.models import ConditionalModel, Model
from zoo.core.random import RandomStream
from zoo.core.spaces import DiscreteSpace
from zoo.core.targets import ThermodynamicState
from zoo.estimators.free_energy import importance_beta_f, variational_beta_f
from zoo.samplers.base import RunPlan
from zoo.specs.models.conditions import ConditionOn
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.pixelcnn import PixelCnnSpec
from zoo.specs.samplers import SwendsenWangSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.spin_glass import SherringtonKirkpatrick, SpinGlassSpec
from zoo.specs.training import TrainingSpec

GLASS_SEED = 1
BETA_C = log(1 + sqrt(2)) / 2


def row_1(seed: int) -> Iterator[Outcome]:
    """MADE on the 8x8 Ising model."""
    run = trained(
        IsingSpec(shape=(8, 8), beta=0.44), MadeSpec(width=512, symmetry="z2"), TrainingSpec(max_steps=1500, seed=seed)
    )
    outcome, _ = judged("1", "made x Ising 8x8, beta 0.44", seed, run, MANY)
    yield outcome.bars(gap=5e-4, fraction=0.9, tolerance=0.01)


def row_2(seed: int) -> Iterator[Outcome]:
    """PixelCNN on the 16x16 Ising model at the critical point."""
    training = TrainingSpec(batch_size=500, max_steps=600, seed=seed)
    run = trained(IsingSpec(shape=(16, 16), beta=BETA_C), PixelCnnSpec(symmetry="z2"), training)
    outcome, _ = judged("2", "pixelcnn x Ising 16x16, beta_c", seed, run, FEW)
    yield outcome.bars(gap=2e-3, fraction=0.3, tolerance=0.05)


def row_3(seed: int) -> Iterator[Outcome]:
    """PixelCNN in the ordered phase, with the flip by construction and without."""
    target = IsingSpec(shape=(16, 16), beta=0.6)
    for model, steps in ((PixelCnnSpec(symmetry="z2"), 400), (PixelCnnSpec(), 900)):
        run = trained(target, model, TrainingSpec(batch_size=500, max_steps=steps, seed=seed))
        name = "with z2" if model.symmetries else "without z2"
        outcome, _ = judged("3", f"pixelcnn {name} x Ising 16x16, beta 0.6", seed, run, FEW)
        outcome.bars(gap=1e-4, fraction=0.0, tolerance=0.05)
        up, forward, chains = _modes(one_model(run.model), run.state_at({}))
        outcome.more = f"up {100 * up:.1f} %, forward ESS fraction {forward:.4f} of {chains} Swendsen-Wang samples"
        outcome.require(f"magnetisation is up in {100 * up:.1f} %", abs(up - 0.5) <= 0.03)
        outcome.require(f"forward ESS fraction {forward:.3f}", forward >= 0.8)
        yield outcome


def row_4(seed: int) -> Iterator[Outcome]:
    """One MADE for all temperatures of the 8x8 Ising model."""
    model = MadeSpec(width=512, symmetry="z2", condition_on=ConditionOn(beta=(0.2, 1.0)))
    run = trained(IsingSpec(shape=(8, 8)), model, TrainingSpec(batch_size=1024, max_steps=4000, seed=seed))
    if not isinstance(run.model, ConditionalModel):
        msg = "a conditional model was expected"
        raise TypeError(msg)
    for beta in np.linspace(0.2, 1.0, 9):
        state = run.state_at({"beta": float(beta)})
        at_beta = run.model.at(torch.tensor([[float(beta)]], dtype=torch.float64))
        energy, log_weights = sampled(at_beta, state, MANY)
        exact, sites = reference(state), state.target.space.num_sites
        bound, estimate = variational_beta_f(log_weights), importance_beta_f(log_weights)
        outcome = Outcome(
            "4", f"made on beta x Ising 8x8, {beta:.1f}", seed, run.seconds, bound, estimate, exact.beta_f, sites
        )
        weights = np.exp(log_weights - log_weights.max())
        weights /= weights.sum()
        mean = float(weights @ energy.numpy())
        heat = beta**2 * float(weights @ (energy.numpy() - mean) ** 2) / sites
        energy_off = mean / sites / exact.observables["energy_per_site"] - 1
        heat_off = heat / exact.observables["heat_capacity_per_site"] - 1
        outcome.more = f"energy {100 * energy_off:+.2f} %, heat capacity {100 * heat_off:+.1f} %"
        outcome.require(f"energy off by {energy_off:.4f}", abs(energy_off) <= 0.01)
        outcome.require(f"heat capacity off by {heat_off:.4f}", abs(heat_off) <= 0.05)
        outcome.require(f"ln Z off by {outcome.difference:.2e}", abs(outcome.difference) <= 4 * outcome.error)
        outcome.require_bound()
        yield outcome


def row_5(seed: int) -> Iterator[Outcome]:
    """MADE on a spin glass at three temperatures."""
    for beta, steps, gap in ((0.5, 800, 1e-3), (1.0, 1000, 1e-3), (2.0, 1500, 5e-3)):
        model = MadeSpec(width=256, depth=2, symmetry="z2")
        run = trained(_glass(beta), model, TrainingSpec(max_steps=steps, seed=seed))
        outcome, _ = judged("5", f"made x SK n=20, beta {beta:g}", seed, run, MANY)
        outcome.bars(gap=gap, fraction=0.0, tolerance=0.0)
        outcome.require(f"ln Z off by {outcome.difference:.2e}", abs(outcome.difference) <= 0.005)
        yield outcome


def row_6(seed: int) -> Iterator[Outcome]:
    """MADE annealed to a low temperature finds the ground state."""
    training = TrainingSpec(max_steps=1200, beta_anneal_steps=900, seed=seed)
    run = trained(_glass(5.0), MadeSpec(width=256, depth=2, symmetry="z2"), training)
    outcome, energy = judged("6", "made x SK n=20, annealed to beta 5", seed, run, FEW)
    state = run.state_at({})
    ground = _ground_state_energy(state)
    found = float(energy.min())
    outcome.more = f"lowest energy {found:.9f}, ground state {ground:.9f}"
    outcome.require("the ground state was not found", abs(found - ground) < 1e-9)
    outcome.require_bound()
    yield outcome


ROWS: dict[str, Callable[[int], Iterator[Outcome]]] = {
    "1": row_1,
    "2": row_2,
    "3": row_3,
    "4": row_4,
    "5": row_5,
    "6": row_6,
}


LIMITS: dict[str, float] = {"1": 600, "2": 1500, "3": 1200, "4": 600, "5": 600, "6": 600}
"""Seconds of wall-clock time for one seed of a row, samples included; row 3 trains two models, 600 for each."""


def _glass(beta: float) -> SpinGlassSpec:
    return SpinGlassSpec(couplings=SherringtonKirkpatrick(n=20, seed=GLASS_SEED), beta=beta)


def _ground_state_energy(state: ThermodynamicState) -> float:
    """The lowest energy of all configurations."""
    if not isinstance(state.target.space, DiscreteSpace):
        msg = "a discrete space was expected"
        raise TypeError(msg)
    return float(state.target.energy(state.target.space.enumerate()).min())


def _modes(model: Model, state: ThermodynamicState) -> tuple[float, float, int]:
    """Part of the samples with positive magnetisation, and the forward ESS fraction on Monte Carlo samples."""
    with torch.inference_mode():
        x = model.sample(FEW, RandomStream(0, SAMPLE_DOMAIN + 1))
        magnetisation = x.flatten(1).double().mean(1)
        up = float((magnetisation > 0).double().mean() + (magnetisation == 0).double().mean() / 2)
        chains = build_chains(SwendsenWangSpec(), state.target, state.beta)
        run = chains.run(200, RunPlan(num_draws=10, burn_in=200, thin=10), RandomStream(0, SAMPLE_DOMAIN + 2))
        draws = run.configurations.flatten(0, 1)
        log_weights = state.unnormalized_log_prob(draws) - model.log_prob(draws)
    mean = torch.logsumexp(log_weights, 0) + torch.logsumexp(-log_weights, 0)
    return up, float((2 * log(len(draws)) - mean).exp()), len(draws)
