"""What acceptance rows share: a model is trained as a train job does it, asked for samples, and judged."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from zoo.catalog import build, build_objective, states_of
from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.symmetries import images
from zoo.core.targets import HasExactFreeEnergy, ThermodynamicState
from zoo.core.tiles import tile_plan
from zoo.estimators.free_energy import importance_beta_f, variational_beta_f
from zoo.specs.estimate import Estimate, ExactReference
from zoo.specs.models.distribution import DistributionSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem, Trainable
from zoo.training.trainer import Trainer, train

MANY, FEW = 100_000, 10_000
SAMPLE_DOMAIN = 2**50  # apart from the domains of training steps


@dataclass
class Outcome:
    """One trained model, what it estimated, and the bars it missed."""

    HEADER: ClassVar[tuple[str, ...]] = (
        "| row | model x target | seed | training, s | gap per site | ln Z - exact | sigma | ESS fraction | N | more |",
        "|---|---|---|---|---|---|---|---|---|---|",
    )

    row: str
    what: str
    seed: int
    seconds: float
    bound: Estimate
    estimate: Estimate
    exact: float
    num_sites: int
    more: str = ""
    missed: list[str] = field(default_factory=list)

    @property
    def gap(self) -> float:
        """Variational gap per site; the exact value enters here alone."""
        return (self.bound.value - self.exact) / self.num_sites

    @property
    def difference(self) -> float:
        """Estimated ln Z less the exact one."""
        return self.exact - self.estimate.value

    @property
    def error(self) -> float:
        """One standard deviation of ln Z."""
        return self.estimate.standard_error or 0.0

    def require(self, name: str, holds: bool) -> None:  # noqa: FBT001 - a condition
        """Nothing; a bar that does not hold is noted."""
        if not holds:
            self.missed.append(f"row {self.row}, {self.what}, seed {self.seed}: {name}")

    def bars(self, *, gap: float, fraction: float, tolerance: float) -> "Outcome":
        """The outcome, with what every row requires noted where it does not hold."""
        fraction_found = self.estimate.effective_sample_fraction or 0.0
        self.require(f"gap per site {self.gap:.2e} above {gap:g}", self.gap <= gap)
        self.require_bound()
        self.require(f"ESS fraction {fraction_found:.3f} below {fraction:g}", fraction_found >= fraction)
        largest = max(3 * self.error, tolerance)
        self.require(f"ln Z off by {self.difference:.2e}", abs(self.difference) <= largest)
        return self

    def require_bound(self) -> None:
        """Nothing; a bound below the exact value by more than three standard errors is noted."""
        error = (self.bound.standard_error or 0.0) / self.num_sites
        self.require(f"gap per site {self.gap:.2e} +- {error:.2e}: no bound", self.gap >= -3 * error)

    def line(self) -> str:
        """A line of the table."""
        fraction = self.estimate.effective_sample_fraction or 0.0
        verdict = f"**missed: {len(self.missed)}** " if self.missed else ""
        return (
            f"| {self.row} | {self.what} | {self.seed} | {self.seconds:.0f} | {self.gap:.1e} | {self.difference:+.5f} "
            f"| {self.error:.5f} | {fraction:.4f} | {self.estimate.num_samples} | {verdict}{self.more} |"
        )


@dataclass(frozen=True)
class Trained:
    """A trained model with the target at every value of its conditions."""

    model: Trainable
    state_at: Callable[[dict[str, float]], ThermodynamicState]
    seconds: float


def trained(
    target: TargetSpec, model: DistributionSpec, training: TrainingSpec, objective: ReverseKlSpec | None = None
) -> Trained:
    """The model after its training, as a train job does it."""
    state_at = states_of(target)
    state = state_at({})
    lacks_z2 = "z2" in target.symmetries and "z2" not in model.symmetries
    flip = images(("z2",), target.space) if lacks_z2 else None
    problem = Problem(state, None, model.condition_on, state_at, flip)
    trainer = Trainer(build_objective(objective or ReverseKlSpec()), problem, training)
    built = build(model, state.target.space, training.seed)
    started = time.monotonic()
    for _ in train(trainer, trainer.init(built)):
        pass
    return Trained(built, state_at, time.monotonic() - started)


def sampled(model: Model, state: ThermodynamicState, num: int) -> tuple[Tensor, Float64[np.ndarray, " sample"]]:
    """Energies and log-weights of ``num`` samples."""
    energies, log_probs, rng = [], [], RandomStream(0, SAMPLE_DOMAIN)
    with torch.inference_mode():
        for tile in tile_plan(num):
            x, log_prob = model.sample_and_log_prob(tile.rows, rng.at(tile.start))
            energies.append(state.target.energy(x)[: tile.used])
            log_probs.append(log_prob[: tile.used])
    energy = torch.cat(energies)
    return energy, (-state.beta * energy - torch.cat(log_probs)).numpy()


def reference(state: ThermodynamicState) -> ExactReference:
    """The exact solution of a state that has one."""
    if not isinstance(state.target, HasExactFreeEnergy):
        msg = "the target knows no exact free energy"
        raise TypeError(msg)
    return state.target.exact_reference(state.beta)


def judged(row: str, what: str, seed: int, run: Trained, num: int) -> tuple[Outcome, Tensor]:
    """The outcome of an unconditional model, without bars, and the energies of its samples."""
    state = run.state_at({})
    energy, log_weights = sampled(one_model(run.model), state, num)
    bound, estimate = variational_beta_f(log_weights), importance_beta_f(log_weights)
    exact = reference(state).beta_f
    sites = state.target.space.num_sites
    return Outcome(row, what, seed, run.seconds, bound, estimate, exact, sites), energy


def one_model(model: Trainable) -> Model:
    """The model, which is conditioned on nothing."""
    if not isinstance(model, Model):
        msg = "an unconditional model was expected"
        raise TypeError(msg)
    return model
