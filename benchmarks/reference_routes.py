"""Conventional free energies against exact ones: thermodynamic integration, MBAR and annealed importance sampling.

    python -m benchmarks.reference_routes [--output docs/results]

Three systems whose free energy is known: Kaufman's formula for the 8 x 8 Ising torus, Ginibre's for six charges in the
plane, a truncated transfer matrix for the 4 x 4 lattice field.  Prints a table and writes ``reference_routes.md``.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from zoo.catalog import build_chains, build_target
from zoo.core.random import RandomStream
from zoo.core.targets import Target
from zoo.references.plan import Method, ReferencePlan, completed
from zoo.references.run import reference_free_energy
from zoo.samplers.base import Beta, Chains
from zoo.specs.estimate import Estimate
from zoo.specs.samplers import ChainLength, HmcSpec, MetropolisSpec, SamplerSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.coulomb_gas import CoulombGasSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.phi4 import Phi4Spec
from zoo.training.trainer import flush_denormals

THREADS = 1
SEEDS = (1, 2, 3)
NUM_STATES = 24
LENGTH = ChainLength(num_chains=64, burn_in=300, num_draws=200, thin=2)
METHODS: tuple[Method, ...] = ("thermodynamic_integration", "mbar", "ais")


@dataclass(frozen=True)
class Case:
    """A system with its exact -ln Z and the chains to draw with."""

    name: str
    spec: TargetSpec
    exact: float
    source: str
    sampler: SamplerSpec


_GAS = CoulombGasSpec(n=6, dimension=2, trap=2.0, interaction="logarithmic", charge_squared=2.0, beta=1.0)

CASES = (
    Case("Ising 8 x 8, beta 0.44", IsingSpec(shape=(8, 8), beta=0.44), -60.07630753, "Kaufman", MetropolisSpec()),
    Case("2D logarithmic gas, n = 6", _GAS, -23.8980827500245, "Ginibre", HmcSpec(num_leapfrog=10)),
    Case(
        "phi^4 4 x 4, m^2 = -4, lambda = 8",
        Phi4Spec(shape=(4, 4), mass_squared=-4.0, coupling=8.0),
        -2.405139,
        "transfer matrix",
        HmcSpec(num_leapfrog=10),
    ),
)


@dataclass(frozen=True)
class Row:
    """One estimate beside the exact value."""

    case: Case
    method: str
    seed: int
    estimate: Estimate
    seconds: float

    @property
    def markdown(self) -> str:
        """The line of the table."""
        sigma = self.estimate.standard_error or float("nan")
        deviation = (self.estimate.value - self.case.exact) / sigma
        verdict = "yes" if self.estimate.reliable else "no"
        cells = (self.case.name, f"{self.case.exact:.6f} ({self.case.source})", self.method, str(self.seed))
        numbers = (f"{self.estimate.value:.4f}", f"{sigma:.4f}", f"{deviation:+.2f}", verdict, f"{self.seconds:.1f}")
        return f"| {' | '.join(cells + numbers)} |"


def measured(case: Case, method: Method, seed: int) -> Row:
    """One run."""

    def build(target: Target, beta: Beta) -> Chains[Any]:
        return build_chains(case.sampler, target, beta)

    plan = ReferencePlan(method, NUM_STATES, LENGTH)
    start = time.perf_counter()
    steps = reference_free_energy(build_target(case.spec), case.spec.state_beta, plan, build, RandomStream(seed))
    estimate = completed(steps).estimate
    return Row(case, method, seed, estimate, time.perf_counter() - start)


def report(rows: list[Row]) -> str:
    """The file's text."""
    runs = LENGTH.num_chains * LENGTH.num_draws
    head = (
        "# Conventional free energies beside exact ones",
        "",
        "Written by `python -m benchmarks.reference_routes`.  beta_f = -ln Z by three routes that never see the exact",
        f"value: {NUM_STATES} states from a solved system to the target, {LENGTH.num_chains} chains at each,",
        f"{LENGTH.burn_in} steps of warm-up, {LENGTH.num_draws} draws {LENGTH.thin} steps apart (`ais`: {runs} runs),",
        f"{THREADS} thread.  Sigma is the reported standard error, the deviation is in units of it.  Chains are",
        "single-site Metropolis for spins, and Hamiltonian Monte Carlo with 10 leapfrog steps for the others.",
        "",
        "| system | exact beta_f | route | seed | estimate | sigma | deviation | reliable | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    )
    return "\n".join((*head, *(row.markdown for row in rows))) + "\n"


def main() -> None:
    """Run all, print each as it comes, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    output: Path = parser.parse_args().output
    torch.set_num_threads(THREADS)
    flush_denormals()
    rows = []
    for case in CASES:
        for method in METHODS:
            for seed in SEEDS:
                rows.append(measured(case, method, seed))
                print(rows[-1].markdown, flush=True)
    output.mkdir(parents=True, exist_ok=True)
    (output / "reference_routes.md").write_text(report(rows))


if __name__ == "__main__":
    main()
