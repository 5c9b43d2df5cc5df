"""The time of one contestant: run inside its own environment, which has torch and nothing of this project.

python timing.py CONTESTANT KIND THREADS     (prints JSON: rows per second by operation)
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

SITES, COUPLINGS, HIDDEN, BATCH, BINS = 64, 8, 64, 4096, 8
ROUNDS = 7


def rows_per_second(action: Callable[[], object]) -> float:
    """BATCH rows over the median time of some calls, after two that are not counted."""
    action()
    action()
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - started)
    return BATCH / sorted(seconds)[len(seconds) // 2]


def main() -> None:
    """Time sampling with likelihood, likelihood, and a training step of the reverse Kullback-Leibler divergence."""
    name, kind, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(threads)
    torch.manual_seed(1)  # noqa: TID251 - the libraries take their random numbers from there
    sys.path.insert(0, str(Path(__file__).parent / "contestants"))
    contestant = importlib.import_module(f"of_{name}")
    module, sample, log_prob = contestant.build(kind, SITES, COUPLINGS, HIDDEN, BINS)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        x, log_q = sample(BATCH)
        (log_q + x.square().sum(1) / 2).mean().backward()
        optimizer.step()

    with torch.inference_mode():
        x, _ = sample(BATCH)
        found = {"sample": rows_per_second(lambda: sample(BATCH)), "log_prob": rows_per_second(lambda: log_prob(x))}
    found["training step"] = rows_per_second(step)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
