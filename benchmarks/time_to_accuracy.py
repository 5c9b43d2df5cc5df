"""Wall-clock time of training to a free energy that is right to 1e-3, with cached sampling and with full passes.

    python -m benchmarks.time_to_accuracy [--threads 2] [--output docs/results]

Both are the same network, seed, batch and steps; only the way of sampling differs.  Both are run to the end for made on
8x8.  Elsewhere the cached run is, and the other is its measured time per step (the faster of two) times as many steps.
The bars are those of the published network for lattices, the PixelCNN.  A dense network is evaluated about as fast as
it is sampled from, so that its gradient takes most of the time: the limit is the ratio that sampling in no time would
have.
"""

import argparse
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.full_passes import SampledByFullPasses
from benchmarks.settings import machine
from zoo.catalog import build_model, build_objective, states_of
from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.targets import HasExactFreeEnergy, ThermodynamicState
from zoo.models.autoregressive import Autoregressive
from zoo.models.pixelcnn import PixelCnn
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.pixelcnn import PixelCnnSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem
from zoo.training.trainer import Trainer, flush_denormals, train

SEED = 1
BETA = 0.44
ACCURACY = 1e-3
BATCH = 1000
WINDOW = 10
MAX_STEPS = 2000
CASES: tuple[tuple[int, str, ModelSpec, int | None], ...] = (
    (8, "pixelcnn", PixelCnnSpec(), 10),
    (16, "pixelcnn", PixelCnnSpec(), 50),
    (8, "made", MadeSpec(width=512), None),
    (16, "made", MadeSpec(width=1024), None),
)


@dataclass(frozen=True)
class Reached:
    """Steps and seconds until the mean variational beta_f of the last WINDOW steps was right to ACCURACY."""

    steps: int
    seconds: float


def main() -> None:
    """Train both ways, print the table and write it down; fails when a ratio is below its bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    flush_denormals()
    lines = [
        f"# Time to a relative free-energy error of {ACCURACY:g}",
        "",
        "Regenerate with `make bench NAME=time_to_accuracy`.",
        "",
        f"Ising at beta {BETA:g}, batch {BATCH}, seed {SEED}, annealed in 100 steps; means of {WINDOW} steps count.",
        "Full passes: the algorithm of Wu, Wang, Zhang (2019) on the same network in this code base.",
        "",
        "| lattice | network | steps | cached, s | full passes, s | | ratio | limit | bar |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    missed = []
    for side, name, spec, bar in CASES:
        line, ratio = _case(side, name, spec, bar)
        lines.append(line)
        print(line, flush=True)
        missed += [line] if bar is not None and ratio < bar else []
    lines += ["", machine() + "."]
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "time_to_accuracy.md").write_text("\n".join(lines) + "\n")
    if missed:
        sys.exit("bars missed:\n" + "\n".join(missed))


def _case(side: int, name: str, spec: ModelSpec, bar: int | None) -> tuple[str, float]:
    state = states_of(IsingSpec(shape=(side, side), beta=BETA))({})
    model = _network(state, spec)
    cached = _until_accurate(state, model)
    sampling = cached.steps * fastest(lambda: model.sample_and_log_prob(BATCH, RandomStream(SEED)), 5)
    slow_model = SampledByFullPasses(_network(state, spec))
    if side == 8 and name == "made":
        slow, how = _until_accurate(state, slow_model), "measured"
    else:
        slow, how = Reached(cached.steps, cached.steps * _step_seconds(state, slow_model, 2)), "extrapolated"
    ratio = slow.seconds / cached.seconds
    line = (
        f"| {side}x{side} | {name} | {cached.steps} | {cached.seconds:.1f} | {slow.seconds:.0f} "
        f"| {how}, {slow.steps} steps | **{ratio:.1f}** | {slow.seconds / (cached.seconds - sampling):.1f} "
        f"| {'' if bar is None else bar} |"
    )
    return line, ratio


def _network(state: ThermodynamicState, spec: ModelSpec) -> Autoregressive:
    model = build_model(spec, state.target.space, SEED)
    if not isinstance(model, Autoregressive):
        msg = f"family {spec.family!r} is not sampled site by site"
        raise TypeError(msg)
    if isinstance(model.network, PixelCnn):
        keep_faster_layout(model, model.network)
    return model


def keep_faster_layout(model: Autoregressive, network: PixelCnn) -> str:
    """The memory layout in which a full forward pass of ``network`` is faster, in which it is left."""
    x = model.sample(200, RandomStream(SEED))
    seconds = {}
    formats = {"channels last": torch.channels_last, "channels first": torch.contiguous_format}
    with torch.inference_mode():
        for name, memory_format in formats.items():
            network.memory_format = memory_format
            seconds[name] = fastest(lambda: model.log_prob(x), 3)
    best = min(seconds, key=lambda name: seconds[name])
    network.memory_format = formats[best]
    return best


def fastest(action: Callable[[], object], repetitions: int) -> float:
    """Seconds of the fastest of several repetitions."""
    seconds = []
    for _ in range(repetitions):
        started = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _trainer(state: ThermodynamicState) -> Trainer:
    spec = TrainingSpec(batch_size=BATCH, max_steps=MAX_STEPS, beta_anneal_steps=100, seed=SEED)
    return Trainer(build_objective(ReverseKlSpec()), Problem(state), spec)


def _until_accurate(state: ThermodynamicState, model: Model) -> Reached:
    trainer = _trainer(state)
    if not isinstance(state.target, HasExactFreeEnergy):
        msg = "the target knows no exact free energy"
        raise TypeError(msg)
    exact = state.target.exact_beta_f(state.beta)
    last: deque[float] = deque(maxlen=WINDOW)
    started = time.monotonic()
    for _, info in train(trainer, trainer.init(model)):
        if info.beta != state.beta:
            continue
        last.append(info.parts["variational_beta_f"])
        if len(last) == WINDOW and abs(sum(last) / WINDOW - exact) < ACCURACY * abs(exact):
            return Reached(info.step, time.monotonic() - started)
    msg = f"not accurate to {ACCURACY:g} within {MAX_STEPS} steps"
    raise RuntimeError(msg)


def _step_seconds(state: ThermodynamicState, model: Model, steps: int) -> float:
    trainer = _trainer(state)
    training = trainer.init(model)
    seconds = []
    for step in range(steps):
        started = time.perf_counter()
        training, _ = trainer.step(training, RandomStream(SEED, domain=step))
        seconds.append(time.perf_counter() - started)
    return min(seconds)


if __name__ == "__main__":
    main()
