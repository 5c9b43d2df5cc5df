"""The fields that flows are judged on, each with its bars."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from benchmarks.acceptance import FEW, MANY, SAMPLE_DOMAIN, Outcome, one_model, reference, trained
from zoo.catalog import build_chains
from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.targets import ThermodynamicState
from zoo.core.tiles import tile_plan
from zoo.estimators.chains import chain_average
from zoo.estimators.free_energy import importance_beta_f, variational_beta_f
from zoo.estimators.observables import importance_average
from zoo.estimators.weights import forward_effective_sample_fraction
from zoo.samplers.base import RunPlan
from zoo.specs.estimate import Estimate
from zoo.specs.models.gauge_flow import GaugeFlowSpec
from zoo.specs.models.realnvp import RealNvpSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.samplers import HmcSpec
from zoo.specs.targets.phi4 import Phi4Spec
from zoo.specs.targets.u1_gauge import U1GaugeSpec
from zoo.specs.training import TrainingSpec

PUBLISHED: dict[float, tuple[float, float]] = {8.0: (9.291, 0.001), 5.113: (20.495, 0.003)}
"""ln Z of phi4 8x8 with m^2 = -4 and its error, by the coupling: no exact solution is known."""

FIELD = RealNvpSpec(base="free_field", conditioner="convolution", couplings=8, width=12, depth=1)
ODD, AVERAGED = FIELD.model_copy(update={"odd": True}), FIELD.model_copy(update={"symmetry": "z2"})
"""Odd networks make both signs of one mode; where there are two modes, the average over the signs has them apart."""
PATH_WISE = ReverseKlSpec(gradient="path_wise")
"""The whole derivative leaves what lies between two modes to a few samples of large weight."""

SIGMAS = 3.0
_CHAINS, _DRAWS = 200, 100


@dataclass(frozen=True)
class Samples:
    """Configurations of a model and their log-weights."""

    x: Float[Tensor, "sample *event"]
    log_weights: Float64[np.ndarray, " sample"]


def row_7(seed: int) -> Iterator[Outcome]:
    """An affine flow on an interacting field of 64 sites, at two couplings."""
    for coupling, (known, error) in PUBLISHED.items():
        target = Phi4Spec(shape=(8, 8), mass_squared=-4.0, coupling=coupling)
        model, steps, gradient = (ODD, 5000, ReverseKlSpec()) if coupling == 8.0 else (AVERAGED, 3000, PATH_WISE)
        training = TrainingSpec(
            batch_size=256, max_steps=steps, learning_rate=5e-3, beta_anneal_steps=0, seed=seed, gradient_clip_norm=10.0
        )
        run = trained(target, model, training, gradient)
        outcome = _against_published(f"realnvp x phi4 8x8, m2 -4, lambda {coupling:g}", seed, run.seconds, -known)
        state, flow = run.state_at({}), one_model(run.model)
        found = drawn(flow, state, FEW)
        outcome.bound, outcome.estimate = variational_beta_f(found.log_weights), importance_beta_f(found.log_weights)
        fraction = outcome.estimate.effective_sample_fraction or 0.0
        accepted = independence_acceptance(found.log_weights, seed)
        outcome.more = f"acceptance {accepted:.3f}"
        if coupling == 8.0:
            outcome.require(f"ESS fraction {fraction:.3f} below 0.6", fraction >= 0.6)
            outcome.require(f"acceptance {accepted:.3f} below 0.6", accepted >= 0.6)
        allowed = SIGMAS * sqrt(outcome.error**2 + error**2)
        outcome.require(f"ln Z off by {outcome.difference:.2e}", abs(outcome.difference) <= allowed)
        _beside_hmc(outcome, flow, state, found, seed)
        yield outcome


def row_8(seed: int) -> Iterator[Outcome]:
    """The same on 16 sites, where the exact value is known."""
    target = Phi4Spec(shape=(4, 4), mass_squared=-4.0, coupling=8.0)
    run = trained(
        target,
        ODD,
        TrainingSpec(
            batch_size=512, max_steps=4000, learning_rate=5e-3, beta_anneal_steps=0, seed=seed, gradient_clip_norm=10.0
        ),
    )
    state, flow = run.state_at({}), one_model(run.model)
    found = drawn(flow, state, MANY)
    bound, estimate = variational_beta_f(found.log_weights), importance_beta_f(found.log_weights)
    outcome = Outcome("8", "realnvp x phi4 4x4", seed, run.seconds, bound, estimate, reference(state).beta_f, 16)
    fraction = estimate.effective_sample_fraction or 0.0
    outcome.require(f"ESS fraction {fraction:.3f} below 0.9", fraction >= 0.9)
    outcome.require(f"ln Z off by {outcome.difference:.2e}", abs(outcome.difference) <= 0.003)
    outcome.require_bound()
    yield outcome


def row_9(seed: int) -> Iterator[Outcome]:
    """A free field, whose propagator the base learns."""
    target = Phi4Spec(shape=(8, 8), mass_squared=1.0, coupling=0.0)
    model = RealNvpSpec(base="free_field", odd=True, couplings=1, width=8, depth=1)
    training = TrainingSpec(batch_size=512, max_steps=3000, learning_rate=0.02, beta_anneal_steps=0, seed=seed)
    run = trained(target, model, training)
    state, flow = run.state_at({}), one_model(run.model)
    found = drawn(flow, state, MANY)
    bound, estimate = variational_beta_f(found.log_weights), importance_beta_f(found.log_weights)
    exact = reference(state).beta_f
    outcome = Outcome("9", "realnvp x free field 8x8", seed, run.seconds, bound, estimate, exact, 64)
    total = bound.value - exact
    outcome.more = f"gap in total {total:.1e} +- {bound.standard_error or 0.0:.0e}"
    outcome.require(f"gap {total:.2e} above 1e-3 in total", total <= 1e-3)
    outcome.require(f"ln Z off by {outcome.difference:.2e}", abs(outcome.difference) <= max(3 * outcome.error, 1e-3))
    outcome.require_bound()
    yield outcome


def row_12(seed: int) -> Iterator[Outcome]:
    """A gauge-equivariant flow, from its defaults, with the plaquette and the topological charge."""
    target = U1GaugeSpec(shape=(8, 8), beta=2.0)
    training = TrainingSpec(batch_size=512, max_steps=2000, learning_rate=0.01, beta_anneal_steps=200, seed=seed)
    # theta -> -theta needs no penalty: images are near, and nothing is lost
    run = trained(target, GaugeFlowSpec(), training, ReverseKlSpec(symmetry_penalty=0))
    state, flow = run.state_at({}), one_model(run.model)
    found, exact = drawn(flow, state, MANY), reference(state)
    bound, estimate = variational_beta_f(found.log_weights), importance_beta_f(found.log_weights)
    outcome = Outcome("12", "gauge_flow x U(1) 8x8, beta 2", seed, run.seconds, bound, estimate, exact.beta_f, 128)
    fraction = estimate.effective_sample_fraction or 0.0
    outcome.require(f"ESS fraction {fraction:.3f} below 0.3", fraction >= 0.3)
    outcome.require(f"ln Z off by {outcome.difference:.2e}", abs(outcome.difference) <= 0.05)
    outcome.require_bound()
    observed = state.target.observables(found.x)
    for name, sign in (("plaquette", "<cos P>"), ("topological_charge_squared", "<Q^2>")):
        average = importance_average(found.log_weights, observed[name].numpy())
        known, error = exact.observables[name], average.standard_error or 0.0
        off = average.value / known - 1
        outcome.more += f"{sign} {100 * off:+.2f} +- {100 * error / known:.2f} % "
        outcome.require(f"{sign} off by {100 * off:.2f} %", abs(average.value - known) <= 4 * error)
        outcome.require(f"{sign} off by {100 * off:.1f} %", abs(off) <= 0.05)
    yield outcome


ROWS: dict[str, Callable[[int], Iterator[Outcome]]] = {"7": row_7, "8": row_8, "9": row_9, "12": row_12}
LIMITS: dict[str, float] = {"7": 3000, "8": 1500, "9": 1500, "12": 1500}
"""Seconds of wall-clock time for one seed of a row, samples included; row 7 trains two models, 1500 for each."""


def drawn(model: Model, state: ThermodynamicState, num: int) -> Samples:
    """``num`` samples and their log-weights."""
    parts, log_weights, rng = [], [], RandomStream(0, SAMPLE_DOMAIN)
    with torch.inference_mode():
        for tile in tile_plan(num):
            x, log_prob = model.sample_and_log_prob(tile.rows, rng.at(tile.start))
            log_weights.append((state.unnormalized_log_prob(x) - log_prob)[: tile.used])
            parts.append(x[: tile.used])
    return Samples(torch.cat(parts), torch.cat(log_weights).numpy())


def independence_acceptance(log_weights: Float64[np.ndarray, " sample"], seed: int) -> float:
    """Part of the proposals that a Metropolis chain accepts whose proposals are the samples in their order."""
    uniforms = np.random.default_rng(seed).random(len(log_weights))
    current, accepted = log_weights[0], 0
    for proposed, uniform in zip(log_weights[1:], uniforms[1:], strict=True):
        if np.log(uniform) < proposed - current:
            current, accepted = proposed, accepted + 1
    return accepted / (len(log_weights) - 1)


def two_point(x: Float[Tensor, "sample row column"]) -> dict[str, Float64[Tensor, " sample"]]:
    """|m|, m^2 and G(r) = mean of phi_x phi_(x + r) over the lattice and both axes, for each sample."""
    phi = x.double()
    m = phi.flatten(1).mean(1)
    found = {"|m|": m.abs(), "m^2": m.square()}
    for r in range(phi.shape[-1] // 2 + 1):
        along = [(phi * phi.roll(-r, axis)).flatten(1).mean(1) for axis in (1, 2)]
        found[f"G({r})"] = (along[0] + along[1]) / 2
    return found


def _against_published(what: str, seed: int, seconds: float, beta_f: float) -> Outcome:
    nothing = Estimate(value=0.0, standard_error=None, num_samples=0, method="none", reliable=False)
    return Outcome("7", what, seed, seconds, nothing, nothing, beta_f, 64)


def _beside_hmc(outcome: Outcome, model: Model, state: ThermodynamicState, found: Samples, seed: int) -> None:
    """Nothing; observables that are off those of Hamiltonian Monte Carlo by more than 3 sigma are noted."""
    chains = build_chains(HmcSpec(), state.target, state.beta)
    plan = RunPlan(num_draws=_DRAWS, burn_in=300, thin=4)
    run = chains.run(_CHAINS, plan, RandomStream(seed, SAMPLE_DOMAIN + 1))
    by_chain = two_point(run.configurations.flatten(0, 1))
    worst = 0.0
    for name, values in two_point(found.x).items():
        flow = importance_average(found.log_weights, values.numpy())
        hmc = chain_average(by_chain[name].view(_CHAINS, _DRAWS))
        sigma = sqrt((flow.standard_error or 0.0) ** 2 + (hmc.standard_error or 0.0) ** 2)
        off = (flow.value - hmc.value) / sigma
        worst = max(worst, abs(off))
        outcome.require(f"{name} {flow.value:.5f}, by HMC {hmc.value:.5f}, {off:+.1f} sigma", abs(off) <= SIGMAS)
    with torch.inference_mode():
        draws = run.configurations[:, ::10].flatten(0, 1).float()
        forward = (state.unnormalized_log_prob(draws) - model.log_prob(draws)).numpy()
    fraction = forward_effective_sample_fraction(forward)
    outcome.more += f", forward ESS fraction {fraction:.3f} of {len(forward)}, worst of 7 observables {worst:.1f} sigma"
