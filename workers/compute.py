"""Threads and devices of a process that computes."""

import os

import torch

from zoo.specs.errors import InvalidValueError
from zoo.training.trainer import flush_denormals


def choose_device(name: str) -> torch.device:
    """The device of this name; ``auto`` takes a GPU where there is one.

    Raises:
        InvalidValueError: a GPU is asked for and there is none.
    """
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        msg = "device 'cuda' was asked for and this worker has no GPU; use 'auto' or 'cpu'"
        raise InvalidValueError(msg)
    return torch.device("cuda" if has_gpu and name in {"auto", "cuda"} else "cpu")


def prepare_thread(num_threads: int) -> int:
    """The number of threads this thread's tensor operations now use (0: all cores); denormals are flushed."""
    threads = num_threads or os.cpu_count() or 1
    torch.set_num_threads(threads)
    flush_denormals()
    return threads
