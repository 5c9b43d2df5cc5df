"""Exact references, found aside: some take a minute, and the engine has others to serve and deadlines to keep."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Any

import torch

from workers.compute import prepare_thread
from zoo.catalog import build_target
from zoo.core.targets import HasExactFreeEnergy
from zoo.specs.targets.base import TargetSpec

POLL_SECONDS = 0.02
_KEPT = 1024


class References:
    """One thread that solves systems, one after the other, and remembers the answers.

    Who stops asking leaves the computation to finish: its answer is then there for the next one who asks.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(
            1, thread_name_prefix="reference", initializer=prepare_thread, initargs=(torch.get_num_threads(),)
        )
        self._solve = lru_cache(_KEPT)(_solve)

    def find(self, spec: TargetSpec) -> Generator[dict[str, Any] | None, None, None]:
        """None while it is being solved, then the exact reference of ``spec``.

        Raises:
            NoExactReferenceError: there is none.
        """
        future = self._thread.submit(self._solve, spec)
        try:
            while not wait([future], timeout=POLL_SECONDS).done:
                yield None
            yield future.result()
        finally:
            future.cancel()


def _solve(spec: TargetSpec) -> dict[str, Any]:
    target = build_target(spec)
    if not isinstance(target, HasExactFreeEnergy):
        why = "this kind has no solution in closed form"
        raise spec.no_exact_reference(why)
    return target.exact_reference(spec.state_beta).model_dump(mode="json")
