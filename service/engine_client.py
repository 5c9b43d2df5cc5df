"""The gateway's side of the streams: questions to the engines, answers back to whoever waits for them."""

import asyncio
import contextlib
import math
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import structlog
from prometheus_client import Histogram
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.admission import Admission, AdmissionLimits, Backlog, Ticket
from service.costs import CostModel, num_rows
from service.metrics import METRICS
from service.outbox import Outbox, redis_away
from service.response_cache import ResponseCache
from service.use_cases.off_the_loop import off_the_loop
from service.wishes import WISHES, Wishes, new_id
from workers.messages import (
    CANCEL_KEY,
    ENGINE_KEY,
    ENGINE_METRICS_KEY,
    FIELD,
    GATEWAY_KEY,
    GATEWAY_TTL_SECONDS,
    Reply,
    Request,
    decode_reply,
    error_from_fields,
)
from zoo.specs.errors import DeadlineExceededError, UnavailableError

log = structlog.get_logger()

QUEUED = Histogram("helmholtz_queue_seconds", "Time of an answer beside its computing", registry=METRICS)
COMPUTED = Histogram("helmholtz_compute_seconds", "Computing time of an answer", ("operation",), registry=METRICS)

_BLOCK_MILLISECONDS = 2000
_LOOK_SECONDS = 0.5
_CANCEL_GRACE_SECONDS = 5.0  # after the deadline, when nobody computes the answer any more
_KEYS_AT_A_TIME = 1000
_GRACE_SECONDS = 0.5  # an engine that notices the deadline itself has the better message

Part = dict[str, Any]


@dataclass
class _Waiting:
    """A request whose answer is not complete; parts that came twice are dropped by their number.

    ``arrived`` is told of every part when it comes, however slowly they are taken.  ``life`` is that of the Redis to
    which the request was sent; None before it was.
    """

    request: Request
    arrived: Callable[[Reply], None] = lambda reply: None
    parts: asyncio.Queue[Reply] = field(default_factory=asyncio.Queue)
    next_part: int = 0
    since: float = field(default_factory=time.monotonic)
    life: str | None = None
    is_doubled: bool = False


class EngineClient:
    """One reply stream for this gateway, one task that reads it.

    What a Redis that has ended took with it is sent again to the next: an answer is a pure function of its request.
    """

    def __init__(self, redis: Redis, admission: Admission | None = None, cache: ResponseCache | None = None) -> None:
        self._redis = redis
        self.admission = admission or Admission(AdmissionLimits(backlog_seconds=10.0, caller_share=1.0))
        self.costs = CostModel()
        self._cache = cache or ResponseCache(0)
        self._reply_stream = f"helmholtz:replies:{uuid.uuid4().hex}"
        self._waiting: dict[str, _Waiting] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._connected = True
        self._redis_life = ""
        self._somebody_waits = asyncio.Event()
        self._outbox = Outbox(redis, GATEWAY_KEY + self._reply_stream, self._own_backlog)

    async def start(self, when_broken: Callable[[], object] = lambda: None) -> None:
        """Begin to read replies; ``when_broken`` is called should that ever fail: nobody would be answered any more."""
        self._tasks = [
            asyncio.create_task(self._read_replies(), name="reply-reader"),
            asyncio.create_task(self._look_around(), name="backlog-sharer"),
        ]
        for task in self._tasks:
            task.add_done_callback(lambda task: _tell_if_broken(task, when_broken))

    async def close(self) -> None:
        """Stop reading and disconnect."""
        tasks = [*self._tasks, *self._outbox.tasks]
        while running := {task for task in tasks if not task.done()}:
            for task in running:
                task.cancel()  # again, when a command of Redis that was just ending has swallowed it
            await asyncio.wait(running, timeout=0.1)
        with contextlib.suppress(RedisError, OSError):
            await self._redis.delete(self._reply_stream, GATEWAY_KEY + self._reply_stream)
        await self._redis.aclose()

    async def ask(self, operation: str, payload: Part, seconds: float) -> AsyncGenerator[Part, None]:
        """The parts of the answer in order, the last with ``compute_seconds``; leaving the iterator early cancels.

        Raises:
            UnavailableError: Redis is away, no engine is alive, or the backlog is full.
            ShareExceededError: the caller's share of the backlog is used up.
            DeadlineExceededError: no complete answer within ``seconds``.
            HelmholtzError: whatever the engine raised.
        """
        wishes, key = WISHES.get(), None
        if wishes.use_cache and self._cache.keeps(operation):
            key = await off_the_loop(_bytes_in(payload), self._cache.key, operation, payload)
            if (known := self._cache.get(key)) is not None:
                for part in known:
                    yield part
                return
        parts: list[Part] = []
        async with contextlib.aclosing(self._admitted(operation, payload, seconds, wishes)) as answer:
            async for part in answer:
                if key is not None:
                    parts.append(part)
                yield part
        if key is not None:
            self._cache.put(key, parts)

    async def _admitted(
        self, operation: str, payload: Part, seconds: float, wishes: Wishes
    ) -> AsyncGenerator[Part, None]:
        """The parts of the answer, whose cost has its place in the backlog until they have come."""
        self._somebody_waits.set()  # also one that is refused: by what waits elsewhere, say, which may be old news
        cost = self.costs.seconds(operation, payload)
        with self.admission.admit(cost, seconds, wishes.caller) as ticket:
            request = Request(
                new_id(),
                self._reply_stream,
                time.time() + seconds,
                operation,
                payload,
                ticket.priority,
                wishes.trace,
            )
            accounts = _Accounts(self, ticket, request)
            try:
                async with contextlib.aclosing(self._asked(request, seconds, accounts)) as answer:
                    async for part in answer:
                        yield part
            except DeadlineExceededError:
                self.admission.learn(ticket, seconds)
                raise

    async def ask_every_engine(self, operation: str, payload: Part, seconds: float) -> list[Part]:
        """The last part of each living engine's answer; they are asked side by side, whatever else waits.

        Raises:
            UnavailableError: Redis is away, or no engine is alive.
            DeadlineExceededError: one did not answer within ``seconds``.
            HelmholtzError: whatever an engine raised.
        """
        names = await self.engines()
        if not names:
            raise _no_engine()
        return list(await asyncio.gather(*(self._ask_one(name, operation, payload, seconds) for name in names)))

    async def _ask_one(self, engine: str, operation: str, payload: Part, seconds: float) -> Part:
        deadline, trace = time.time() + seconds, WISHES.get().trace
        request = Request(new_id(), self._reply_stream, deadline, operation, payload, trace=trace, engine=engine)
        async with contextlib.aclosing(self._asked(request, seconds)) as answer:
            parts = [part async for part in answer]
        return parts[-1]

    async def _asked(
        self, request: Request, seconds: float, arrived: Callable[[Reply], None] = lambda reply: None
    ) -> AsyncGenerator[Part, None]:
        """The parts of the answer, from an engine."""
        waiting, answered = _Waiting(request, arrived), False
        self._waiting[request.id] = waiting
        self._somebody_waits.set()
        try:
            await self._outbox.send(request)
            waiting.life = self._redis_life
            while not answered:
                reply = await self._next_reply(waiting, seconds)
                answered = reply.final
                if reply.error is not None:
                    raise error_from_fields(reply.error)
                yield reply.body
        finally:
            del self._waiting[request.id]
            if not answered or waiting.is_doubled:  # nobody waits for the second answer
                await self._cancel(request)

    async def engines(self) -> list[str]:
        """Names of the engines that are alive.

        Raises:
            UnavailableError: Redis is away.
        """
        try:
            keys = await self._keys(ENGINE_KEY)
        except (RedisError, OSError) as error:
            raise redis_away() from error
        return sorted(key.decode().removeprefix(ENGINE_KEY) for key in keys)

    async def engine_descriptions(self) -> list[bytes | str]:
        """What the living engines say of themselves, as JSON.

        Raises:
            UnavailableError: Redis is away.
        """
        try:
            keys = await self._keys(ENGINE_KEY)
            values = await self._redis.mget(keys) if keys else []
        except (RedisError, OSError) as error:
            raise redis_away() from error
        return [value for value in values if value is not None]

    async def engine_metrics(self) -> dict[str, str]:
        """The metrics of the living engines by their names; none while Redis is away."""
        try:
            keys = await self._keys(ENGINE_METRICS_KEY)
            values = await self._redis.mget(keys) if keys else []
        except (RedisError, OSError):
            return {}
        return {
            key.decode().removeprefix(ENGINE_METRICS_KEY): bytes(value).decode()
            for key, value in zip(keys, values, strict=True)
            if isinstance(value, bytes)
        }

    async def _next_reply(self, waiting: _Waiting, seconds: float) -> Reply:
        """The next part of the answer; the time that the asker spends on the parts before does not count as silence."""
        left = waiting.request.deadline + _GRACE_SECONDS - time.time()
        try:
            if left <= 0:
                return waiting.parts.get_nowait()
            return await asyncio.wait_for(waiting.parts.get(), left)
        except (TimeoutError, asyncio.QueueEmpty):
            raise await self._why_late(waiting.request.operation, seconds) from None

    async def _cancel(self, request: Request) -> None:
        with contextlib.suppress(RedisError, OSError):
            left = max(0.0, request.deadline - time.time()) + _CANCEL_GRACE_SECONDS
            await self._redis.set(CANCEL_KEY + request.id, b"1", px=math.ceil(1000 * left))

    async def _keys(self, prefix: str) -> list[bytes]:
        return [key async for key in self._redis.scan_iter(match=f"{prefix}*", count=_KEYS_AT_A_TIME)]

    async def _why_late(self, operation: str, seconds: float) -> UnavailableError | DeadlineExceededError:
        if not await self.engines():
            return _no_engine()
        msg = (
            f"{operation} was not finished within {seconds:g} s; ask for fewer samples, "
            "or allow more time with the header `Prefer: wait=N` (seconds, at most 300)"
        )
        return DeadlineExceededError(msg)

    async def _look_around(self) -> None:
        """While somebody waits: say so, and learn how many engines there are and what waits at other gateways."""
        while True:
            await self._somebody_waits.wait()
            if not self._waiting:
                self._somebody_waits.clear()
            with contextlib.suppress(RedisError, OSError, UnavailableError):
                await self._redis.set(GATEWAY_KEY + self._reply_stream, self._own_backlog(), ex=GATEWAY_TTL_SECONDS)
                self.admission.num_engines = max(1, len(await self.engines()))
                self.admission.elsewhere = await self._backlog_elsewhere()
            await asyncio.sleep(_LOOK_SECONDS)

    def _own_backlog(self) -> str:
        own = self.admission.own
        return f"{own.interactive:.6f} {own.bulk:.6f}"

    async def _backlog_elsewhere(self) -> Backlog:
        """What other gateways have let in."""
        mine = GATEWAY_KEY + self._reply_stream
        keys = [key for key in await self._keys(GATEWAY_KEY) if key.decode() != mine]
        values = await self._redis.mget(keys) if keys else []
        parts = [_numbers(value) for value in values if value is not None]
        return Backlog(sum(part[0] for part in parts), sum(part[1] for part in parts))

    async def _read_replies(self) -> None:
        """Read for ever; after a lost connection, send again what was lost with it."""
        position: bytes | str = "0"
        while True:
            try:
                if not self._connected or not self._redis_life:
                    await self._recover()
                    self._connected, position = True, "0"
                position = await self._read_some(position)
            except (RedisError, OSError, UnavailableError) as error:
                if self._connected:
                    log.warning("Redis is away", error=str(error))
                self._connected = False
                await asyncio.sleep(0.1)

    async def _recover(self) -> None:
        """Send again what was sent to a Redis that has ended; the one that we had a connection to has it still."""
        self._redis_life = str((await self._redis.info("server"))["run_id"])
        for waiting in [waiting for waiting in self._waiting.values() if waiting.life is not None]:
            if waiting.life not in {"", self._redis_life} and waiting.request.id in self._waiting:
                await self._outbox.send(waiting.request)
                waiting.is_doubled = True
            waiting.life = self._redis_life

    async def _read_some(self, position: bytes | str) -> bytes | str:
        answer: Any = await self._redis.xread({self._reply_stream: position}, block=_BLOCK_MILLISECONDS)
        if not answer:
            return position
        entries = answer[0][1]
        for entry_id, fields in entries:
            try:
                self._deliver(decode_reply(fields[FIELD]))
            except Exception:  # of an engine of another release, say: those who wait for others go on
                log.exception("a reply could not be read", entry=entry_id)
            position = entry_id
        await self._redis.xdel(self._reply_stream, *(entry_id for entry_id, _ in entries))
        return position

    def _deliver(self, reply: Reply) -> None:
        waiting = self._waiting.get(reply.id)
        if waiting is None:
            return
        if reply.error is None and reply.part != waiting.next_part:
            return  # a part that came before: the request was computed twice
        waiting.next_part = reply.part + 1
        waiting.parts.put_nowait(reply)
        if reply.final and reply.error is None:
            computed = reply.body["compute_seconds"]
            QUEUED.observe(max(0.0, time.monotonic() - waiting.since - computed))
            COMPUTED.labels(waiting.request.operation).observe(computed)
        waiting.arrived(reply)


class _Accounts:
    """What the parts of an answer say of its cost, noted when they arrive and not when a slow reader takes them."""

    def __init__(self, client: EngineClient, ticket: Ticket, request: Request) -> None:
        self._client, self._ticket, self._request = client, ticket, request
        self._total, self._done = max(num_rows(request.operation, request.payload), 1), 0
        self._began = time.monotonic()

    def __call__(self, reply: Reply) -> None:
        """Note a part."""
        if reply.error is not None:
            return
        admission = self._client.admission
        self._done += _rows_in(reply.body)
        told = reply.body.get("progress", {}).get("fraction", 0.0)  # where the parts have no rows
        admission.progress(self._ticket, 1.0 if reply.final else min(max(self._done / self._total, told), 1.0))
        if reply.final:
            admission.learn(self._ticket, time.monotonic() - self._began)
            self._client.costs.learn(self._request.operation, self._request.payload, reply.body["compute_seconds"])


def _tell_if_broken(task: asyncio.Task[None], when_broken: Callable[[], object]) -> None:
    """Call ``when_broken`` when a task that runs for ever ended otherwise than by being cancelled."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("a task of the gateway failed", task=task.get_name(), exc_info=error)
        when_broken()


def _numbers(told: bytes | str) -> tuple[float, float]:
    """What another gateway tells of its backlog; nothing where it speaks another language."""
    try:
        interactive, bulk = (float(part) for part in told.split())
    except ValueError:
        return 0.0, 0.0
    return interactive, bulk


def _rows_in(part: Part) -> int:
    """How many rows a part of an answer has: its arrays have one entry for each."""
    return next((len(value) for value in part.values() if isinstance(value, np.ndarray)), 0)


def _bytes_in(payload: Part) -> int:
    """Bytes of the arrays in a question."""
    return sum(value.nbytes for value in payload.values() if isinstance(value, np.ndarray))


def _no_engine() -> UnavailableError:
    return UnavailableError("no inference engine is alive; it is being started again", retry_after_seconds=3)
