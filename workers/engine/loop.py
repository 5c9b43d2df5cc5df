"""The engine's loop: requests from Redis streams, computed tile by tile in turns, answers in parts to their senders."""

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from workers.engine.mailbox import Entry, Letter, Mailbox, Outgoing
from workers.engine.metrics import (
    ACTIVE,
    ENDED,
    REQUESTS_PER_TILE,
    ROWS_PADDED,
    ROWS_USED,
    STEP_SECONDS,
    TILES,
    metrics_text,
)
from workers.engine.operations import Engine
from workers.engine.schedule import Part, Schedule, Work
from workers.engine.tiled import PAUSE, Piece, batch_rows
from workers.messages import (
    ENGINE_KEY,
    ENGINE_METRICS_KEY,
    ENGINE_TTL_SECONDS,
    OWN_STREAM,
    OWN_STREAM_TTL_SECONDS,
    REQUEST_STREAMS,
    Priority,
    Reply,
    error_fields,
)
from zoo.specs.errors import DeadlineExceededError, HelmholtzError, UnavailableError

log = structlog.get_logger()

_BLOCK_MILLISECONDS = 1000
_POLL_MILLISECONDS = 20  # between two looks at what works wait for
_MAX_DELIVERIES = 3
_CLAIM_SECONDS = 1.0


class EngineLoop:
    """Reads, computes and answers until told to stop; an unexpected error ends the process."""

    def __init__(self, redis: Redis, engine: Engine, name: str, info: dict[str, Any]) -> None:
        self._redis = redis
        self._mailbox = Mailbox(redis, name)
        self._engine = engine
        self._name = name
        self._info = info
        self._schedule = Schedule()
        self._outgoing = Outgoing()
        self._suspects: deque[Letter] = deque()
        self._survived: set[Entry] = set()
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._pulse = threading.Thread(target=self._announce, name="engine-pulse", daemon=True)
        self._claim_at = 0.0

    def run(self) -> None:
        """Serve requests until ``stop``, and finish what was begun.

        Requests that a former engine of this name left unfinished come first, each by itself.
        """
        self._pulse.start()
        recovered = False
        while not self._stopping.is_set() or self._schedule:
            try:
                if not recovered and not self._schedule:
                    recovered = not self._recover()
                else:
                    self._cycle()
            except ResponseError as error:
                if "NOGROUP" not in str(error) and "no such key" not in str(error):
                    raise
                self._forget_all()  # the answer that failed may have had requests in it, which are ours by now
                recovered = False
            except (RedisConnectionError, RedisTimeoutError, OSError) as error:
                log.warning("engine waits for Redis", error=str(error))
                self._forget_all()
                recovered = False
                self._stopping.wait(0.2)
        self._ended.set()
        with suppress(RedisError, OSError):
            self._mailbox.exchange(self._outgoing, [], {})
            self._mailbox.leave()

    def stop(self) -> None:
        """Finish the requests in hand, then end."""
        self._stopping.set()

    def _recover(self) -> bool:
        """Whether a request was left unfinished, which is then the only one in hand."""
        self._mailbox.create_groups()
        self._mailbox.exchange(self._outgoing, [], {})
        letter = self._mailbox.unfinished()
        if letter is not None:
            self._admit([letter])
        return letter is not None

    def _cycle(self) -> None:
        """Exchange mail, or wait for it when there is nothing to do, and compute one step."""
        ACTIVE.set(len(self._schedule))
        if self._schedule or self._outgoing:
            self._exchange()
        if not self._schedule and self._suspects:
            self._admit([self._suspects.popleft()])
        if self._schedule.only_waits():
            self._wait(_POLL_MILLISECONDS)
        elif not self._schedule and not self._outgoing and not self._stopping.is_set():
            self._wait(_BLOCK_MILLISECONDS)
        if time.monotonic() >= self._claim_at and not self._stopping.is_set():
            self._claim_at = time.monotonic() + _CLAIM_SECONDS
            self._suspects.extend(self._mailbox.claimed())
        if together := self._schedule.next_step(self._engine.models):
            self._step(together)

    def _exchange(self) -> None:
        """Send and receive; long requests that came are looked at once more, since many may have been given up by now.

        A tile of theirs takes a thousand times as long as another exchange.
        """
        came_long = True
        while came_long:
            active = [work.request for work in self._schedule]
            incoming = self._mailbox.exchange(self._outgoing, active, self._room())
            self._drop(incoming.abandoned)
            self._admit(incoming.letters)
            came_long = any(letter.request.priority == "bulk" for letter in incoming.letters)

    def _wait(self, milliseconds: int) -> None:
        """Take in what comes first, not more of either priority than is held of long requests: others may be idle."""
        room = min(self._room().values(), default=0)
        if room > 0:
            self._admit(self._mailbox.wait(milliseconds, room))
        else:
            self._stopping.wait(milliseconds / 1000)

    def _room(self) -> dict[Priority, int]:
        """How many more requests are taken in now: none while one may be at hand that ends engines."""
        if self._stopping.is_set() or self._suspects or any(work.alone for work in self._schedule):
            return {}
        return {
            priority: self._schedule.most(priority) - self._schedule.count(priority) for priority in REQUEST_STREAMS
        }

    def _admit(self, letters: Sequence[Letter]) -> None:
        """Take letters in; one that keeps ending its engines is answered instead."""
        for letter in letters:
            again = letter.deliveries > 1 and letter.entry not in self._survived
            work = Work(letter.request, letter.entry, alone=again)
            if again and letter.deliveries > _MAX_DELIVERIES:
                msg = f"the computation ended the engine {_MAX_DELIVERIES} times and is not tried again"
                self._refuse(work, UnavailableError(msg, reason="COMPUTATION_FAILED"))
            elif time.time() > letter.request.deadline:
                self._refuse(work, _too_late())
            elif self._guarded([work], lambda work=work: work.begin(self._engine)):  # type: ignore[misc]
                self._schedule.add(work)

    def _drop(self, abandoned: set[str]) -> None:
        """Give up what nobody waits for, and what is too late."""
        now = time.time()
        for work in list(self._schedule):
            if work.request.id in abandoned:
                log.debug("nobody waits for a request any more", request=work.request.trace, id=work.request.id)
                ENDED.labels("abandoned").inc()
                self._outgoing.given_up.append(work.request.id)
                self._end(work)
            elif now > work.request.deadline:
                self._schedule.remove(work)
                self._refuse(work, _too_late())

    def _step(self, together: list[Work]) -> None:
        """Compute one tile, or one part of an operation that has none."""
        started, loading = time.perf_counter(), self._engine.models.seconds_loading
        if (operation := together[0].operation) is not None:
            pieces = [work.pieces[0] for work in together]
            _count(together[0].request.operation, pieces)
            parts: list[Part] = []
            done = self._guarded(
                together, lambda: parts.extend(self._engine.run_together(operation, pieces)), shared=True
            )
            self._took(together, started, loading)
            for work, part in zip(together, parts, strict=True) if done else ():
                work.pieces.popleft()
                self._answer(work, part, final=not work.pieces)
        else:
            (work,) = together
            found: list[Part | None] = []
            parts_left = work.parts
            if parts_left is not None and self._guarded(together, lambda: found.append(next(parts_left, _END))):
                self._took(together, started, loading)
                self._next_part(work, found[0])

    def _took(self, works: list[Work], started: float, loading: float) -> None:
        """Note the time of a step, without that of loading a model."""
        loaded = self._engine.models.seconds_loading - loading
        seconds = max(0.0, time.perf_counter() - started - loaded)
        self._schedule.took(works, seconds)
        STEP_SECONDS.labels(works[0].request.operation).observe(seconds)

    def _next_part(self, work: Work, part: Part | None) -> None:
        """Send the part before this one: only now it is known whether it is the last."""
        work.waits = part is None
        if part is None or part is PAUSE:
            self._schedule.step_aside(work)
            return
        if work.held is not None or part is _END:
            self._answer(work, work.held or {}, final=part is _END)
        work.held = part

    def _answer(self, work: Work, part: Part, *, final: bool) -> None:
        """Put a part into the mail; the last one ends the work and tells what it took."""
        body = part | {"compute_seconds": work.compute_seconds} if final else part
        self._outgoing.replies.append(
            (work.request.reply_to, Reply(work.request.id, work.num_sent, final=final, body=body))
        )
        work.num_sent += 1
        if final:
            log.debug(
                "answered",
                request=work.request.trace,
                id=work.request.id,
                operation=work.request.operation,
                compute_seconds=round(work.compute_seconds, 6),
            )
            ENDED.labels("answered").inc()
            self._schedule.learn(work)
            self._end(work)

    def _guarded(self, works: Sequence[Work], action: Callable[[], object], *, shared: bool = False) -> bool:
        """Whether ``action`` went well; else the works are answered with its error.

        Where several share a tile, each is tried again by itself: the fault of one is not that of the others.
        """
        try:
            action()
        except RedisError:
            raise
        except Exception as error:
            if shared and len(works) > 1:
                for work in works:
                    work.alone = True
                return False
            for work in works:
                if work in list(self._schedule):
                    self._schedule.remove(work)
                self._refuse(work, self._told(error, work))
            return False
        return True

    def _told(self, error: Exception, work: Work) -> HelmholtzError:
        """The error as its client may know it."""
        if isinstance(error, HelmholtzError):
            return error
        log.error(
            "operation failed",
            request=work.request.trace,
            id=work.request.id,
            operation=work.request.operation,
            exc_info=error,
        )
        msg = f"the engine failed at operation {work.request.operation!r}; its log has the reason"
        return HelmholtzError(msg)

    def _refuse(self, work: Work, error: HelmholtzError) -> None:
        """Answer with an error; the work is no longer, or not yet, in the schedule."""
        log.info("refused", request=work.request.trace, id=work.request.id, reason=error.reason)
        ENDED.labels(error.reason.lower()).inc()
        reply = Reply(work.request.id, work.num_sent, final=True, error=error_fields(error))
        self._outgoing.replies.append((work.request.reply_to, reply))
        self._outgoing.done.append(work.entry)
        self._close(work)

    def _end(self, work: Work) -> None:
        """The work is done with."""
        self._schedule.remove(work)
        self._outgoing.done.append(work.entry)
        self._close(work)

    def _forget_all(self) -> None:
        """Drop everything in hand: what was not acknowledged comes again, and did not end this engine."""
        self._survived = {work.entry for work in self._schedule}
        for work in self._schedule:
            self._close(work)
        self._schedule.clear()
        self._suspects.clear()
        self._outgoing = Outgoing()

    def _close(self, work: Work) -> None:
        """End what an operation has begun, such as a process that looks for an exact reference."""
        if work.parts is not None:
            work.parts.close()

    def _beat(self) -> None:
        """Write the key that says this engine is alive, then its metrics."""
        value = json.dumps(self._info | {"pid": os.getpid()})
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(ENGINE_KEY + self._name, value, ex=ENGINE_TTL_SECONDS)
        pipeline.expire(OWN_STREAM + self._name, OWN_STREAM_TTL_SECONDS)
        pipeline.execute()
        self._redis.set(ENGINE_METRICS_KEY + self._name, metrics_text(self._engine.models), ex=ENGINE_TTL_SECONDS)

    def _announce(self) -> None:
        """Keep the key that says this engine is alive."""
        while not self._ended.is_set():
            try:
                self._beat()
            except RedisError as error:
                log.debug("engine pulse not written", error=str(error))
            except Exception:  # an engine that computes must not be taken for dead
                log.exception("engine pulse failed")
            self._ended.wait(1)


def _too_late() -> DeadlineExceededError:
    msg = "the deadline passed while the answer was being computed; ask for less, or allow more with Prefer: wait"
    return DeadlineExceededError(msg)


def _count(operation: str, pieces: Sequence[Piece]) -> None:
    """Count a tile, or several that were computed at once."""
    rows, used = batch_rows(pieces), sum(piece.tile.used for piece in pieces)
    TILES.labels(operation, rows).inc()
    REQUESTS_PER_TILE.observe(len(pieces))
    ROWS_USED.inc(used)
    ROWS_PADDED.inc(rows - used)


_END: Part = {"end": "of an answer"}
