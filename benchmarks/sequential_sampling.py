"""Cached sequential sampling against one full forward pass per site: same network, uniforms, run and threads.

    python -m benchmarks.sequential_sampling [--rounds 8] [--output benchmarks/results]

Prints a table and writes it to ``sequential_sampling.md`` and ``.json``.  The slow sampler draws one whole batch, cut
into ``rounds`` equal pieces; between two pieces the cached sampler draws whole batches, so that both see the same
machine.  A round's rates are those of its fastest pass and its fastest batch, so that other work on the machine counts
against neither, and the ratio is the median over the rounds.  Full passes use all threads; cached sampling, whose
operations are too small to share, takes one.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, final

import torch
from jaxtyping import Float, Num
from torch import Tensor

from zoo.catalog import build_model, build_objective, build_target
from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.spaces import Space
from zoo.core.targets import ThermodynamicState
from zoo.models.autoregressive import AutoregressiveSpins, sample_by_full_passes
from zoo.models.pixelcnn import PixelCnn
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.pixelcnn import PixelCnnSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.training import TrainingSpec
from zoo.training.trainer import Trainer, flush_denormals

THREADS = 2
BATCH = 1000
SEED = 1
TARGET = IsingSpec(shape=(16, 16), beta=0.44)
CASES: tuple[tuple[str, ModelSpec, float], ...] = (
    ("pixelcnn, L = 16, width 64, half-kernel 1", PixelCnnSpec(width=64, depth=3, half_kernel=1), 150),
    ("made, L = 16, H = 1024", MadeSpec(width=1024, depth=1), 30),
)
SECONDS_PER_ROUND = 1.5
MEMORY_FORMATS = {"channels last": torch.channels_last, "channels first": torch.contiguous_format}


@dataclass(frozen=True)
class Row:
    """One line of the table; rates are configurations per second, ratios cached over full passes."""

    case: str
    memory_layout: str
    full_passes_per_second: float
    cached_per_second: float
    ratio: float
    smallest_ratio: float
    largest_ratio: float
    bar: float
    differing_spins: int
    step_seconds_full_passes: float
    step_seconds_cached: float


def main() -> None:
    """Measure all cases, print the table and write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    flush_denormals()
    rows = [measured(name, spec, bar, arguments.rounds) for name, spec, bar in CASES]
    report = markdown(rows, arguments.rounds)
    print(report)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "sequential_sampling.md").write_text(report)
    data = {"settings": settings(arguments.rounds), "rows": [asdict(row) for row in rows]}
    (arguments.output / "sequential_sampling.json").write_text(json.dumps(data, indent=2) + "\n")


def measured(name: str, spec: ModelSpec, bar: float, rounds: int) -> Row:
    """One case: both samplers in turn, then a training step with each."""
    target = build_target(TARGET)
    model = build_model(spec, target.space, SEED)
    if not isinstance(model, AutoregressiveSpins):
        msg = f"family {spec.family!r} is not sampled site by site"
        raise TypeError(msg)
    layout = _keep_faster_layout(model)
    slow, fast, differing = _interleaved(model, rounds)
    ratios = [s / f for s, f in zip(slow, fast, strict=True)]
    return Row(
        case=name,
        memory_layout=layout,
        full_passes_per_second=BATCH / median(slow),
        cached_per_second=BATCH / median(fast),
        ratio=median(ratios),
        smallest_ratio=min(ratios),
        largest_ratio=max(ratios),
        bar=bar,
        differing_spins=differing,
        step_seconds_full_passes=_step_seconds(_SampledByFullPasses(model), steps=1),
        step_seconds_cached=_step_seconds(model, steps=3),
    )


def _interleaved(model: AutoregressiveSpins, rounds: int) -> tuple[list[float], list[float], int]:
    """Seconds per batch of the slow and of the cached sampler in each round, and how many spins differ in the end."""
    sites = model.space.num_sites
    rng = RandomStream(SEED)
    passes = sample_by_full_passes(model, BATCH, rng)
    cached = model.sample(BATCH, rng)
    slow, fast = [], []
    with torch.inference_mode():
        for done in range(rounds):
            count = (done + 1) * sites // rounds - done * sites // rounds
            seconds = []
            for _ in range(count):
                started = time.perf_counter()
                spins = next(passes)
                seconds.append(time.perf_counter() - started)
            slow.append(min(seconds) * sites)
            fast.append(_fastest(lambda: model.sample(BATCH, rng)))
    return slow, fast, int((spins != cached.flatten(1)).sum())


def _fastest(action: Callable[[], object]) -> float:
    """Seconds of the fastest of several repetitions."""
    seconds: list[float] = []
    while sum(seconds) < SECONDS_PER_ROUND or len(seconds) < 3:
        started = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _keep_faster_layout(model: AutoregressiveSpins) -> str:
    """Leaves the convolutions of ``model`` in the memory layout in which its full forward pass is faster."""
    if not isinstance(model, PixelCnn):
        return "-"
    spins = model.sample(BATCH, RandomStream(SEED))
    seconds = {}
    with torch.inference_mode():
        for name, memory_format in MEMORY_FORMATS.items():
            model.memory_format = memory_format
            seconds[name] = _fastest(lambda: model.logits(spins))
    best = min(seconds, key=lambda name: seconds[name])
    model.memory_format = MEMORY_FORMATS[best]
    return best


def _step_seconds(model: Model, steps: int) -> float:
    """Median seconds of a training step, the first one left out unless it is the only one."""
    state = ThermodynamicState(build_target(TARGET), TARGET.beta)
    trainer = Trainer(build_objective(ReverseKlSpec()), state, TrainingSpec(batch_size=BATCH))
    training = trainer.init(model)
    seconds = []
    for step in range(steps + (steps > 1)):
        started = time.perf_counter()
        training, _ = trainer.step(training, RandomStream(SEED, domain=step))
        seconds.append(time.perf_counter() - started)
    return median(seconds[1:] or seconds)


@final
class _SampledByFullPasses(Model):
    """A model that draws its samples the slow way and is otherwise the same."""

    def __init__(self, model: AutoregressiveSpins) -> None:
        super().__init__()
        self.model = model

    @property
    def space(self) -> Space:
        return self.model.space

    def sample(self, num_samples: int, rng: RandomStream) -> Num[Tensor, "batch *event"]:
        with torch.inference_mode():
            *_, spins = sample_by_full_passes(self.model, num_samples, rng)
        return spins.to(torch.int8).reshape(-1, *self.space.event_shape)

    def log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        return self.model.log_prob(x)

    def sample_and_log_prob(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        x = self.sample(num_samples, rng)
        return x, self.log_prob(x)


def settings(rounds: int) -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "batch": BATCH,
        "threads": torch.get_num_threads(),
        "seed": SEED,
        "rounds": rounds,
        "dtype": "float32",
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
    }


def markdown(rows: list[Row], rounds: int) -> str:
    """The table with its settings."""
    lines = [
        "# Sequential sampling: each activation once against one full forward pass per site",
        "",
        "Regenerate with `python -m benchmarks.sequential_sampling`.",
        "",
        ", ".join(f"{name} {value}" for name, value in settings(rounds).items()) + ".",
        "",
        "| network | layout | full passes, configurations/s | cached, configurations/s "
        "| ratio (median of rounds, range) | bar | spins that differ "
        "| s per training step, full passes | s per training step, cached |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.case} | {row.memory_layout} | {row.full_passes_per_second:,.3g} | {row.cached_per_second:,.0f} "
        f"| **{row.ratio:.0f}** ({row.smallest_ratio:.0f} to {row.largest_ratio:.0f}) | {row.bar:.0f} "
        f"| {row.differing_spins} of {BATCH * TARGET.space.num_sites} "
        f"| {row.step_seconds_full_passes:.3g} | {row.step_seconds_cached:.3g} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
