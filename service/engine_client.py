"""The gateway's side of the streams: questions to the engines, answers back to whoever waits for them."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from workers.messages import (
    CANCEL_KEY,
    ENGINE_KEY,
    FIELD,
    GATEWAY_KEY,
    GATEWAY_TTL_SECONDS,
    REQUEST_STREAMS,
    Priority,
    Reply,
    Request,
    decode_reply,
    encode,
    error_from_fields,
)
from zoo.specs.errors import DeadlineExceededError, UnavailableError

log = structlog.get_logger()

_BLOCK_MILLISECONDS = 2000
_CANCEL_TTL_SECONDS = 600
_GRACE_SECONDS = 0.5  # an engine that notices the deadline itself has the better message

Part = dict[str, Any]


@dataclass
class _Waiting:
    """A request whose answer is not complete; parts that came twice are dropped by their number."""

    request: Request
    parts: asyncio.Queue[Reply] = field(default_factory=asyncio.Queue)
    next_part: int = 0


class EngineClient:
    """One reply stream for this gateway, one task that reads it.

    After a loss of Redis every unanswered request is sent again: an answer is a pure function of its request.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._reply_stream = f"helmholtz:replies:{uuid.uuid4().hex}"
        self._waiting: dict[str, _Waiting] = {}
        self._reader: asyncio.Task[None] | None = None
        self._connected = True
        self._present_until = 0.0

    async def start(self) -> None:
        """Begin to read replies."""
        self._reader = asyncio.create_task(self._read_replies(), name="reply-reader")

    async def close(self) -> None:
        """Stop reading and disconnect."""
        while self._reader is not None and not self._reader.done():
            self._reader.cancel()  # again, when a command of Redis that was just ending has swallowed it
            await asyncio.wait({self._reader}, timeout=0.1)
        with contextlib.suppress(RedisError, OSError):
            await self._redis.delete(self._reply_stream, GATEWAY_KEY + self._reply_stream)
        await self._redis.aclose()

    async def ask(
        self, operation: str, payload: Part, seconds: float, priority: Priority = "interactive"
    ) -> AsyncIterator[Part]:
        """The parts of the answer in order, the last with ``compute_seconds``; leaving the iterator early cancels.

        Raises:
            UnavailableError: Redis is away, or no engine is alive.
            DeadlineExceededError: no complete answer within ``seconds``.
            HelmholtzError: whatever the engine raised.
        """
        request = Request(uuid.uuid4().hex, self._reply_stream, time.time() + seconds, operation, payload, priority)
        waiting = _Waiting(request)
        self._waiting[request.id] = waiting
        complete = False
        try:
            await self._send(request)
            while not complete:
                reply = await self._next_reply(waiting, seconds)
                complete = reply.final
                if reply.error is not None:
                    raise error_from_fields(reply.error)
                yield reply.body
        finally:
            del self._waiting[request.id]
            if not complete:
                await self._cancel(request)

    async def engines(self) -> list[str]:
        """Names of the engines that are alive.

        Raises:
            UnavailableError: Redis is away.
        """
        try:
            keys = [key async for key in self._redis.scan_iter(match=f"{ENGINE_KEY}*")]
        except (RedisError, OSError) as error:
            raise _redis_away() from error
        return sorted(key.decode().removeprefix(ENGINE_KEY) for key in keys)

    async def engine_descriptions(self) -> list[bytes | str]:
        """What the living engines say of themselves, as JSON.

        Raises:
            UnavailableError: Redis is away.
        """
        try:
            keys = [key async for key in self._redis.scan_iter(match=f"{ENGINE_KEY}*")]
            values = await self._redis.mget(keys) if keys else []
        except (RedisError, OSError) as error:
            raise _redis_away() from error
        return [value for value in values if value is not None]

    async def _next_reply(self, waiting: _Waiting, seconds: float) -> Reply:
        """The next part of the answer; the time that the asker spends on the parts before does not count as silence."""
        left = waiting.request.deadline + _GRACE_SECONDS - time.time()
        try:
            if left <= 0:
                return waiting.parts.get_nowait()
            return await asyncio.wait_for(waiting.parts.get(), left)
        except (TimeoutError, asyncio.QueueEmpty):
            raise await self._why_late(waiting.request.operation, seconds) from None

    async def _send(self, request: Request) -> None:
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.set(GATEWAY_KEY + self._reply_stream, b"1", ex=GATEWAY_TTL_SECONDS)
                pipeline.xadd(REQUEST_STREAMS[request.priority], {FIELD: encode(request)})
                await pipeline.execute()
        except (RedisError, OSError) as error:
            self._connected = False
            raise _redis_away() from error

    async def _cancel(self, request: Request) -> None:
        with contextlib.suppress(RedisError, OSError):
            await self._redis.set(CANCEL_KEY + request.id, b"1", ex=_CANCEL_TTL_SECONDS)

    async def _why_late(self, operation: str, seconds: float) -> UnavailableError | DeadlineExceededError:
        if not await self.engines():
            return UnavailableError("no inference engine is alive; it is being started again", retry_after_seconds=3)
        msg = (
            f"{operation} was not finished within {seconds:g} s; ask for fewer samples, "
            "or allow more time with the header `Prefer: wait=N` (seconds, at most 300)"
        )
        return DeadlineExceededError(msg)

    async def _read_replies(self) -> None:
        """Read for ever; after a lost connection, send again what is unanswered."""
        position: bytes | str = "0"
        while True:
            try:
                if not self._connected:
                    await self._redis.ping()
                    self._connected = True
                    for waiting in list(self._waiting.values()):
                        await self._send(waiting.request)
                    position = "0"
                position = await self._read_some(position)
            except (RedisError, OSError, UnavailableError) as error:
                if self._connected:
                    log.warning("Redis is away", error=str(error))
                self._connected = False
                await asyncio.sleep(0.1)

    async def _read_some(self, position: bytes | str) -> bytes | str:
        if self._waiting and time.monotonic() > self._present_until - GATEWAY_TTL_SECONDS / 2:
            await self._redis.set(GATEWAY_KEY + self._reply_stream, b"1", ex=GATEWAY_TTL_SECONDS)
            self._present_until = time.monotonic() + GATEWAY_TTL_SECONDS
        answer: Any = await self._redis.xread({self._reply_stream: position}, block=_BLOCK_MILLISECONDS)
        if not answer:
            return position
        entries = answer[0][1]
        for entry_id, fields in entries:
            self._deliver(decode_reply(fields[FIELD]))
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


def _redis_away() -> UnavailableError:
    return UnavailableError("Redis does not answer, so no engine can be asked; try again", reason="REDIS_UNAVAILABLE")
