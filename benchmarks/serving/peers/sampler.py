"""What every peer serves: the bare module, and the fewest lines around it."""

import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.serving.module import load
from zoo.core.random import RandomStream


class Sampler:
    """The saved model, on as many threads as the benchmark says."""

    def __init__(self) -> None:
        torch.set_num_threads(int(os.environ["BENCHMARK_THREADS"]))  # noqa: TID251 - servers are told so
        torch.set_flush_denormal(True)
        self._model = load(Path(os.environ["BENCHMARK_MODEL"]))  # noqa: TID251 - servers are told so

    @torch.inference_mode()
    def sample(self, n: int, seed: int) -> NDArray[np.int8]:
        """``n`` configurations in one call."""
        return self._model.sample(n, RandomStream(seed)).numpy()
