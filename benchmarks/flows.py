"""Normalizing flows against exact free energies.

    python -m benchmarks.flows [--rows 7 8 9 12] [--seeds 1 2 3] [--threads 2] [--output docs/results]

Every row trains a model and asks for 100,000 (or, where said, 10,000) samples with another seed: the
variational beta_f, ln Z by importance weights with its error, the effective sample fraction with its number of samples.
Prints the tables and writes them to ``flows.md``, each as soon as it is known; fails when a bar is missed.
"""

import argparse
import sys
import time
from pathlib import Path

import torch

from benchmarks.acceptance import Outcome
from benchmarks.flow_rows import LIMITS, ROWS
from benchmarks.settings import machine
from zoo.training.trainer import flush_denormals

TITLE = "# Normalizing flows against exact free energies"


def main() -> None:
    """Train, measure, print and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    flush_denormals()
    outcomes: list[Outcome] = []
    late: list[str] = []
    for name in arguments.rows:
        for seed in arguments.seeds:
            started = time.monotonic()
            for outcome in ROWS[name](seed):
                outcomes.append(outcome)
                print(outcome.line(), flush=True)
                _write(arguments.output, outcomes)
            seconds = time.monotonic() - started
            if seconds > LIMITS[name]:
                late.append(f"row {name}, seed {seed} took {seconds:.0f} s; at most {LIMITS[name]} are allowed")
    if missed := late + [line for outcome in outcomes for line in outcome.missed]:
        sys.exit("bars missed:\n" + "\n".join(missed))


def _write(folder: Path, outcomes: list[Outcome]) -> None:
    lines = [
        TITLE,
        "",
        "Regenerate with `make bench NAME=flows`; settings are in `benchmarks.flow_rows.py`, the rest are defaults.",
        "",
        machine() + ".",
        "",
        *Outcome.HEADER,
        *(outcome.line() for outcome in outcomes),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "flows.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
