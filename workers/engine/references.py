"""Exact references, each found in a process of its own: some take a minute, and who asked may be gone long before.

The processes come from a ``forkserver`` that has everything imported, and are up in about twenty milliseconds.
"""

import time
from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver, get_context
from multiprocessing.connection import Connection
from typing import Any

from workers.engine.solver import solve
from workers.messages import error_from_fields, unpack
from zoo.specs.targets.base import TargetSpec

MOST_PROCESSES = 2
"""Processes at a time: each may take a core for a minute."""
_KEPT = 1024
_PRELOAD = "workers.engine.preload"

Answer = dict[str, Any]


class References:
    """Finds exact references, one process for each, and remembers the latest answers."""

    def __init__(self, threads: int = 1) -> None:
        self._context = get_context("forkserver")
        self._threads = threads
        self._kept: OrderedDict[str, Answer] = OrderedDict()
        self._running = 0

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
            while self._running >= MOST_PROCESSES:
                yield None
            with self._process([key]) as pipe:
                while not pipe.poll(0):
                    yield None
                told = unpack(pipe.recv_bytes())  # EOFError where the process died: a fault of ours, not an answer
            if "error" in told:
                raise error_from_fields(told["error"])
            self._keep(key, told["answer"])
        yield self._kept[key]

    @contextmanager
    def search(self, specs: Sequence[TargetSpec], seconds: float) -> "Generator[Search, None, None]":
        """A search for several exact references beside other work, all in one process, which ends with it.

        What is found in ``seconds`` is found; the time runs from here on.
        """
        keys = [spec.model_dump_json() for spec in specs]
        unknown = [key for key in dict.fromkeys(keys) if key not in self._kept]
        found = {key: self._kept[key] for key in keys if key in self._kept}
        if not unknown:
            yield Search(keys, found)
            return
        with self._process(unknown) as pipe:
            search = Search(keys, found, pipe, list(unknown), time.monotonic() + seconds)
            yield search
        for key in unknown:
            if key in search.found:
                self._keep(key, search.found[key])

    @contextmanager
    def _process(self, specs_json: list[str]) -> Generator[Connection, None, None]:
        ours, theirs = self._context.Pipe(duplex=False)
        self._running += 1
        process = self._context.Process(target=solve, args=(theirs, specs_json, self._threads), name="reference")
        process.start()
        theirs.close()
        try:
            yield ours
        finally:
            process.kill()
            process.join()
            ours.close()
            self._running -= 1

    def _keep(self, key: str, answer: Answer) -> None:
        self._kept[key] = answer
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)


@dataclass
class Search:
    """A search that goes on in a process of its own; ``found`` has the answers so far, by the target as JSON."""

    keys: list[str]
    found: dict[str, Answer]
    pipe: Connection | None = None
    open: list[str] = field(default_factory=list)
    """What the process is still to tell, in its order."""
    ends_at: float = 0.0

    def finished(self) -> bool:
        """Whether everything has been told, or the time is over; reads what has come since the last look."""
        while self.open and self.pipe is not None and self.pipe.poll(0):
            try:
                told = unpack(self.pipe.recv_bytes())
            except EOFError:  # the process died, of memory say: what it had not told stays unknown
                self.open.clear()
                break
            key = self.open.pop(0)
            if "answer" in told:
                self.found[key] = told["answer"]
        return not self.open or time.monotonic() >= self.ends_at

    def remaining(self) -> Generator[None, None, None]:
        """None again and again until it is finished."""
        while not self.finished():
            yield None

    @property
    def answers(self) -> list[Answer | None]:
        """One for each target, None where there is none or it was not found in time."""
        return [self.found.get(key) for key in self.keys]
