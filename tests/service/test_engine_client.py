"""The gateway's side of the streams, against a real Redis and an engine that does as it is told."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from service.engine_client import EngineClient
from service.outbox import redis_away
from tests.service.stream_stage import collect, play, reply, requests
from tests.workers.redis_server import RedisServer
from workers.messages import (
    CANCEL_KEY,
    ENGINE_KEY,
    FIELD,
    OWN_STREAM,
    Reply,
    Request,
    decode_request,
    encode,
    error_fields,
)
from zoo.specs.errors import DeadlineExceededError, NotFoundError, UnavailableError


def test_parts_come_in_order(redis_server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> list[int]:
        asking = asyncio.create_task(collect(client))
        request = await anext(requests(redis))
        assert (request.operation, request.payload) == ("tick", {})
        await reply(redis, request, 0, 1, 2, last=2)
        found = await asking
        assert client._waiting == {}
        assert not await redis.exists(CANCEL_KEY + request.id)
        return found

    assert play(redis_server, scene) == [0, 1, 2]


def test_answers_find_who_asked(redis_server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> None:
        asking = [asyncio.create_task(collect(client)) for _ in range(3)]
        reading = requests(redis)
        for request in reversed([await anext(reading) for _ in asking]):
            await reply(redis, request, 0, last=0)
        assert await asyncio.gather(*asking) == [[0], [0], [0]]

    play(redis_server, scene)


def test_parts_that_come_twice_are_dropped(redis_server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> list[int]:
        asking = asyncio.create_task(collect(client))
        request = await anext(requests(redis))
        await reply(redis, request, 0, 0, 1, 0, 1, 2, 2, 3, last=3)
        await reply(redis, request, 2, 3, last=3)  # nobody waits any more
        return await asking

    assert play(redis_server, scene) == [0, 1, 2, 3]


def test_a_slow_reader_holds_no_backlog_and_teaches_no_pace(redis_server: RedisServer) -> None:
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

    play(redis_server, scene)


def test_a_free_energy_frees_its_part_with_its_progress(redis_server: RedisServer) -> None:
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

    play(redis_server, scene)


def test_a_stream_that_is_left_is_cancelled_at_once_for_as_long_as_it_could_run(redis_server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> None:
        answer = client.ask("tick", {}, 10)
        first = asyncio.ensure_future(anext(answer))
        request = await anext(requests(redis))
        await reply(redis, request, 0)
        await first
        await answer.aclose()
        assert client._waiting == {}
        assert 10 < await redis.ttl(CANCEL_KEY + request.id) <= 15

    play(redis_server, scene)


def test_a_reply_that_cannot_be_read_harms_no_other(redis_server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> list[int]:
        asking = asyncio.create_task(collect(client))
        request = await anext(requests(redis))
        await redis.xadd(request.reply_to, {FIELD: b"\x81\xa3new\x01"})
        await reply(redis, request, 0, last=0)
        return await asking

    assert play(redis_server, scene) == [0]


def test_the_engines_error_is_raised_again(redis_server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> None:
        asking = asyncio.create_task(collect(client))
        request = await anext(requests(redis))
        fields = error_fields(NotFoundError("no such version", reason="GONE"))
        await redis.xadd(request.reply_to, {FIELD: encode(Reply(request.id, 0, final=True, error=fields))})
        with pytest.raises(NotFoundError, match="no such version") as caught:
            await asking
        assert caught.value.reason == "GONE"

    play(redis_server, scene)


def test_every_engine_is_asked_by_name(redis_server: RedisServer) -> None:
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

    assert play(redis_server, scene) == [0, 1]


def test_no_engine_to_be_asked_is_told(redis_server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> None:
        with pytest.raises(UnavailableError, match="no inference engine is alive"):
            await client.ask_every_engine("warm", {}, 5)

    play(redis_server, scene)


def test_leaving_early_cancels(redis_server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> bool:
        asking = asyncio.create_task(collect(client))
        request = await anext(requests(redis))
        await reply(redis, request, 0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert client._waiting == {}
        return bool(await redis.exists(CANCEL_KEY + request.id))

    assert play(redis_server, scene) is True


@pytest.mark.parametrize(("alive", "expected"), [(True, DeadlineExceededError), (False, UnavailableError)])
def test_a_late_answer_says_whose_fault_it_is(
    redis_server: RedisServer, *, alive: bool, expected: type[Exception]
) -> None:
    async def scene(client: EngineClient, redis: Redis) -> bool:
        if alive:
            await redis.set(f"{ENGINE_KEY}one", "{}")
        with pytest.raises(expected):
            await collect(client, 0.1)
        request = await anext(requests(redis))
        return bool(await redis.exists(CANCEL_KEY + request.id))

    assert play(redis_server, scene) is True


def test_an_unanswered_request_is_sent_again_after_a_loss(redis_server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> list[int]:
        asking = asyncio.create_task(collect(client))
        first = await anext(requests(redis))
        await reply(redis, first, 0)
        await asyncio.sleep(0.1)
        redis_server.kill()
        await asyncio.sleep(0.2)
        redis_server.start()
        again = await anext(requests(redis))
        assert again == first
        await reply(redis, again, 0, 1, last=1)
        return await asking

    assert play(redis_server, scene) == [0, 1]


def test_a_loss_while_sending_again_does_not_end_the_reader(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(client: EngineClient, redis: Redis) -> list[int]:
        asking = asyncio.create_task(collect(client))
        reading = requests(redis)
        first = await anext(reading)
        send, failures = client._outbox.send, iter([True, True])

        async def failing(request: Request) -> None:
            if next(failures, False):
                raise redis_away()
            await send(request)

        monkeypatch.setattr(client._outbox, "send", failing)
        redis_server.kill()
        redis_server.start()
        again = await anext(reading)
        assert again == first
        await reply(redis, again, 0, last=0)
        return await asking

    assert play(redis_server, scene) == [0]


def test_without_redis_nothing_is_asked(redis_server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> None:
        with pytest.raises(UnavailableError) as caught:
            await collect(client)
        assert caught.value.reason == "REDIS_UNAVAILABLE"
        with pytest.raises(UnavailableError):
            await client.engines()
        assert client._waiting == {}

    redis_server.kill()
    try:
        play(redis_server, scene)
    finally:
        redis_server.start()


def test_the_living_engines_are_known_by_name(redis_server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> list[str]:
        for name in ("two", "one"):
            await redis.set(ENGINE_KEY + name, f'{{"name": "{name}"}}')
        assert sorted(await client.engine_descriptions()) == [b'{"name": "one"}', b'{"name": "two"}']
        return await client.engines()

    assert play(redis_server, scene) == ["one", "two"]


def test_closing_leaves_no_stream_behind(redis_server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> None:
        asking = asyncio.create_task(collect(client))
        await reply(redis, await anext(requests(redis)), 0, last=0)
        await asking

    play(redis_server, scene)
    with redis_server.client() as client:
        assert list(client.scan_iter("helmholtz:replies:*")) == []
