"""Work on large data, kept off the event loop, which has everybody else to answer meanwhile."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import ParamSpec, TypeVar

from anyio.to_thread import run_sync

Arguments = ParamSpec("Arguments")
ResultT = TypeVar("ResultT")

SMALL = 2**16
"""Bytes that are worked on in less time than a thread takes to start."""


async def off_the_loop(
    size: int, work: Callable[Arguments, ResultT], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> ResultT:
    """The result of ``work`` on ``size`` bytes: in a thread, unless they are few."""
    if size <= SMALL:
        return work(*args, **kwargs)
    return await run_sync(partial(_uncollected, work, *args, **kwargs))


def _uncollected(work: Callable[Arguments, ResultT], *args: Arguments.args, **kwargs: Arguments.kwargs) -> ResultT:
    """The result of ``work``, whose own data is gone before the collector comes back."""
    with _COLLECTOR.paused():
        return work(*args, **kwargs)


class _Collector:
    """Python's collector of cycles.

    It would walk again and again through the millions of lists of a large JSON body while they are made, with all
    threads waiting: nine tenths of the time of decoding it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._pauses = 0
        self._was_enabled = False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No collection until everybody who asked for a pause has left it."""
        with self._lock:
            if self._pauses == 0:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._pauses += 1
        try:
            yield
        finally:
            with self._lock:
                self._pauses -= 1
                if self._pauses == 0 and self._was_enabled:
                    gc.enable()


_COLLECTOR = _Collector()
