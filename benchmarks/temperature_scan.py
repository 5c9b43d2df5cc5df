"""The Ising model on 16 x 16 sites over temperature: mean field, Bethe and networks beside the exact values.

    python -m benchmarks.temperature_scan [--seconds 600] [--samples 20000] [--output docs/results]

Writes ``temperature_scan.md`` and the picture ``temperature_scan.png``, in the style of Wu, Wang, Zhang, PRL 122,
080602 (2019), figure 2: F / N = beta_f / (beta N) and its relative error over beta.  Each network is one model
conditioned on beta, trained here for ``--seconds``; its F is the variational bound, which needs no weights.  Mean field
and Bethe are solved at each beta.  The exact values of the finite lattice are Kaufman's; the exact |m| is that of the
infinite one.
"""

import argparse
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from benchmarks.temperature_scan_figure import BETA_C, draw_figure
from zoo.catalog import build, build_equations, build_objective, states_of
from zoo.core.models import ConditionalModel
from zoo.core.random import RandomStream
from zoo.core.self_consistency import solved
from zoo.core.spaces import build_space
from zoo.core.targets import HasExactFreeEnergy
from zoo.core.tiles import tile_plan
from zoo.specs.models.autoregressive import AutoregressiveSpec
from zoo.specs.models.bethe import BetheSpec
from zoo.specs.models.conditions import ConditionOn
from zoo.specs.models.fixed_point import FixedPointSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.mean_field import MeanFieldSpec
from zoo.specs.models.pixelcnn import PixelCnnSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem
from zoo.training.trainer import Trainer, flush_denormals, train

THREADS = 1
SEED = 1
TARGET = IsingSpec(shape=(16, 16), beta=0.44)
RANGE = (0.2, 0.6)
BETAS = np.linspace(*RANGE, 21)
CONDITION = ConditionOn(beta=RANGE)
STATES = states_of(TARGET)
NUM_SITES = TARGET.space.num_sites
NETWORKS: dict[str, tuple[AutoregressiveSpec, TrainingSpec]] = {
    "PixelCNN, one for all betas": (
        PixelCnnSpec(width=16, depth=3, symmetry="z2", condition_on=CONDITION),
        TrainingSpec(batch_size=256, learning_rate=4e-3, seed=SEED),
    ),
    "MADE, one for all betas": (
        MadeSpec(width=256, depth=1, symmetry="z2", condition_on=CONDITION),
        TrainingSpec(batch_size=512, learning_rate=5e-3, seed=SEED),
    ),
}
"""To be compared: a network conditioned on beta, and how it is trained."""

Curve = Float64[np.ndarray, " beta"]


@dataclass(frozen=True)
class Scan:
    """One method at all betas, per site: F in the unit of J, its standard error, E, and |m|."""

    name: str
    free_energy: Curve
    error: Curve
    energy: Curve
    magnetization: Curve
    seconds: float
    remark: str
    is_exact: bool = False
    unsolved: list[float] = field(default_factory=list)
    """Betas at which there was no convergence."""


def exact_scan() -> Scan:
    """Kaufman's values."""
    start = time.perf_counter()
    target = STATES({}).target
    if not isinstance(target, HasExactFreeEnergy):
        msg = "the target has no exact free energy"
        raise TypeError(msg)
    references = [target.exact_reference(beta) for beta in BETAS.tolist()]
    return Scan(
        name="exact",
        free_energy=np.array([r.beta_f for r in references]) / BETAS / NUM_SITES,
        error=np.zeros(len(BETAS)),
        energy=np.array([r.observables["energy_per_site"] for r in references]),
        magnetization=np.full(len(BETAS), np.nan),
        seconds=time.perf_counter() - start,
        remark=references[0].method,
        is_exact=True,
    )


def solved_scan(name: str, spec: FixedPointSpec) -> Scan:
    """A family whose equations are solved at each beta."""
    start, equations = time.perf_counter(), build_equations(spec)
    solutions = [solved(equations.solve(STATES({"beta": beta}), RandomStream(SEED))) for beta in BETAS.tolist()]
    return Scan(
        name=name,
        free_energy=np.array([s.beta_f for s in solutions]) / BETAS / NUM_SITES,
        error=np.zeros(len(BETAS)),
        energy=np.array([s.energy for s in solutions]) / NUM_SITES,
        magnetization=np.array([float(s.magnetizations.mean().abs()) for s in solutions]),
        seconds=time.perf_counter() - start,
        remark=f"damping {spec.damping:g}, at most {max(s.iterations for s in solutions)} iterations",
        unsolved=[s.beta for s in solutions if not s.converged],
    )


def network_scan(name: str, spec: AutoregressiveSpec, training: TrainingSpec, seconds: float, samples: int) -> Scan:
    """One network trained for ``seconds``, and then the average over its ``samples`` at each beta."""
    start = time.perf_counter()
    model, steps = trained(spec, training, seconds)
    points = [averages(model, beta, samples, RandomStream(SEED, 2**40 + k)) for k, beta in enumerate(BETAS.tolist())]
    f, error, energy, magnetization = np.array(points).T
    settings = f"width {spec.model_dump()['width']}, depth {spec.model_dump()['depth']}, symmetry z2"
    return Scan(
        name=name,
        free_energy=f / BETAS / NUM_SITES,
        error=error / BETAS / NUM_SITES,
        energy=energy / NUM_SITES,
        magnetization=magnetization,
        seconds=time.perf_counter() - start,
        remark=f"{settings}, batch {training.batch_size}, {steps} steps, {samples} samples at each beta",
    )


def trained(spec: AutoregressiveSpec, training: TrainingSpec, seconds: float) -> tuple[ConditionalModel, int]:
    """The network after as many steps as fit into ``seconds``, with the learning rate at zero in the end."""
    model = build(spec, build_space(TARGET.space), training.seed)
    if not isinstance(model, ConditionalModel):
        msg = f"{spec.family} is not conditioned on beta"
        raise TypeError(msg)
    problem = Problem(STATES({}), condition_on=spec.condition_on, state_at=STATES)
    objective = build_objective(ReverseKlSpec())
    probe = Trainer(objective, problem, training.model_copy(update={"max_steps": 6}))
    seconds_at = [info.seconds for _, info in train(probe, probe.init(model))]
    steps = max(20, int(seconds * (len(seconds_at) - 1) / (seconds_at[-1] - seconds_at[0])))
    trainer = Trainer(
        objective, problem, training.model_copy(update={"max_steps": steps, "max_seconds": 1.5 * seconds})
    )
    for _, info in train(trainer, trainer.init(model)):
        if info.step % max(1, steps // 10) == 0:
            print(
                f"  {spec.family}: step {info.step} of {steps}, loss {info.loss:.3f}, {info.seconds:.0f} s", flush=True
            )
    return model, info.step


@torch.inference_mode()
def averages(
    model: ConditionalModel, beta: float, samples: int, rng: RandomStream
) -> tuple[float, float, float, float]:
    """The variational beta_f with its standard error, <E> and <|m|> of the model itself."""
    at, state = model.at(torch.tensor([[beta]], dtype=torch.float64)), STATES({"beta": beta})
    bounds, energies, moments = [], [], []
    for tile in tile_plan(samples):
        x, log_prob = (part[: tile.used] for part in at.sample_and_log_prob(tile.rows, rng.at(tile.start)))
        energy = state.target.energy(x)
        bounds.append(beta * energy + log_prob)
        energies.append(energy)
        moments.append(x.flatten(1).double().mean(1).abs())
    bound = torch.cat(bounds)
    error = float(bound.std() / len(bound) ** 0.5)
    return float(bound.mean()), error, float(torch.cat(energies).mean()), float(torch.cat(moments).mean())


def report(scans: list[Scan]) -> str:
    """The file's text."""
    exact, others = scans[0], scans[1:]
    shape = " x ".join(map(str, TARGET.shape))
    lines = [
        "# The Ising model from high to low temperature",
        "",
        f"Written by `python -m benchmarks.temperature_scan`: {shape} sites, J = 1, seed {SEED}, {THREADS} thread",
        f"({platform.processor() or platform.machine()}).  F / N = beta_f / (beta N) in units of J, exact by Kaufman.",
        "Differences are F / N less the exact one: of mean field and networks, whose F is a bound, positive but for",
        f"statistical errors; Bethe's F is no bound.  Critical beta: exact {BETA_C:.4f}, Bethe 0.3466, mean field 1/4.",
        "",
        "![F, its error, energy and magnetisation over beta](temperature_scan.png)",
        "",
        "| method | settings | seconds | largest difference | at beta | without convergence |",
        "|---|---|---|---|---|---|",
    ]
    for scan in others:
        gap = np.abs(scan.free_energy - exact.free_energy)
        worst = int(gap.argmax())
        unsolved = ", ".join(f"{beta:g}" for beta in scan.unsolved) or "-"
        cells = (scan.name, scan.remark, f"{scan.seconds:.0f}", f"{gap[worst]:.2e}", f"{BETAS[worst]:.2f}", unsolved)
        lines.append(f"| {' | '.join(cells)} |")
    heads = [f"{scan.name}: difference" for scan in others] + [f"{scan.name}: energy" for scan in others]
    lines += ["", "| beta | exact F / N | exact E / N | " + " | ".join(heads) + " |", "|---" * (3 + len(heads)) + "|"]
    for k, beta in enumerate(BETAS):
        gaps = [_with_error(s.free_energy[k] - exact.free_energy[k], s.error[k]) for s in others]
        energies = [f"{s.energy[k]:.4f}" for s in others]
        first = [f"{beta:.2f}", f"{exact.free_energy[k]:.6f}", f"{exact.energy[k]:.4f}"]
        lines.append(f"| {' | '.join(first + gaps + energies)} |")
    return "\n".join(lines) + "\n"


def _with_error(value: float, error: float) -> str:
    return f"{value:+.2e}" + (f" +- {error:.0e}" if error else "")


def main() -> None:
    """All methods, the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="training time of each network")
    parser.add_argument("--samples", type=int, default=20_000, help="samples of each network at each beta")
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), help="names of networks to train")
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    flush_denormals()
    scans = [exact_scan(), solved_scan("mean field", MeanFieldSpec()), solved_scan("Bethe", BetheSpec())]
    for name in arguments.networks:
        spec, training = NETWORKS[name]
        scans.append(network_scan(name, spec, training, arguments.seconds, arguments.samples))
    text = report(scans)
    print(text)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "temperature_scan.md").write_text(text)
    draw_figure(BETAS, scans, arguments.output / "temperature_scan.png")


if __name__ == "__main__":
    main()
