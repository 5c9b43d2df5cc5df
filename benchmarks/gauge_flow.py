"""Gauge-equivariant flows against the exact free energy of two-dimensional U(1) gauge theory.

    python -m benchmarks.gauge_flow [--seeds 1 2 3] [--threads 2] [--output docs/results]

Every row trains a model and asks for 100,000 samples with another seed: the variational beta_f, ln Z by importance
weights with its error, the effective sample fraction, the mean plaquette and the squared topological charge.  Prints
the table and how the effective sample fraction grew with the time of training, and writes both to ``gauge_flow.md``;
fails when a bar is missed.
"""

import argparse
import sys
import time
from pathlib import Path

import torch

from benchmarks.gauge_flow_rows import LIMIT, Outcome, row_12
from benchmarks.settings import machine
from zoo.training.trainer import flush_denormals

TITLE = "# Gauge-equivariant flows against the exact free energy"


def main() -> None:
    """Train, measure, print and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    flush_denormals()
    outcomes: list[Outcome] = []
    missed: list[str] = []
    for seed in arguments.seeds:
        started = time.monotonic()
        outcome = row_12(seed)
        outcomes.append(outcome)
        missed += outcome.missed
        print(outcome.line(), outcome.history(), sep="\n", flush=True)
        _write(arguments.output, outcomes)
        seconds = time.monotonic() - started
        if seconds > LIMIT:
            missed.append(f"seed {seed} took {seconds:.0f} s; at most {LIMIT:.0f} are allowed")
    if missed:
        sys.exit("bars missed:\n" + "\n".join(missed))


def _write(folder: Path, outcomes: list[Outcome]) -> None:
    lines = [
        TITLE,
        "",
        "Regenerate with `make bench NAME=gauge_flow`; settings are in `benchmarks/gauge_flow_rows.py`, the rest are "
        "defaults.",
        "",
        machine() + ".",
        "",
        *Outcome.HEADER,
        *(outcome.line() for outcome in outcomes),
        "",
        "Effective sample fraction of 20,000 samples, by the time of training without these samples:",
        "",
        *(outcome.history() for outcome in outcomes),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gauge_flow.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
