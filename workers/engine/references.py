"""Exact references, each found in a process of its own: some take a minute, and who asked may be gone long before.

The processes come from a ``forkserver`` that has everything imported, and are up in about twenty milliseconds.
"""

from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing import forkserver, get_context
from multiprocessing.connection import Connection
from typing import Any

from workers.engine.solver import solve
from workers.messages import error_from_fields, unpack
from zoo.specs.targets.base import TargetSpec

POLL_SECONDS = 0.02
_KEPT = 1024
_PRELOAD = "workers.engine.preload"

Answer = dict[str, Any]


class References:
    """Finds exact references, one process for each, and remembers the latest answers."""

    def __init__(self, threads: int = 1) -> None:
        self._context = get_context("forkserver")
        self._threads = threads
        self._kept: OrderedDict[str, Answer] = OrderedDict()

    def prepare(self) -> None:
        """Import everything now, and not while somebody waits."""
        self._context.set_forkserver_preload([_PRELOAD])
        forkserver.ensure_running()

    def find(self, spec: TargetSpec) -> Generator[Answer | None, None, None]:
        """None while it is being solved, then the exact reference of ``spec``; closed before, it ends the process.

        Raises:
            NoExactReferenceError: there is none.
        """
        key = spec.model_dump_json()
        if key not in self._kept:
            with self._process(key) as pipe:
                while not pipe.poll(POLL_SECONDS):
                    yield None
                told = unpack(pipe.recv_bytes())  # EOFError where the process died: a fault of ours, not an answer
            if "error" in told:
                raise error_from_fields(told["error"])
            self._keep(key, told["answer"])
        yield self._kept[key]

    @contextmanager
    def _process(self, spec_json: str) -> Generator[Connection, None, None]:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=solve, args=(theirs, spec_json, self._threads), name="reference")
        process.start()
        theirs.close()
        try:
            yield ours
        finally:
            process.kill()
            process.join()
            ours.close()

    def _keep(self, key: str, answer: Answer) -> None:
        self._kept[key] = answer
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
