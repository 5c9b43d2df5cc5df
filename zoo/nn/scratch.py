"""Memory that is written again and again: what a step needs for a moment stays in caches, where new memory is cold."""

import threading
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor


@final
class _Arrays(threading.local):
    def __init__(self) -> None:
        self.by_name: dict[str, Tensor] = {}


_ARRAYS = _Arrays()


def scratch(name: str, shape: Sequence[int], like: Tensor) -> Tensor:
    """An array of any contents, the same for each call with a ``name`` in a thread; what it held before is lost.

    Never hand it out, keep it, or save it for a way back.  There is one array for each name, of the latest shape;
    beside the processor's own memory, whose allocator is fast, it is a new one.
    """
    if like.device.type != "cpu":
        return torch.empty(tuple(shape), dtype=like.dtype, device=like.device)
    found = _ARRAYS.by_name.get(name)
    if found is None or found.shape != tuple(shape) or found.dtype != like.dtype:
        with torch.inference_mode(mode=False):  # where gradients are taken others may not be written
            found = torch.empty(tuple(shape), dtype=like.dtype)
        _ARRAYS.by_name[name] = found
    return found
