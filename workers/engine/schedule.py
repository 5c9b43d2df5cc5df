"""Which request an engine works on next, and which ones share a tile: no Redis, no tensors."""

import time
from collections import deque
from collections.abc import Container, Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from workers.engine.operations import OPERATIONS, Engine
from workers.engine.tiled import Piece, TiledOperation
from workers.messages import Priority, Request
from zoo.core.tiles import SHARED_ROWS

Part = dict[str, Any]

PASS_OVER_SECONDS = 0.25
"""How long a work whose model is not in memory lets others go first."""
BULK_SHARE = 0.2
"""Part of the computing time that long requests get while short ones wait."""

_HELD_SECONDS = 0.1
_MOST_HELD, _FEWEST_HELD = 64, 2
_FORGETTING = 0.9


class Memory(Container[tuple[str, int]], Protocol):
    """What the schedule asks of the models in memory."""

    def shared_rows(self, key: tuple[str, int] | None) -> int:
        """How many rows of several requests for a version are computed at once."""
        ...


class _NothingInMemory(tuple[()]):
    """A memory without models."""

    def shared_rows(self, key: tuple[str, int] | None) -> int:
        """Those of one tile."""
        return SHARED_ROWS


NOTHING_IN_MEMORY = _NothingInMemory()


@dataclass(eq=False)
class Work:
    """A request that is being answered: what is left of it, and how far its answer is.

    ``alone`` marks one that may have ended an engine before: it shares nothing with others.
    """

    request: Request
    entry: tuple[str, bytes]
    """The stream it came by and its id there."""
    alone: bool = False
    pieces: deque[Piece] = field(default_factory=deque)
    parts: Generator[Part | None, None, None] | None = None
    """What is left: pieces of a tiled operation, else the parts of another one."""
    held: Part | None = None
    """A part that is not sent before the next one is known to exist, so that the last one can be marked."""
    num_sent: int = 0
    compute_seconds: float = 0.0
    waits: bool = False
    """Whether it waits for something else than its turn: another process, say."""
    passed_over_at: float | None = None
    """When another was preferred to it for the first time, because its model is not in memory."""

    def begin(self, engine: Engine) -> None:
        """Find out what is to be done; raises as the operation does at once."""
        operation = OPERATIONS[self.request.operation]
        if isinstance(operation, TiledOperation):
            self.pieces.extend(operation.pieces(engine, self.request.payload))
        else:
            self.parts = engine.run(self.request.operation, self.request.payload)

    @property
    def model(self) -> tuple[str, int] | None:
        """The version that it needs, where it needs one."""
        payload = self.request.payload
        return (payload["model"], payload["version"]) if "version" in payload else None

    @property
    def operation(self) -> TiledOperation | None:
        """The operation, where its rows can share tiles."""
        operation = OPERATIONS[self.request.operation]
        return operation if isinstance(operation, TiledOperation) else None

    @property
    def group(self) -> Hashable:
        """What works have in common whose next pieces may share a tile; None for one that shares with nobody."""
        operation = self.operation
        if self.alone or operation is None or not self.pieces or not self.pieces[0].is_shareable:
            return None
        return self.request.operation, operation.group(self.request.payload)


class Schedule:
    """Short requests go first, tile by tile, and leave a share of the time to long ones."""

    def __init__(self) -> None:
        self._queues: dict[Priority, deque[Work]] = {"interactive": deque(), "bulk": deque()}
        self._seconds: dict[Priority, float] = {"interactive": 0.0, "bulk": 0.0}
        self._mean_seconds: dict[Priority, float] = {"interactive": 0.01, "bulk": 1.0}

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def __iter__(self) -> Iterator[Work]:
        return iter([work for queue in self._queues.values() for work in queue])

    def count(self, priority: Priority) -> int:
        """How many works of this priority there are that want nothing but computing time."""
        return sum(not work.waits for work in self._queues[priority])

    def only_waits(self) -> bool:
        """Whether there are works, and none of them wants computing time."""
        return bool(self) and all(work.waits for work in self)

    def most(self, priority: Priority) -> int:
        """How many works of this priority an engine holds: enough to fill its tiles, about a tenth of a second's.

        What it does not hold is left for other engines: first come, first served goes for all of them together.
        """
        return min(_MOST_HELD, max(_FEWEST_HELD, round(_HELD_SECONDS / self._mean_seconds[priority])))

    def learn(self, work: Work) -> None:
        """Note what an answered work took."""
        priority = work.request.priority
        mean = self._mean_seconds[priority]
        self._mean_seconds[priority] = max(1e-6, mean + (1 - _FORGETTING) * (work.compute_seconds - mean))

    def add(self, work: Work) -> None:
        """Take a work in, behind the others of its priority."""
        self._queues[work.request.priority].append(work)

    def remove(self, work: Work) -> None:
        """Drop a work that is finished or given up."""
        self._queues[work.request.priority].remove(work)

    def clear(self) -> None:
        """Drop all works."""
        for queue in self._queues.values():
            queue.clear()

    def next_step(self, warm: Memory = NOTHING_IN_MEMORY) -> list[Work]:
        """The works of the next step: one, or several whose next pieces are computed at once; none when it is empty.

        First come, first served, but for works that wait for something else than their turn (``step_aside``), and for
        works whose models are ``warm``, which go before others for a moment: many models in turns would be loaded again
        and again.
        """
        queue = self._queues[self._next_priority()]
        if not queue:
            return []
        first = _preferred(queue, warm)
        together = [first]
        if first.group is not None:
            room = warm.shared_rows(first.model) - first.pieces[0].tile.used
            for work in self:
                if work is not first and work.group == first.group and work.pieces[0].tile.used <= room:
                    together.append(work)
                    room -= work.pieces[0].tile.used
        return together

    def step_aside(self, work: Work) -> None:
        """Let the others of its priority go before it."""
        queue = self._queues[work.request.priority]
        queue.remove(work)
        queue.append(work)

    def took(self, works: Sequence[Work], seconds: float) -> None:
        """Note what a step took, shared evenly among its works."""
        for work in works:
            work.compute_seconds += seconds / len(works)
            self._seconds[work.request.priority] += seconds / len(works)

    def _next_priority(self) -> Priority:
        interactive, bulk = self._queues["interactive"], self._queues["bulk"]
        if not interactive or not bulk:
            for priority in self._seconds:  # shares count from the moment at which both wait
                self._seconds[priority] = 0.0
            return "interactive" if interactive else "bulk"
        total = sum(self._seconds.values())
        return "bulk" if self._seconds["bulk"] < BULK_SHARE * total else "interactive"


def _preferred(queue: Sequence[Work], warm: Container[tuple[str, int]]) -> Work:
    """The first of a queue, or the first that needs no model to be loaded, while the first one's patience lasts."""
    first = queue[0]
    if first.model is None or first.model in warm:
        return first
    now = time.monotonic()
    if first.passed_over_at is not None and now - first.passed_over_at > PASS_OVER_SECONDS:
        first.passed_over_at = None
        return first
    other = next((work for work in queue if work.model is None or work.model in warm), None)
    if other is None:
        return first
    if first.passed_over_at is None:
        first.passed_over_at = now
    return other
