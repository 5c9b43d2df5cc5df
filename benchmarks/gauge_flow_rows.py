"""The gauge theory that gauge-equivariant flows are judged on, with its bars."""

import time
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from zoo.catalog import build_model, build_objective, build_target
from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.targets import HasExactFreeEnergy, ThermodynamicState
from zoo.core.tiles import tile_plan
from zoo.estimators.free_energy import importance_beta_f, variational_beta_f
from zoo.specs.estimate import Estimate
from zoo.specs.models.gauge_flow import GaugeFlowSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.targets.u1_gauge import U1GaugeSpec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem
from zoo.training.trainer import Trainer, train

TARGET = U1GaugeSpec(shape=(8, 8), beta=2.0)
MODEL = GaugeFlowSpec()
NUM_SAMPLES, NUM_ALONG_THE_WAY = 100_000, 20_000
SAMPLE_DOMAIN = 2**50  # apart from the domains of training steps
EVERY = 250  # training steps between measurements of the effective sample fraction
LIMIT = 1500.0
"""Seconds of wall-clock time for one seed, samples included."""

LEAST_FRACTION, TOLERANCE, CHARGE_TOLERANCE = 0.3, 0.05, 0.05


def training(seed: int) -> TrainingSpec:
    """How the model is trained."""
    return TrainingSpec(batch_size=512, max_steps=2000, learning_rate=0.01, beta_anneal_steps=200, seed=seed)


@dataclass(frozen=True)
class Weighted:
    """Log-weights of samples, and of each the mean plaquette and the squared charge."""

    log_weights: Float64[np.ndarray, " sample"]
    plaquette: Float64[np.ndarray, " sample"]
    squared_charge: Float64[np.ndarray, " sample"]

    def mean(self, values: Float64[np.ndarray, " sample"]) -> tuple[float, float]:
        """The weighted mean, and its standard error by the delta method."""
        weights = np.exp(self.log_weights - self.log_weights.max())
        weights /= weights.sum()
        mean = float(weights @ values)
        return mean, float(np.sqrt(np.square(weights * (values - mean)).sum()))


@dataclass
class Outcome:
    """One trained model, what it estimated, and the bars it missed."""

    HEADER: ClassVar[tuple[str, ...]] = (
        "| row | model x target | seed | training, s | gap | ln Z - exact | sigma | ESS fraction | N "
        "| <cos P> - exact | <Q^2> / exact - 1 | verdict |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    )

    seed: int
    seconds: float
    bound: Estimate
    estimate: Estimate
    exact: float
    plaquette: tuple[float, float]
    squared_charge: tuple[float, float]
    fractions: list[tuple[int, float, float]]
    """Step, seconds of training, and effective sample fraction of 20,000 samples then."""
    missed: list[str] = field(default_factory=list)

    @property
    def fraction(self) -> float:
        """Effective sample fraction of all samples."""
        return self.estimate.effective_sample_fraction or 0.0

    @property
    def difference(self) -> float:
        """Estimated ln Z less the exact one."""
        return self.exact - self.estimate.value

    def judged(self) -> "Outcome":
        """The outcome, with the bars of the row noted where they do not hold."""
        gap, error = self.bound.value - self.exact, self.bound.standard_error or 0.0
        off, charge_error = self.squared_charge
        holds = {
            f"gap {gap:.3f} +- {error:.3f}: no bound": gap >= -3 * error,
            f"ESS fraction {self.fraction:.3f} below {LEAST_FRACTION}": self.fraction >= LEAST_FRACTION,
            f"ln Z off by {self.difference:.3f}": abs(self.difference) <= TOLERANCE,
            f"<cos P> off by {self.plaquette[0]:.1e}": abs(self.plaquette[0]) <= 4 * self.plaquette[1],
            f"<Q^2> off by {100 * off:.1f} %": abs(off) <= CHARGE_TOLERANCE,
            f"<Q^2> off by {off / charge_error:.1f} sigma": abs(off) <= 4 * charge_error,
        }
        self.missed = [f"row 12, seed {self.seed}: {what}" for what, good in holds.items() if not good]
        return self

    def line(self) -> str:
        """A line of the table."""
        sigma = self.estimate.standard_error or 0.0
        plaquette, charge = self.plaquette, self.squared_charge
        verdict = f"**missed: {len(self.missed)}**" if self.missed else "all bars met"
        return (
            f"| 12 | gauge_flow x U(1) 8x8, beta 2 | {self.seed} | {self.seconds:.0f} "
            f"| {self.bound.value - self.exact:.3f} | {self.difference:+.5f} | {sigma:.5f} | {self.fraction:.3f} "
            f"| {self.estimate.num_samples} | {plaquette[0]:+.1e} +- {plaquette[1]:.1e} "
            f"| {100 * charge[0]:+.2f} +- {100 * charge[1]:.2f} % | {verdict} |"
        )

    def history(self) -> str:
        """How the effective sample fraction grew with the time of training."""
        steps = ", ".join(f"{step} steps {seconds:.0f} s {share:.3f}" for step, seconds, share in self.fractions)
        return f"- seed {self.seed}: {steps}"


def row_12(seed: int) -> Outcome:
    """A gauge-equivariant flow on the 8x8 lattice, from its defaults."""
    state = ThermodynamicState(build_target(TARGET), TARGET.beta)
    model = build_model(MODEL, state.target.space, seed)
    # charge conjugation needs no penalty: its images are near, and nothing is lost
    trainer = Trainer(build_objective(ReverseKlSpec(symmetry_penalty=0)), Problem(state), training(seed))
    fractions: list[tuple[int, float, float]] = []
    seconds, started = 0.0, time.monotonic()
    for _, info in train(trainer, trainer.init(model)):
        if info.step % EVERY == 0:
            seconds += time.monotonic() - started
            share = importance_beta_f(weighted(model, state, NUM_ALONG_THE_WAY).log_weights).effective_sample_fraction
            fractions.append((info.step, seconds, share or 0.0))
            started = time.monotonic()
    seconds += time.monotonic() - started
    return outcome(seed, seconds, weighted(model, state, NUM_SAMPLES), state, fractions).judged()


def weighted(model: Model, state: ThermodynamicState, num: int) -> Weighted:
    """The weights of ``num`` samples and what is averaged with them."""
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    rng = RandomStream(0, SAMPLE_DOMAIN)
    with torch.inference_mode():
        for tile in tile_plan(num):
            x, log_prob = model.sample_and_log_prob(tile.rows, rng.at(tile.start))
            observed = state.target.observables(x)
            values = (
                state.unnormalized_log_prob(x) - log_prob,
                observed["plaquette"],
                observed["topological_charge_squared"],
            )
            parts.append((values[0][: tile.used], values[1][: tile.used], values[2][: tile.used]))
    log_weights, plaquette, squared = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    return Weighted(log_weights, plaquette, squared)


def outcome(
    seed: int, seconds: float, found: Weighted, state: ThermodynamicState, fractions: list[tuple[int, float, float]]
) -> Outcome:
    """What the samples say beside what is exact."""
    if not isinstance(state.target, HasExactFreeEnergy):
        msg = "the target knows no exact free energy"
        raise TypeError(msg)
    exact = state.target.exact_reference(state.beta)
    plaquette, plaquette_error = found.mean(found.plaquette)
    squared, squared_error = found.mean(found.squared_charge)
    exact_squared = exact.observables["topological_charge_squared"]
    return Outcome(
        seed,
        seconds,
        variational_beta_f(found.log_weights),
        importance_beta_f(found.log_weights),
        exact.beta_f,
        (plaquette - exact.observables["plaquette"], plaquette_error),
        (squared / exact_squared - 1, squared_error / exact_squared),
        fractions,
    )
