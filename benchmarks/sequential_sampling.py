"""Cached sequential sampling against one full forward pass per site: same network, uniforms, run and machine.

    python -m benchmarks.sequential_sampling [--rounds 5] [--output docs/results]

Prints tables and writes them to ``sequential_sampling.md``.  A full pass evaluates the whole network for every site, so
a batch drawn the published way takes N times as long as one pass; the fastest of a few passes is taken, times N.  In
each round a few passes and a few cached batches take turns, so that both see the same machine; the ratio is the median
over the rounds.  Full passes use all threads and, for convolutions, the faster memory layout; cached sampling, whose
operations are too small to share, takes one.  The arithmetic floor is one multiply-add for each weight that a site
uses, at the rate of the fastest large float32 matrix product of one thread in the same run.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import log
from pathlib import Path
from statistics import median

import torch

from benchmarks.multiply_adds import multiply_adds
from benchmarks.settings import machine
from benchmarks.time_to_accuracy import fastest, keep_faster_layout
from zoo.catalog import build_model
from zoo.core.random import RandomStream
from zoo.core.spaces import Spins
from zoo.models.autoregressive import Autoregressive, sample_by_full_passes
from zoo.models.pixelcnn import PixelCnn
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.pixelcnn import PixelCnnSpec
from zoo.specs.models.rnn import RnnSpec
from zoo.specs.models.transformer import TransformerSpec
from zoo.specs.spaces import SpaceSpec
from zoo.training.trainer import flush_denormals

THREADS = 2
SEED = 1
FAMILIES: dict[str, ModelSpec] = {
    "made, H = 1024": MadeSpec(width=1024),
    "pixelcnn, width 64": PixelCnnSpec(width=64),
    "rnn, width 64": RnnSpec(width=64),
    "transformer, width 64": TransformerSpec(width=64),
}
SIDES = (8, 16, 32)
BATCHES = (1, 100, 1000)
BARS: tuple[tuple[str, int, int, float], ...] = (
    ("pixelcnn, width 64", 16, 1000, 150),
    ("pixelcnn, width 64", 32, 250, 400),
    ("made, H = 1024", 16, 1000, 30),
    ("made, H = 1024", 32, 1000, 60),
)
SCALING_SIDES = (8, 16, 32, 64)
SCALING_BATCH = 256
LARGEST_EXPONENT = 1.1
LATENCY_BAR = 0.060


@dataclass(frozen=True)
class Row:
    """Seconds for one batch, drawn both ways."""

    family: str
    side: int
    batch: int
    slow: float
    cached: float
    ratios: tuple[float, ...]
    floor: float

    def line(self) -> str:
        """A line of the table."""
        sites = self.side**2
        return (
            f"| {self.family} | {self.side} | {self.batch} | {self.batch / self.slow:,.3g} "
            f"| {self.batch / self.cached:,.4g} | **{median(self.ratios):,.0f}** ({min(self.ratios):,.0f} to "
            f"{max(self.ratios):,.0f}) | {1e9 * self.cached / self.batch / sites:,.0f} "
            f"| {100 * self.floor / self.cached:.0f} % |"
        )


HEADER = [
    "| network | L | batch | full passes, configurations/s | cached, configurations/s | ratio (median, range) "
    "| cached, ns per site and sample | of the floor |",
    "|---|---|---|---|---|---|---|---|",
]


def main() -> None:
    """Measure, print the tables and write them down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    flush_denormals()
    rate = product_rate()
    parts = [
        "# Sequential sampling: each activation once against one full forward pass per site",
        "",
        "Regenerate with `make bench NAME=sequential_sampling`.",
        "",
        f"{machine()}; seed {SEED}, {arguments.rounds} rounds, {rate / 1e9:.1f} billion multiply-adds/s of one thread.",
        "",
        "## Bars",
        "",
        *HEADER,
    ]
    missed: list[str] = []
    for family, side, batch, bar in BARS:
        row = measured(family, side, batch, arguments.rounds, rate)
        parts.append(row.line() + f" {bar:.0f} |")
        print(parts[-1], flush=True)
        missed += [parts[-1]] if median(row.ratios) < bar else []
    parts[-len(BARS) - 2 : -len(BARS)] = [HEADER[0] + " bar |", HEADER[1] + "---|"]
    parts += ["", differing(), "", *scaling(missed), "", latency(missed), "", "## All families", "", *HEADER]
    for family in FAMILIES:
        for side in SIDES:
            for batch in BATCHES:
                row = measured(family, side, batch, 1 if side == 32 else 3, rate)
                parts.append(row.line())
                print(parts[-1], flush=True)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "sequential_sampling.md").write_text("\n".join(parts) + "\n")
    print("\n".join(parts))
    if missed:
        sys.exit("bars missed:\n" + "\n".join(missed))


def measured(family: str, side: int, batch: int, rounds: int, rate: float) -> Row:
    """Both ways of sampling in turn."""
    model = network_of(family, side)
    slow, cached = [], []
    inputs = torch.zeros(batch, side**2, model.network.values.num_channels)
    with torch.inference_mode():
        for _ in range(rounds):
            slow.append(side**2 * _fastest_within(lambda: model.network(inputs), 1.0))
            cached.append(_fastest_within(lambda: model.sample(batch, RandomStream(SEED)), 1.0))
    floor = batch * multiply_adds(model.network) / rate
    ratios = tuple(s / c for s, c in zip(slow, cached, strict=True))
    return Row(family, side, batch, median(slow), median(cached), ratios, floor)


def network_of(family: str, side: int) -> Autoregressive:
    """The frozen model of a family, convolutions in their faster layout."""
    model = build_model(FAMILIES[family], Spins(SpaceSpec(kind="spins", event_shape=(side, side))), SEED)
    if not isinstance(model, Autoregressive):
        msg = f"{family} is not sampled site by site"
        raise TypeError(msg)
    model.requires_grad_(requires_grad=False)
    if isinstance(model.network, PixelCnn):
        keep_faster_layout(model, model.network)
    return model


def differing() -> str:
    """How many spins of 1000 configurations differ between the two ways, in all families at L = 8."""
    counts = []
    for family in FAMILIES:
        model = network_of(family, 8)
        with torch.inference_mode():
            *_, (_, draws) = sample_by_full_passes(model, 1000, RandomStream(SEED))
            slow = draws.configurations()
        count = int((slow != model.sample(1000, RandomStream(SEED)).flatten(1)).sum())
        counts.append(f"{family}: {count}")
    return "Spins that differ between both ways, of 64,000 at L = 8: " + "; ".join(counts) + "."


def scaling(missed: list[str]) -> list[str]:
    """How the time of a configuration grows with the lattice, for a pixelcnn of fixed width."""
    spec = PixelCnnSpec(width=32)
    seconds = {}
    for side in SCALING_SIDES:
        model = build_model(spec, Spins(SpaceSpec(kind="spins", event_shape=(side, side))), SEED)
        model.requires_grad_(requires_grad=False)
        draw = _drawing(model.sample, SCALING_BATCH)
        seconds[side] = _fastest_within(draw, 2.0) / SCALING_BATCH
    first, last = SCALING_SIDES[0], SCALING_SIDES[-1]
    exponent = log(seconds[last] / seconds[first]) / log((last / first) ** 2)
    if exponent > LARGEST_EXPONENT:
        missed.append(f"the cost of a configuration grows as N^{exponent:.3f}")
    shown = "; ".join(f"L = {side}: {1e3 * value:.3g} ms" for side, value in seconds.items())
    return [
        "## Cost of a configuration",
        "",
        f"pixelcnn, width 32, batch {SCALING_BATCH}, one thread: {shown}. From L = {first} to {last} it grows as "
        f"N^{exponent:.3f} (bar: N^{LARGEST_EXPONENT}).",
    ]


def latency(missed: list[str]) -> str:
    """Milliseconds for a single configuration."""
    model = network_of("pixelcnn, width 64", 16)
    seconds = [fastest(lambda: model.sample(1, RandomStream(SEED)), 1) for _ in range(40)]
    if median(seconds) > LATENCY_BAR:
        missed.append(f"a single configuration takes {1e3 * median(seconds):.1f} ms")
    return (
        f"A single configuration of pixelcnn, width 64, L = 16, on one thread: median {1e3 * median(seconds):.1f} ms, "
        f"fastest {1e3 * min(seconds):.1f} ms (bar: {1e3 * LATENCY_BAR:.0f} ms)."
    )


def product_rate() -> float:
    """Multiply-adds per second of one thread in a large float32 product."""
    torch.set_num_threads(1)
    a, b = torch.ones(1024, 1024), torch.ones(1024, 1024)
    rate: float = 1024**3 / _fastest_within(lambda: a @ b, 1.0)
    torch.set_num_threads(THREADS)
    return rate


def _drawing(sample: Callable[[int, RandomStream], object], batch: int) -> Callable[[], object]:
    return lambda: sample(batch, RandomStream(SEED))


def _fastest_within(action: Callable[[], object], seconds: float) -> float:
    """Seconds of the fastest repetition, of those that fit into ``seconds``; at least one."""
    found: list[float] = []
    while sum(found) < seconds:
        started = time.perf_counter()
        action()
        found.append(time.perf_counter() - started)
    return min(found)


if __name__ == "__main__":
    main()
