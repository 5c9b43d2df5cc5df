"""The gateway's side of the streams, against a real Redis and an engine that does as it is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from service import engine_client
from service.engine_client import EngineClient
from tests.workers.redis_server import RedisServer
from workers.messages import (
    CANCEL_KEY,
    ENGINE_KEY,
    FIELD,
    OWN_STREAM,
    REQUEST_STREAM,
    Reply,
    Request,
    decode_request,
    encode,
    error_fields,
)
from zoo.specs.errors import DeadlineExceededError, NotFoundError, UnavailableError

Scene = Callable[[EngineClient, Redis], Awaitable[Any]]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    running = RedisServer()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def _fresh(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_client, "_BLOCK_MILLISECONDS", 50)
    monkeypatch.setattr(engine_client, "_GRACE_SECONDS", 0.1)
    with server.client() as client:
        client.flushall()


def play(server: RedisServer, scene: Scene) -> Any:  # noqa: ANN401 - whatever the scene returns
    """Run a scene with a client that reads its replies and a connection for the engine's part."""

    async def run() -> object:
        client, redis = EngineClient(Redis.from_url(server.url)), Redis.from_url(server.url)
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
    return [part["number"] async for part in client.ask("tick", {}, seconds)]


def test_parts_come_in_order(server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> list[int]:
        asking = asyncio.create_task(collect(client))
        request = await anext(requests(redis))
        assert (request.operation, request.payload) == ("tick", {})
        await reply(redis, request, 0, 1, 2, last=2)
        found = await asking
        assert client._waiting == {}
        assert not await redis.exists(CANCEL_KEY + request.id)
        return found

    assert play(server, scene) == [0, 1, 2]


def test_answers_find_who_asked(server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> None:
        asking = [asyncio.create_task(collect(client)) for _ in range(3)]
        reading = requests(redis)
        for request in reversed([await anext(reading) for _ in asking]):
            await reply(redis, request, 0, last=0)
        assert await asyncio.gather(*asking) == [[0], [0], [0]]

    play(server, scene)


def test_parts_that_come_twice_are_dropped(server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> list[int]:
        asking = asyncio.create_task(collect(client))
        request = await anext(requests(redis))
        await reply(redis, request, 0, 0, 1, 0, 1, 2, 2, 3, last=3)
        await reply(redis, request, 2, 3, last=3)  # nobody waits any more
        return await asking

    assert play(server, scene) == [0, 1, 2, 3]


def test_a_slow_reader_holds_no_backlog_and_teaches_no_pace(server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> None:
        client.admission.pace["interactive"] = 1.0
        answer = client.ask("tick", {}, 10)
        first = asyncio.ensure_future(anext(answer))
        request = await anext(requests(redis))
        assert client.admission.own.interactive > 0
        await reply(redis, request, 0, 1, 2, last=2)
        await first
        await asyncio.sleep(0.2)
        assert client.admission.own.interactive == 0
        assert [part["number"] async for part in answer] == [1, 2]
        assert client.admission.pace["interactive"] == 1.0

    play(server, scene)


def test_a_free_energy_frees_its_part_with_its_progress(server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> None:
        answer = client.ask("free_energy", {"model": "m", "version": 1, "n": 10}, 10)
        first = asyncio.ensure_future(anext(answer))
        request = await anext(requests(redis))
        before = client.admission.own.interactive
        body = {"progress": {"num_samples": 9, "fraction": 0.9}}
        await redis.xadd(request.reply_to, {FIELD: encode(Reply(request.id, 0, final=False, body=body))})
        await first
        assert client.admission.own.interactive == pytest.approx(before / 10)
        await reply(redis, request, 1, last=1)
        assert len([part async for part in answer]) == 1

    play(server, scene)


def test_a_stream_that_is_left_is_cancelled_at_once_for_as_long_as_it_could_run(server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> None:
        answer = client.ask("tick", {}, 10)
        first = asyncio.ensure_future(anext(answer))
        request = await anext(requests(redis))
        await reply(redis, request, 0)
        await first
        await answer.aclose()
        assert client._waiting == {}
        assert 10 < await redis.ttl(CANCEL_KEY + request.id) <= 15

    play(server, scene)


def test_a_reply_that_cannot_be_read_harms_no_other(server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> list[int]:
        asking = asyncio.create_task(collect(client))
        request = await anext(requests(redis))
        await redis.xadd(request.reply_to, {FIELD: b"\x81\xa3new\x01"})
        await reply(redis, request, 0, last=0)
        return await asking

    assert play(server, scene) == [0]


def test_the_engines_error_is_raised_again(server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> None:
        asking = asyncio.create_task(collect(client))
        request = await anext(requests(redis))
        fields = error_fields(NotFoundError("no such version", reason="GONE"))
        await redis.xadd(request.reply_to, {FIELD: encode(Reply(request.id, 0, final=True, error=fields))})
        with pytest.raises(NotFoundError, match="no such version") as caught:
            await asking
        assert caught.value.reason == "GONE"

    play(server, scene)


def test_every_engine_is_asked_by_name(server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> list[Any]:
        for name in ("one", "two"):
            await redis.set(ENGINE_KEY + name, "{}")
        asking = asyncio.create_task(client.ask_every_engine("warm", {"model": "m", "version": 1}, 5))
        for number, name in enumerate(("two", "one")):
            while not (entries := await redis.xrange(OWN_STREAM + name)):
                await asyncio.sleep(0.01)
            fields: Any = entries[0][1]
            await reply(redis, decode_request(fields[FIELD]), 0, last=0) if number else await reply(
                redis, decode_request(fields[FIELD]), 0, 1, last=1
            )
            assert await redis.ttl(OWN_STREAM + name) > 0
        return [part["number"] for part in await asking]

    assert play(server, scene) == [0, 1]


def test_no_engine_to_be_asked_is_told(server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> None:
        with pytest.raises(UnavailableError, match="no inference engine is alive"):
            await client.ask_every_engine("warm", {}, 5)

    play(server, scene)


def test_leaving_early_cancels(server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> bool:
        asking = asyncio.create_task(collect(client))
        request = await anext(requests(redis))
        await reply(redis, request, 0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert client._waiting == {}
        return bool(await redis.exists(CANCEL_KEY + request.id))

    assert play(server, scene) is True


@pytest.mark.parametrize(("alive", "expected"), [(True, DeadlineExceededError), (False, UnavailableError)])
def test_a_late_answer_says_whose_fault_it_is(server: RedisServer, *, alive: bool, expected: type[Exception]) -> None:
    async def scene(client: EngineClient, redis: Redis) -> bool:
        if alive:
            await redis.set(f"{ENGINE_KEY}one", "{}")
        with pytest.raises(expected):
            await collect(client, 0.1)
        request = await anext(requests(redis))
        return bool(await redis.exists(CANCEL_KEY + request.id))

    assert play(server, scene) is True


def test_an_unanswered_request_is_sent_again_after_a_loss(server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> list[int]:
        asking = asyncio.create_task(collect(client))
        first = await anext(requests(redis))
        await reply(redis, first, 0)
        await asyncio.sleep(0.1)
        server.kill()
        await asyncio.sleep(0.2)
        server.start()
        again = await anext(requests(redis))
        assert again == first
        await reply(redis, again, 0, 1, last=1)
        return await asking

    assert play(server, scene) == [0, 1]


def test_a_loss_while_sending_again_does_not_end_the_reader(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(client: EngineClient, redis: Redis) -> list[int]:
        asking = asyncio.create_task(collect(client))
        reading = requests(redis)
        await anext(reading)
        failures = iter([True, True, False])
        send = client._redis.xadd

        async def failing(*arguments: Any) -> Any:  # noqa: ANN401
            if next(failures, False):
                msg = "planted"
                raise RedisConnectionError(msg)
            return await send(*arguments)

        monkeypatch.setattr(client._redis, "xadd", failing)
        client._connected = False
        await reply(redis, await anext(reading), 0, last=0)
        return await asking

    assert play(server, scene) == [0]


def test_without_redis_nothing_is_asked(server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> None:
        with pytest.raises(UnavailableError) as caught:
            await collect(client)
        assert caught.value.reason == "REDIS_UNAVAILABLE"
        with pytest.raises(UnavailableError):
            await client.engines()
        assert client._waiting == {}

    server.kill()
    try:
        play(server, scene)
    finally:
        server.start()


def test_the_living_engines_are_known_by_name(server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> list[str]:
        for name in ("two", "one"):
            await redis.set(ENGINE_KEY + name, f'{{"name": "{name}"}}')
        assert sorted(await client.engine_descriptions()) == [b'{"name": "one"}', b'{"name": "two"}']
        return await client.engines()

    assert play(server, scene) == ["one", "two"]


def test_closing_leaves_no_stream_behind(server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> None:
        asking = asyncio.create_task(collect(client))
        await reply(redis, await anext(requests(redis)), 0, last=0)
        await asking

    play(server, scene)
    with server.client() as client:
        assert list(client.scan_iter("helmholtz:replies:*")) == []
