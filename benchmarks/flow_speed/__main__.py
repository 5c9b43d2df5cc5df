"""The speed of coupling flows beside public libraries: same sizes, same threads, in turns within one run.

    python -m benchmarks.flow_speed [--rounds 7] [--threads 2] [--output docs/results]

Dimension 64, 8 couplings, networks with two hidden layers of 64, batch 4,096, float32.  Every contestant runs in a
process, and every library in an environment, of its own.  Prints the table, writes it to ``flow_speed.md`` and fails
when a bar is missed.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.environments import ROOT, environment
from benchmarks.settings import machine

LIBRARIES: dict[str, tuple[str, ...]] = {
    "zuko": ("zuko==1.6.0",),
    "normflows": ("normflows==1.7.3",),
    "nflows": ("nflows==0.14",),
}
TORCH = ("torch==2.13.0", "numpy")
OURS, DEFAULT = "helmholtz", "helmholtz_silu"
BARS: dict[tuple[str, str], float] = {
    ("affine", "sample"): 1.3,
    ("affine", "log_prob"): 1.3,
    ("affine", "training step"): 1.5,
    ("spline", "sample"): 5.0,
}
"""Rows a second, as a multiple of the best library's."""

Found = dict[str, dict[str, list[float]]]


def main() -> None:
    """Measure, print and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    programs = {name: environment(name, releases, TORCH) / "python" for name, releases in LIBRARIES.items()}
    programs |= {OURS: Path(sys.executable), DEFAULT: Path(sys.executable)}
    lines = _title(arguments.rounds, arguments.threads)
    missed: list[str] = []
    for kind in ("affine", "spline"):
        found: Found = {name: {} for name in programs}
        for _ in range(arguments.rounds):
            for name, python in programs.items():
                for operation, speed in _timed(python, name, kind, arguments.threads).items():
                    found[name].setdefault(operation, []).append(speed)
        lines += _table(kind, found, missed)
        print("\n".join(lines), flush=True)
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "flow_speed.md").write_text("\n".join([*lines, machine() + ".", ""]))
    if missed:
        sys.exit("bars missed:\n" + "\n".join(missed))


def _timed(python: Path, name: str, kind: str, threads: int) -> dict[str, float]:
    script = Path(__file__).parent / "timing.py"
    command = [str(python), "-W", "ignore", str(script), name, kind, str(threads)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout  # noqa: S603 - ours
    speeds: dict[str, float] = json.loads(printed.splitlines()[-1])
    return speeds


def _title(rounds: int, threads: int) -> list[str]:
    releases = ", ".join(release for names in LIBRARIES.values() for release in names)
    return [
        "# The speed of coupling flows",
        "",
        "Regenerate with `make bench NAME=flow_speed`. Dimension 64, 8 couplings, networks with two hidden layers of "
        "64 and relu (ours with silu, the default, too), splines of 8 bins, batch 4,096, float32, "
        f"{threads} threads; thousand rows a second, medians of {rounds} rounds in turns (lowest to highest), the "
        "ratios within each round; sampling with ln q; a training step is one of Adam on the reverse Kullback-Leibler "
        "divergence. "
        f"{releases}.",
        "",
    ]


def _table(kind: str, found: Found, missed: list[str]) -> list[str]:
    operations = list(next(iter(found.values())))
    lines = [
        f"## {kind.capitalize()} couplings",
        "",
        "| library | " + " | ".join(operations) + " |",
        "|---" * (len(operations) + 1) + "|",
    ]
    for name, speeds in found.items():
        cells = [
            f"{_thousands(speeds[op])} ({_thousands([min(speeds[op])])} to {_thousands([max(speeds[op])])})"
            for op in operations
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    ratios = []
    for operation in operations:
        ratio, low, high = _ratio(found, operation)
        bar = BARS.get((kind, operation))
        ratios.append(f"**{ratio:.2f}** ({low:.2f} to {high:.2f})" + ("" if bar is None else f", bar {bar:g}"))
        if bar is not None and ratio < bar:
            missed.append(f"{kind} {operation}: {ratio:.2f} times the best library, at least {bar:g} was expected")
    return [*lines, "| ours / best library, round by round | " + " | ".join(ratios) + " |", ""]


def _ratio(found: Found, operation: str) -> tuple[float, float, float]:
    """Ours over the best library in each round, whose processes ran within a minute of each other: median and range.

    The best library is that of the highest median.  The speed of a shared machine changes from minute to minute, and
    that of neighbours in time together.
    """
    best = max(LIBRARIES, key=lambda name: statistics.median(found[name][operation]))
    ratios = [ours / theirs for ours, theirs in zip(found[OURS][operation], found[best][operation], strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def _thousands(speeds: list[float]) -> str:
    return f"{statistics.median(speeds) / 1000:,.1f}"


if __name__ == "__main__":
    main()
