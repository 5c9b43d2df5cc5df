"""How fast chains forget a lattice field's magnetization with the help of a flow, beside plain Hamiltonian Monte Carlo.

    python -m benchmarks.flow_corrections [--training 900] [--chains 128] [--steps 2000] [--output docs/results]

On phi4 8x8 (m^2 = -4, lambda = 8) a realnvp is trained for ``training`` seconds; then three kinds of chains run on the
same target with the same threads: trajectories in the flow's latent space, independence Metropolis with the flow's
samples as proposals, and plain trajectories, each with several numbers of leapfrog steps, so that each has its best.

tau = 1 + 2 sum_t rho(t) of the magnetization m, in steps, summed up to t = 6 times the sum so far (Sokal), with <m> = 0
by symmetry; its error is the spread over four groups of the chains.  Independent samples per second of computing are
1 / (tau x seconds of a step of one chain), the latter from the fastest step among those of some seconds, so that other
work on the machine does not count.  What the training took is told beside, and is not in them.  <m^2> of all rows
must agree: a chain that sticks would have a short tau and a wrong average.  Prints the table and writes it down.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from benchmarks.samplers import autocorrelation_time
from benchmarks.settings import machine
from zoo.catalog import build_model, build_objective, build_target
from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.targets import ThermodynamicState
from zoo.core.tiles import TILE_ROWS
from zoo.estimators.chains import chain_average
from zoo.estimators.free_energy import importance_beta_f
from zoo.samplers.base import Chains
from zoo.samplers.hmc import Hmc
from zoo.samplers.independence_metropolis import IndependenceMetropolis, last_of
from zoo.samplers.latent_hmc import LatentHmc
from zoo.specs.models.realnvp import RealNvpSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.samplers import HmcSpec
from zoo.specs.targets.phi4 import Phi4Spec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem
from zoo.training.trainer import Trainer, flush_denormals, train

TARGET = Phi4Spec(shape=(8, 8), mass_squared=-4.0, coupling=8.0)
MODEL = RealNvpSpec(base="free_field", odd=True, conditioner="convolution", couplings=8, width=12, depth=1)
GROUPS = 4
SIGMAS = 4.0
_NUM_SAMPLES = 10_000
_SAMPLE_DOMAIN = 2**50  # apart from the domains of training steps


@dataclass(frozen=True)
class Effort:
    """How long everything takes."""

    training_seconds: float = 900.0
    num_chains: int = 128
    num_steps: int = 2000
    burn_in: int = 200
    timing_seconds: float = 4.0
    latent_leapfrog: tuple[int, ...] = (2, 4, 8)
    plain_leapfrog: tuple[int, ...] = (5, 10, 20)
    seed: int = 1


@dataclass(frozen=True)
class Row:
    """One kind of chains."""

    name: str
    acceptance: float
    tau: float
    tau_error: float
    seconds_per_step: float
    """Of one chain: the time of a step over the number of chains."""
    squared: float
    squared_error: float

    @property
    def rate(self) -> float:
        """Independent samples of m per second of computing."""
        return 1 / (self.tau * self.seconds_per_step)

    @property
    def rate_error(self) -> float:
        """One standard deviation, from that of tau."""
        return self.rate * self.tau_error / self.tau


@dataclass(frozen=True)
class Measured:
    """All kinds of chains, and the flow that helps two of them."""

    rows: tuple[Row, ...]
    training: str
    num_chains: int
    num_steps: int

    @property
    def best_plain(self) -> Row:
        """The fastest of the plain trajectories."""
        return max((row for row in self.rows if row.name.startswith("HMC")), key=lambda row: row.rate)

    @property
    def disagreeing(self) -> list[str]:
        """Pairs of <m^2> that are further apart than chance allows, each with the plain row."""
        plain = self.best_plain
        return [
            f"{row.name}: <m^2> {row.squared:.5f} +- {row.squared_error:.5f}, and {plain.squared:.5f} +- "
            f"{plain.squared_error:.5f} by {plain.name}"
            for row in self.rows
            if abs(row.squared - plain.squared) > SIGMAS * sqrt(row.squared_error**2 + plain.squared_error**2)
        ]


def main() -> None:
    """Measure everything, print the table and write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--training", type=float, default=Effort.training_seconds)
    parser.add_argument("--chains", type=int, default=Effort.num_chains)
    parser.add_argument("--steps", type=int, default=Effort.num_steps)
    parser.add_argument("--threads", type=int, default=2)
    default = Path(__file__).parents[1] / "docs" / "results"
    parser.add_argument("--output", type=Path, default=default)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    flush_denormals()
    found = measured(Effort(arguments.training, arguments.chains, arguments.steps))
    report = table(found)
    print(report)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "flow_corrections.md").write_text(report)
    if found.disagreeing:
        raise SystemExit("averages disagree:\n" + "\n".join(found.disagreeing))


def measured(effort: Effort) -> Measured:
    """The flow, trained, and every kind of chains with it and without."""
    state = ThermodynamicState(build_target(TARGET), 1.0)
    flow, told = trained(state, effort)
    rows = []
    with torch.inference_mode():
        for num in effort.latent_leapfrog:
            chains = LatentHmc(HmcSpec(num_leapfrog=num), flow, state)
            rows.append(stepping(f"latent HMC, {num} leapfrog steps", chains, effort))
        rows.append(proposing(IndependenceMetropolis(flow, state.target, state.beta), effort))
        for num in effort.plain_leapfrog:
            plain = Hmc(HmcSpec(num_leapfrog=num), state.target, state.beta)
            rows.append(stepping(f"HMC, {num} leapfrog steps", plain, effort))
    return Measured(tuple(rows), told, effort.num_chains, effort.num_steps)


def trained(state: ThermodynamicState, effort: Effort) -> tuple[Model, str]:
    """The flow after its training, and a line about it."""
    model = build_model(MODEL, state.target.space, effort.seed)
    training = TrainingSpec(
        batch_size=256,
        max_steps=5000,
        max_seconds=effort.training_seconds,
        learning_rate=5e-3,
        beta_anneal_steps=0,
        gradient_clip_norm=10.0,
        seed=effort.seed,
    )
    trainer = Trainer(build_objective(ReverseKlSpec()), Problem(state), training)
    started, steps = time.monotonic(), 0
    for _, info in train(trainer, trainer.init(model)):
        steps = info.step
    seconds = time.monotonic() - started
    model.eval().requires_grad_(requires_grad=False)
    with torch.inference_mode():
        x, log_prob = model.sample_and_log_prob(_NUM_SAMPLES, RandomStream(effort.seed, _SAMPLE_DOMAIN))
        weights = importance_beta_f(state.unnormalized_log_prob(x) - log_prob)
    fraction = weights.effective_sample_fraction or 0.0
    return model, (
        f"{steps} steps of training in {seconds:.0f} s; effective sample fraction {fraction:.3f} of {_NUM_SAMPLES:,}"
    )


# ---- chains


def stepping(name: str, chains: Chains[Any], effort: Effort) -> Row:
    """Chains that make one step at a time."""
    rng = RandomStream(effort.seed, 7)
    state = chains.warm_up(chains.init(effort.num_chains, rng.spawn(0)), effort.burn_in, rng.spawn(1))
    series, accepted = [], []
    for t in range(effort.num_steps):
        state, info = chains.step(state, rng.spawn(2).spawn(t))
        series.append(_magnetization(chains.configurations(state)))
        accepted.append(float(info.acceptance.mean()))
    seconds = _fastest((lambda: chains.step(state, rng.spawn(3)) for _ in count()), effort) / effort.num_chains
    return _row(name, torch.stack(series, 1).numpy(), float(np.mean(accepted)), seconds)


def proposing(chains: IndependenceMetropolis, effort: Effort) -> Row:
    """Independence Metropolis, the proposals of many steps in one batch."""
    rng, length = RandomStream(effort.seed, 7), max(1, TILE_ROWS[0] // effort.num_chains)
    state = chains.warm_up(chains.init(effort.num_chains, rng.spawn(0)), effort.burn_in, rng.spawn(1))
    series, accepted = [], []
    for begun in range(0, effort.num_steps, length):
        walk = chains.walk(state, min(length, effort.num_steps - begun), rng.spawn(2).spawn(begun))
        state = last_of(walk)
        series.append(walk.visited.configurations.double().flatten(2).mean(2).T)
        accepted.append(walk.accepted.double().mean(1))
    walks = (lambda: chains.walk(state, length, rng.spawn(3)) for _ in count())
    seconds = _fastest(walks, effort) / (length * effort.num_chains)
    return _row("flow Metropolis", torch.cat(series, 1).numpy(), float(torch.cat(accepted).mean()), seconds)


def _magnetization(x: Tensor) -> Tensor:
    return x.double().flatten(1).mean(1)


def _row(name: str, m: Float64[np.ndarray, "chain step"], acceptance: float, seconds_per_step: float) -> Row:
    taus = [2 * autocorrelation_time(part, 0.0) for part in np.array_split(m, GROUPS)]
    squared = chain_average(m**2)
    return Row(
        name=name,
        acceptance=acceptance,
        tau=2 * autocorrelation_time(m, 0.0),
        tau_error=float(np.std(taus, ddof=1)) / sqrt(GROUPS),
        seconds_per_step=seconds_per_step,
        squared=squared.value,
        squared_error=squared.standard_error or float("nan"),
    )


def _fastest(steps: Iterator[Callable[[], object]], effort: Effort) -> float:
    """Seconds of the fastest of the steps that are made in ``timing_seconds``, three at least."""
    end = time.perf_counter() + effort.timing_seconds
    passes: list[float] = []
    while len(passes) < 3 or time.perf_counter() < end:
        step, started = next(steps), time.perf_counter()
        step()
        passes.append(time.perf_counter() - started)
    return min(passes)


# ---- the table


def table(found: Measured) -> str:
    """All rows beside the fastest plain trajectories."""
    plain = found.best_plain
    lines = [
        "# Chains with the help of a flow",
        "",
        "Regenerate with `make bench NAME=flow_corrections`.",
        "",
        machine() + ".",
        "",
        f"phi4 8x8, m^2 = -4, lambda = 8; realnvp: {found.training}, which the rates do not include.  "
        f"{found.num_chains} chains of {found.num_steps:,} steps.",
        "",
        "tau = 1 + 2 sum rho(t) of the magnetization in steps, its error from four groups of chains; independent "
        "samples per second = 1 / (tau x seconds of a step of one chain).",
        "",
        "| chains | acceptance | tau | microseconds / step / chain | independent samples / s | over the best HMC "
        "| <m^2> |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found.rows:
        ratio = row.rate / plain.rate
        error = ratio * sqrt((row.tau_error / row.tau) ** 2 + (plain.tau_error / plain.tau) ** 2)
        lines.append(
            f"| {row.name} | {row.acceptance:.3f} | {row.tau:.2f} +- {row.tau_error:.2f} "
            f"| {row.seconds_per_step * 1e6:,.1f} | {row.rate:,.0f} +- {row.rate_error:,.0f} "
            f"| **{ratio:.2f}** +- {error:.2f} | {row.squared:.5f} +- {row.squared_error:.5f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
