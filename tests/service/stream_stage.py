"""A gateway's side of the streams over a real Redis, and what a test plays the engine with."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from service.engine_client import EngineClient
from service.response_cache import ResponseCache
from tests.workers.redis_server import RedisServer
from workers.messages import FIELD, REQUEST_STREAM, Reply, Request, decode_request, encode

Scene = Callable[[EngineClient, Redis], Awaitable[Any]]


def play(server: RedisServer, scene: Scene, cache: ResponseCache | None = None) -> Any:  # noqa: ANN401 - whatever the scene returns
    """Run a scene with a client that reads its replies and a connection for the engine's part."""

    async def run() -> object:
        client, redis = EngineClient(Redis.from_url(server.url), cache=cache), Redis.from_url(server.url)
        await client.start()
        try:
            return await asyncio.wait_for(scene(client, redis), 20)
        finally:
            await client.close()
            await redis.aclose()

    return asyncio.run(run())


async def requests(redis: Redis) -> AsyncIterator[Request]:
    """The requests in the order in which an engine would read them, for ever."""
    position: Any = "0"
    while True:
        with contextlib.suppress(RedisConnectionError, OSError):
            answer: Any = await redis.xread({REQUEST_STREAM: position}, block=50)
            for entry_id, fields in answer[0][1] if answer else []:
                position = entry_id
                yield decode_request(fields[FIELD])
            continue
        position = "0"
        await asyncio.sleep(0.02)


async def reply(redis: Redis, request: Request, *numbers: int, last: int | None = None) -> None:
    """Answer with these parts; ``last`` is the final one."""
    for number in numbers:
        part = Reply(request.id, number, final=number == last, body={"number": number, "compute_seconds": 0.001})
        await redis.xadd(request.reply_to, {FIELD: encode(part)})


async def collect(client: EngineClient, seconds: float = 10) -> list[int]:
    """The numbers of the parts of an answer."""
    return [part["number"] async for part in client.ask("tick", {}, seconds)]
