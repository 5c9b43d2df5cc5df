"""Markov chains on lattices: spin updates per second, and how fast Metropolis and Swendsen-Wang forget |m|.

    python -m benchmarks.samplers [--sizes 32 64 128] [--seconds 4] [--output docs/results]

Prints both tables and writes them to ``samplers.md``.  Rates are those of the fastest step among those of ``seconds``
seconds, so that other work on the machine does not count; random numbers are made inside the steps and do count.  The
arithmetic limit beside them is the rate at which the same threads make one 32-bit random word for each update and do
nothing with it.

Autocorrelation: tau = 1/2 + sum_t rho(t) of |m| in units of a step, summed up to 6 tau (Sokal), with rho pooled over
chains that all start in equilibrium (from clusters); its error is the spread of tau over four groups of the chains.
The time to forget is 2 tau times the seconds of a step of one chain.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from zoo.catalog import build_chains, build_target
from zoo.core.random import RandomStream
from zoo.samplers.base import Beta, Chains
from zoo.samplers.blocks import in_threads
from zoo.samplers.words import word_source, words
from zoo.specs.samplers import (
    HeatBathSpec,
    MetropolisSpec,
    ParallelTemperingSpec,
    SamplerSpec,
    SwendsenWangSpec,
    WolffSpec,
)
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.potts import PottsSpec

THREADS = 2
SEED = 1
NUM_CHAINS = 1000
SIDE = 32
RATE_BAR = 150e6
DECORRELATION_BAR = 5
BETA_C = log(1 + sqrt(2)) / 2
BETA_C_POTTS = log(1 + sqrt(3))
SWEEPS_PER_TAU = 40
GROUPS = 4


@dataclass(frozen=True)
class Rate:
    """How fast one sampler runs: updates of single sites per second, each site once in a sweep."""

    case: str
    num_chains: int
    updates_per_second: float
    words_per_update: int | None


@dataclass(frozen=True)
class Forgetting:
    """How fast one sampler forgets |m|."""

    side: int
    sampler: str
    num_chains: int
    num_steps: int
    tau: float
    tau_error: float
    seconds_per_step: float
    """Of one chain: the time of a step over the number of chains."""

    @property
    def seconds(self) -> float:
        """2 tau steps of one chain."""
        return 2 * self.tau * self.seconds_per_step


def main() -> None:
    """Measure everything, print the tables and write them down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--seconds", type=float, default=4.0)
    default = Path(__file__).parents[1] / "docs" / "results"
    parser.add_argument("--output", type=Path, default=default)
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    rates, limit = measured_rates(arguments.seconds)
    report = rate_table(rates, limit, arguments.seconds)
    print(report, flush=True)
    pairs = [forgetting_of(side, arguments.seconds) for side in sorted(arguments.sizes)]
    report += "\n" + forgetting_table(pairs)
    print(forgetting_table(pairs))
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "samplers.md").write_text(report)


# ---- updates per second


def measured_rates(seconds: float) -> tuple[list[Rate], float]:
    """The rate of each sampler on 32x32, and of making one random word for each update."""
    ising, field = IsingSpec(shape=(SIDE, SIDE)), IsingSpec(shape=(SIDE, SIDE), h=0.1)
    potts = PottsSpec(shape=(SIDE, SIDE), q=3)
    ladder = torch.linspace(0.1, BETA_C, NUM_CHAINS, dtype=torch.float64)
    tempering = ParallelTemperingSpec(num_temperatures=10)
    cases: list[tuple[str, SamplerSpec, TargetSpec, Beta, int, int | None]] = [
        ("checkerboard Metropolis, Ising", MetropolisSpec(), ising, BETA_C, NUM_CHAINS, 1),
        ("the same, a beta for each chain", MetropolisSpec(), ising, ladder, NUM_CHAINS, 1),
        ("the same, in a field (no table)", MetropolisSpec(), field, BETA_C, NUM_CHAINS, 1),
        ("heat bath, Ising", HeatBathSpec(), ising, BETA_C, NUM_CHAINS, 1),
        ("Metropolis, Potts q = 3", MetropolisSpec(), potts, BETA_C_POTTS, NUM_CHAINS, 2),
        ("heat bath, Potts q = 3", HeatBathSpec(), potts, BETA_C_POTTS, NUM_CHAINS, 1),
        ("Swendsen-Wang, Ising", SwendsenWangSpec(), ising, BETA_C, NUM_CHAINS, 2),
        ("Swendsen-Wang, Potts q = 3", SwendsenWangSpec(), potts, BETA_C_POTTS, NUM_CHAINS, 2),
        ("Wolff, Ising, sites of the clusters", WolffSpec(), ising, BETA_C, NUM_CHAINS, None),
        ("parallel tempering, 10 temperatures", tempering, ising, BETA_C, NUM_CHAINS // 10, 1),
    ]
    limit = SIDE * SIDE * NUM_CHAINS / fastest(_only_words, seconds)
    return [rate_of(*case, seconds) for case in cases], limit


def rate_of(
    case: str,
    sampler: SamplerSpec,
    spec: TargetSpec,
    beta: Beta,
    num_chains: int,
    words_each: int | None,
    seconds: float,
) -> Rate:
    """Sites updated per second; all replicas count, and of Wolff's only the sites of the clusters."""
    chains = build_chains(sampler, build_target(spec), beta)
    first = build_chains(SwendsenWangSpec(), build_target(spec), beta) if isinstance(sampler, WolffSpec) else chains
    state = first.warm_up(first.init(num_chains, RandomStream(SEED)), 30, RandomStream(SEED))
    _, info = chains.step(state, RandomStream(SEED, 2))
    share = float(info.acceptance.mean()) if isinstance(sampler, WolffSpec) else 1.0
    replicas = sampler.num_temperatures if isinstance(sampler, ParallelTemperingSpec) else 1
    sites = num_chains * replicas * share * spec.space.num_sites
    return Rate(
        case, num_chains, sites / fastest(lambda: chains.step(state, RandomStream(SEED, 2)), seconds), words_each
    )


def fastest(action: Callable[[], object], seconds: float) -> float:
    """Seconds of the fastest pass of ``action`` among those of ``seconds`` seconds."""
    passes: list[float] = []
    while sum(passes) < seconds or len(passes) < 3:
        started = time.perf_counter()
        action()
        passes.append(time.perf_counter() - started)
    return min(passes)


def _only_words() -> None:
    """As many random words as a sweep of all chains takes, in all threads."""
    share = SIDE * SIDE * NUM_CHAINS // THREADS

    def make(index: int) -> None:
        source = word_source(RandomStream(SEED).spawn(index))
        for _ in range(2):
            words(source, share // 2)

    in_threads(make, THREADS)


# ---- autocorrelation


def forgetting_of(side: int, seconds: float) -> tuple[Forgetting, Forgetting]:
    """Metropolis and Swendsen-Wang at the infinite lattice's critical point, on the same number of sites."""
    target = build_target(IsingSpec(shape=(side, side)))
    clusters = build_chains(SwendsenWangSpec(), target, BETA_C)
    sites = build_chains(MetropolisSpec(), target, BETA_C)
    num_chains = 2**18 // side**2
    start = clusters.warm_up(clusters.init(num_chains, RandomStream(SEED)), 200, RandomStream(SEED, 1))
    x = clusters.configurations(start)
    guess = 0.04 * side**2.17  # of tau, in sweeps: only the length of the run hangs on it
    every = max(1, int(guess / 20))
    by_clusters = _forgetting(clusters, x, 1000, 1, seconds)
    by_sites = _forgetting(sites, x, int(SWEEPS_PER_TAU * guess), every, seconds)
    return by_sites, by_clusters


def _forgetting(chains: Chains[Any], x: Tensor, num_steps: int, every: int, seconds: float) -> Forgetting:
    """One sampler's tau from chains that start at the equilibrium configurations ``x``."""
    state, rng = chains.state_at(x), RandomStream(SEED, 7)
    series = []
    for step in range(num_steps):
        state, _ = chains.step(state, rng.spawn(step))
        if step % every == 0:
            series.append(chains.configurations(state).flatten(1).sum(1).abs().double() / x[0].numel())
    magnetization = torch.stack(series, 1).numpy()
    taus = [autocorrelation_time(part, magnetization.mean()) for part in np.array_split(magnetization, GROUPS)]
    return Forgetting(
        side=x.shape[1],
        sampler=type(chains).__name__,
        num_chains=len(x),
        num_steps=num_steps,
        tau=every * autocorrelation_time(magnetization, magnetization.mean()),
        tau_error=every * float(np.std(taus, ddof=1)) / sqrt(GROUPS),
        seconds_per_step=_seconds_per_step(chains, torch.cat([chains.configurations(state)] * 4), seconds),
    )


def _seconds_per_step(chains: Chains[Any], x: Tensor, seconds: float) -> float:
    """Of one of the chains at ``x``: of as many as keep all threads at work, since one thread takes 2^19 sites."""
    state = chains.state_at(x)
    return fastest(lambda: chains.step(state, RandomStream(SEED, 8)), seconds) / len(x)


def autocorrelation_time(values: Float64[np.ndarray, "chain draw"], mean: float) -> float:
    """Tau = 1/2 + sum_t rho(t) in units of a draw, up to the first t >= 6 tau, of chains in equilibrium."""
    deviation = values - mean
    variance, tau, draws = float((deviation**2).mean()), 0.5, values.shape[1]
    for t in range(1, draws):
        tau += float((deviation[:, t:] * deviation[:, :-t]).mean()) / variance
        if t >= 6 * tau:
            break
    return tau


# ---- tables


def settings(seconds: float) -> str:
    """What the figures depend on."""
    load = os.getloadavg()[0]
    return (
        f"threads {torch.get_num_threads()}, cores {os.cpu_count()}, {platform.machine()} "
        f"{torch.backends.cpu.get_cpu_capability()}, numpy {np.__version__}, torch {torch.__version__}, seed {SEED}, "
        f"fastest step among those of {seconds:g} s, load of the machine at the end {load:.1f}."
    )


def rate_table(rates: list[Rate], limit: float, seconds: float) -> str:
    """Updates per second beside the limit that random words alone set."""
    lines = [
        "# Markov chains on lattices",
        "",
        "Regenerate with `python -m benchmarks.samplers`.",
        "",
        settings(seconds),
        "",
        f"## Updates of sites per second, {SIDE}x{SIDE}",
        "",
        "At the critical point of the infinite lattice.  Random words alone, of 32 bits: "
        f"{limit / 1e6:,.0f} million a second; over the words that one update takes this is a limit of the sampler.",
        "",
        "| sampler | chains | million updates / s | limit of the random words | share of it |",
        "|---|---|---|---|---|",
    ]
    for rate in rates:
        bound = limit / rate.words_per_update if rate.words_per_update else None
        lines.append(
            f"| {rate.case} | {rate.num_chains:,} | **{rate.updates_per_second / 1e6:,.1f}** "
            + (f"| {bound / 1e6:,.0f} | {rate.updates_per_second / bound:.0%} |" if bound else "| - | - |")
        )
    verdict = rates[0].updates_per_second / RATE_BAR
    lines += ["", f"Bar for the first line: {RATE_BAR / 1e6:.0f} million; measured {verdict:.1f} times that."]
    return "\n".join(lines) + "\n"


def forgetting_table(pairs: list[tuple[Forgetting, Forgetting]]) -> str:
    """Both samplers on each lattice, and the ratio of the times they take to forget |m|."""
    lines = [
        "## Time to forget |m| at the critical point",
        "",
        "tau is the integrated autocorrelation time of |m| in steps (a sweep, or all clusters once), its error from "
        "four groups of chains; time to forget = 2 tau x seconds per step of one chain.",
        "",
        "| L | sampler | chains x steps | tau | microseconds / step / chain | ms to forget | Metropolis / this |",
        "|---|---|---|---|---|---|---|",
    ]
    for pair in pairs:
        lines += [
            f"| {row.side} | {row.sampler} | {row.num_chains} x {row.num_steps:,} "
            f"| {row.tau:,.1f} +- {row.tau_error:.1f} | {row.seconds_per_step * 1e6:,.2f} | {row.seconds * 1e3:,.2f} "
            f"| **{pair[0].seconds / row.seconds:.1f}** |"
            for row in pair
        ]
    lines += ["", f"Bar: at least {DECORRELATION_BAR} times."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
