"""Requests on their way to the engines: what comes while a round trip is under way goes with the next, together."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from workers.messages import (
    FIELD,
    GATEWAY_TTL_SECONDS,
    OWN_STREAM,
    OWN_STREAM_TTL_SECONDS,
    REQUEST_STREAMS,
    Request,
    encode,
)
from zoo.specs.errors import UnavailableError


@dataclass(frozen=True)
class _Letter:
    """A request on its way, and who waits until it has left."""

    request: Request
    encoded: bytes
    left: asyncio.Future[None]


class Outbox:
    """Sends requests; with each round trip it writes ``news()``, too, under the key that says this gateway is there."""

    def __init__(self, redis: Redis, key: str, news: Callable[[], str]) -> None:
        self._redis = redis
        self._key = key
        self._news = news
        self._letters: list[_Letter] = []
        self._sending: asyncio.Task[None] | None = None

    @property
    def tasks(self) -> tuple[asyncio.Task[None], ...]:
        """The task that sends, where there is one."""
        return () if self._sending is None else (self._sending,)

    async def send(self, request: Request) -> None:
        """Send a request; one that cannot travel harms none that would go with it.

        Raises:
            UnavailableError: Redis is away.
        """
        letter = _Letter(request, encode(request), asyncio.get_running_loop().create_future())
        self._letters.append(letter)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_all(), name="request-sender")
        await letter.left

    async def _send_all(self) -> None:
        while self._letters:
            letters, self._letters = self._letters, []
            waiting = [letter for letter in letters if not letter.left.done()]  # who has gone is not asked for
            try:
                await self._put(waiting)
            except (RedisError, OSError):
                _settle(waiting, redis_away())
            except BaseException:
                _settle(waiting, redis_away())
                raise
            else:
                _settle(waiting)

    async def _put(self, letters: Sequence[_Letter]) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.set(self._key, self._news(), ex=GATEWAY_TTL_SECONDS)
            for letter in letters:
                request = letter.request
                stream = OWN_STREAM + request.engine if request.engine else REQUEST_STREAMS[request.priority]
                pipeline.xadd(stream, {FIELD: letter.encoded})
                if request.engine:
                    pipeline.expire(stream, OWN_STREAM_TTL_SECONDS)  # should that engine never come back
            await pipeline.execute()


def redis_away() -> UnavailableError:
    """What is answered while Redis is away."""
    return UnavailableError("Redis does not answer, so no engine can be asked; try again", reason="REDIS_UNAVAILABLE")


def _settle(letters: Sequence[_Letter], error: UnavailableError | None = None) -> None:
    """Tell everybody whose request was sent, or was not."""
    for letter in letters:
        if letter.left.done():
            continue
        if error is None:
            letter.left.set_result(None)
        else:
            letter.left.set_exception(error)
