"""What a gateway keeps to itself and to its neighbours: no request twice, no fault of one for another, no old news."""

import asyncio
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis

from service import engine_client
from service.admission import Backlog
from service.engine_client import QUEUED, EngineClient
from service.response_cache import ResponseCache
from tests.service.stream_stage import collect, play, reply, requests
from tests.workers.redis_server import RedisServer
from workers.messages import CANCEL_KEY, FIELD, GATEWAY_KEY, REQUEST_STREAM, Reply, encode
from zoo.specs.errors import UnavailableError


async def refused(client: EngineClient, seconds: float) -> bool:
    """Whether a request is refused; one that is let in is given up."""
    asking = asyncio.create_task(collect(client, seconds))
    done, _ = await asyncio.wait([asking], timeout=0.05)
    asking.cancel()
    (outcome,) = await asyncio.gather(asking, return_exceptions=True)
    return bool(done) and isinstance(outcome, UnavailableError) and outcome.reason == "OVERLOADED"


def test_a_refusal_looks_whether_its_reason_still_holds(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_client, "_LOOK_SECONDS", 0.05)

    async def scene(client: EngineClient, redis: Redis) -> None:
        await redis.set(f"{GATEWAY_KEY}other", "5.0 0.0")
        client.admission.elsewhere = Backlog(interactive=5.0)
        assert await refused(client, 2.0)
        await redis.delete(f"{GATEWAY_KEY}other")
        async with asyncio.timeout(1.0):  # before the news is old
            while await refused(client, 2.0):
                await asyncio.sleep(0.02)

    play(redis_server, scene)


@pytest.mark.parametrize("told", ["nonsense", "1.0", "", b"\xff"])
def test_a_neighbour_of_another_language_is_not_counted(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, told: str | bytes
) -> None:
    monkeypatch.setattr(engine_client, "_LOOK_SECONDS", 0.02)

    async def scene(client: EngineClient, redis: Redis) -> None:
        await redis.set(f"{GATEWAY_KEY}other", told)
        await redis.set(f"{GATEWAY_KEY}third", "0.25 0.5")
        asking = asyncio.create_task(collect(client))
        request = await anext(requests(redis))
        while client.admission.elsewhere != Backlog(0.25, 0.5):
            await asyncio.sleep(0.01)
        await reply(redis, request, 0, last=0)
        assert await asking == [0]
        assert not any(task.done() for task in client._tasks)

    play(redis_server, scene)


def test_engines_are_found_among_many_cancellations_in_few_round_trips(redis_server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> int:
        await redis.mset({f"{CANCEL_KEY}{number}": b"1" for number in range(3000)})
        await redis.config_resetstat()
        await client.engines()
        return int((await redis.info("commandstats"))["cmdstat_scan"]["calls"])

    assert play(redis_server, scene) < 10


def test_what_a_living_redis_holds_is_not_sent_again(redis_server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> int:
        asking = asyncio.create_task(collect(client))
        request = await anext(requests(redis))
        await redis.client_kill_filter(_type="normal", skipme=True)
        await reply(redis, request, 0, last=0)
        assert await asking == [0]
        return int(await redis.xlen(REQUEST_STREAM))

    assert play(redis_server, scene) == 1


def test_of_two_copies_of_a_request_the_second_is_given_up(redis_server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> bool:
        asking = asyncio.create_task(collect(client))
        reading = requests(redis)
        await anext(reading)
        await asyncio.sleep(0.1)
        redis_server.kill()
        redis_server.start()
        again = await anext(reading)
        await reply(redis, again, 0, last=0)
        assert await asking == [0]
        return bool(await redis.exists(CANCEL_KEY + again.id))

    assert play(redis_server, scene)


def test_a_request_that_cannot_travel_harms_no_other(redis_server: RedisServer) -> None:
    async def scene(client: EngineClient, redis: Redis) -> list[int]:
        async def impossible() -> None:
            async for _ in client.ask("tick", {"what": object()}, 10):
                pass

        asking, failing = asyncio.create_task(collect(client)), asyncio.create_task(impossible())
        with pytest.raises(TypeError, match="cannot travel"):
            await failing
        await reply(redis, await anext(requests(redis)), 0, last=0)
        return await asking

    assert play(redis_server, scene) == [0]


def test_a_reader_that_fails_is_told(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: EngineClient, position: bytes | str) -> bytes:
        msg = "planted"
        raise TypeError(msg)

    monkeypatch.setattr(EngineClient, "_read_some", broken)

    async def scene() -> None:
        client, told = EngineClient(Redis.from_url(redis_server.url)), asyncio.Event()
        await client.start(told.set)
        await asyncio.wait_for(told.wait(), 5)
        await client.close()

    asyncio.run(scene())


def test_a_gateway_whose_reader_fails_ends(redis_server: RedisServer, published_data_dir: object) -> None:
    program = (
        "import sys\n"
        "from service import engine_client, gateway\n"
        "async def broken(self, position):\n"
        "    raise TypeError('planted')\n"
        "engine_client.EngineClient._read_some = broken\n"
        "sys.exit(gateway.main())\n"
    )
    settings = {"DATA_DIR": str(published_data_dir), "REDIS_URL": redis_server.url, "HTTP_PORT": "0", "GRPC_PORT": "0"}
    ours = {f"HELMHOLTZ_{name}": value for name, value in settings.items()}
    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", program], env=ours, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "a task of the gateway failed" in ended.stdout + ended.stderr


def test_a_slow_reader_says_nothing_of_the_queue(redis_server: RedisServer) -> None:
    def queued() -> float:
        return next(s.value for m in QUEUED.collect() for s in m.samples if s.name.endswith("_sum"))

    async def scene(client: EngineClient, redis: Redis) -> float:
        before = queued()
        answer = client.ask("tick", {}, 10)
        first = asyncio.ensure_future(anext(answer))
        await reply(redis, await anext(requests(redis)), 0, 1, last=1)
        await first
        await asyncio.sleep(0.5)
        assert [part["number"] async for part in answer] == [1]
        return queued() - before

    assert play(redis_server, scene) < 0.4


def test_a_repeated_question_is_answered_from_the_cache_and_a_large_one_is_digested_in_a_thread(
    redis_server: RedisServer,
) -> None:
    cache, threads = ResponseCache(10**7), []
    digest = cache.key

    def watched(operation: str, payload: dict[str, Any]) -> bytes:
        threads.append(threading.current_thread())
        return digest(operation, payload)

    cache.key = watched  # type: ignore[method-assign]

    async def likelihoods(client: EngineClient, redis: Redis, sites: int) -> None:
        payload = {"model": "m", "version": 1, "samples": np.ones((2, sites), np.int8)}

        async def ask() -> list[Any]:
            return [part async for part in client.ask("log_likelihood", payload, 10)]

        asking = asyncio.create_task(ask())
        request = await anext(requests(redis))
        body = {"log_likelihood": np.zeros(2), "compute_seconds": 0.001}
        await redis.xadd(request.reply_to, {FIELD: encode(Reply(request.id, 0, final=True, body=body))})
        first = await asking
        np.testing.assert_equal(await ask(), first)
        assert await redis.xlen(REQUEST_STREAM) == 1
        await redis.delete(REQUEST_STREAM)

    async def scene(client: EngineClient, redis: Redis) -> None:
        await likelihoods(client, redis, 16)
        assert {thread is threading.main_thread() for thread in threads} == {True}
        threads.clear()
        await likelihoods(client, redis, 2**16)
        assert {thread is threading.main_thread() for thread in threads} == {False}

    play(redis_server, scene, cache)
