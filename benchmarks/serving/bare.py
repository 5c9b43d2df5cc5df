"""The bare module in a process of its own: how long ``sample(n)`` takes without any service.

    python -m benchmarks.serving.bare MODULE N THREADS SECONDS

Prints a JSON list of seconds per call.
"""

import json
import sys
import time
from pathlib import Path

import torch

from benchmarks.serving.module import load
from zoo.core.random import RandomStream
from zoo.training.trainer import flush_denormals


def main() -> None:
    """Measure and print."""
    path, n, threads, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    torch.set_num_threads(threads)
    flush_denormals()
    model = load(Path(path))
    calls: list[float] = []
    with torch.inference_mode():
        model.sample(n, RandomStream(0))
        until = time.perf_counter() + seconds
        while (started := time.perf_counter()) < until:
            model.sample(n, RandomStream(len(calls))).numpy()
            calls.append(time.perf_counter() - started)
    print(json.dumps(calls))


if __name__ == "__main__":
    main()
