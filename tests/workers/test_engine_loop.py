"""The engine's loop over a real Redis: every request is answered once, or left when nobody waits."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from redis import Redis

from tests.workers.redis_server import RedisServer
from tests.workers.tiny_models import TinyRegistry
from workers.engine import loop as loop_module
from workers.engine.loop import EngineLoop
from workers.engine.models import WarmModels
from workers.engine.operations import OPERATIONS, Engine
from workers.engine.tiled import PAUSE
from workers.messages import (
    CANCEL_KEY,
    ENGINE_GROUP,
    ENGINE_KEY,
    FIELD,
    GATEWAY_KEY,
    OWN_STREAM,
    REQUEST_STREAM,
    REQUEST_STREAMS,
    Reply,
    Request,
    decode_reply,
    encode,
)

CPU = torch.device("cpu")
NAME = "engine-under-test"
REPLIES = "replies-of-a-test"
WAIT_SECONDS = 10.0
_numbers = iter(range(10**6))


class Ticking:
    """An operation that answers ``n`` parts, and counts those it has computed."""

    def __init__(self) -> None:
        self.computed = 0
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, engine: Engine, payload: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for number in range(payload["n"]):
            self.computed += 1
            self.begun.set()
            if payload.get("wait"):
                assert self.go_on.wait(WAIT_SECONDS)
            yield {"number": number}


def broken(engine: Engine, payload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"number": 0}
    msg = "planted"
    raise RuntimeError(msg)


class Client:
    """Sends requests and reads their answers, as a gateway does."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._position: bytes | str = "0"
        self._replies: list[Reply] = []

    def send(self, operation: str, seconds: float = 60, **payload: object) -> str:
        """The id of the request that was sent."""
        request = Request(f"r{next(_numbers)}", REPLIES, time.time() + seconds, operation, payload)
        self._redis.set(GATEWAY_KEY + REPLIES, b"1")
        self._redis.xadd(REQUEST_STREAM, {FIELD: encode(request)})
        return request.id

    def send_long(self, operation: str, **payload: object) -> str:
        """The same, by the stream of long requests."""
        request = Request(f"r{next(_numbers)}", REPLIES, time.time() + 60, operation, payload, priority="bulk")
        self._redis.set(GATEWAY_KEY + REPLIES, b"1")
        self._redis.xadd(REQUEST_STREAMS["bulk"], {FIELD: encode(request)})
        return request.id

    def send_to(self, engine: str, operation: str, **payload: object) -> str:
        """The same, for one engine alone."""
        request = Request(f"r{next(_numbers)}", REPLIES, time.time() + 60, operation, payload)
        self._redis.set(GATEWAY_KEY + REPLIES, b"1")
        self._redis.xadd(OWN_STREAM + engine, {FIELD: encode(request)})
        return request.id

    def answer(self, request_id: str) -> list[Reply]:
        """The parts of the answer to one request, up to the final one."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            mine = [reply for reply in self._replies if reply.id == request_id]
            if mine and mine[-1].final:
                return mine
            self._read(100)
        msg = f"request {request_id} was not answered"
        raise TimeoutError(msg)

    def order(self) -> list[str]:
        """The ids of all requests that were answered, in the order of their last parts."""
        self._read(1)
        return [reply.id for reply in self._replies if reply.final]

    def _read(self, milliseconds: int) -> None:
        found: Any = self._redis.xread({REPLIES: self._position}, block=milliseconds)
        for entry_id, fields in found[0][1] if found else []:
            self._replies.append(decode_reply(fields[FIELD]))
            self._position = entry_id


class Loops:
    """Starts loops in threads and stops them all."""

    def __init__(self, server: RedisServer, engine: Engine) -> None:
        self._server = server
        self._engine = engine
        self._running: list[tuple[EngineLoop, threading.Thread, Redis]] = []

    def start(self) -> EngineLoop:
        client = self._server.client()
        loop = EngineLoop(client, self._engine, NAME, {"name": NAME})
        thread = threading.Thread(target=loop.run)
        thread.start()
        self._running.append((loop, thread, client))
        return loop

    def stop(self) -> None:
        for loop, thread, client in self._running:
            loop.stop()
            thread.join(WAIT_SECONDS)
            assert not thread.is_alive()
            loop._pulse.join(WAIT_SECONDS)
            client.close()
        self._running.clear()


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> Ticking:
    operation = Ticking()
    monkeypatch.setattr(loop_module, "_BLOCK_MILLISECONDS", 50)
    monkeypatch.setitem(OPERATIONS, "tick", operation)
    monkeypatch.setitem(OPERATIONS, "broken", broken)
    return operation


@pytest.fixture
def loops(redis_server: RedisServer, redis: Redis, registry: TinyRegistry, ticking: Ticking) -> Iterator[Loops]:
    registry.publish("made")
    running = Loops(redis_server, Engine(WarmModels(registry.versions, 2, CPU), CPU))
    yield running
    ticking.go_on.set()
    running.stop()


@pytest.fixture
def client(redis: Redis) -> Client:
    return Client(redis)


def wait_until_idle(redis: Redis) -> None:
    """Return when no request is left, pending or new."""
    deadline = time.monotonic() + WAIT_SECONDS
    while redis.xlen(REQUEST_STREAM):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    pending: Any = redis.xpending(REQUEST_STREAM, ENGINE_GROUP)
    assert pending["pending"] == 0


def deliver(redis: Redis, times: int) -> None:
    """Give the oldest request to a former engine of our name, ``times`` times."""
    if not redis.exists(REQUEST_STREAM) or not redis.xinfo_groups(REQUEST_STREAM):
        redis.xgroup_create(REQUEST_STREAM, ENGINE_GROUP, id="0", mkstream=True)
    redis.xreadgroup(ENGINE_GROUP, NAME, {REQUEST_STREAM: ">"}, count=1)
    for _ in range(times - 1):
        redis.xreadgroup(ENGINE_GROUP, NAME, {REQUEST_STREAM: "0"}, count=1)


def test_samples_come_in_numbered_parts(loops: Loops, client: Client, redis: Redis) -> None:
    loops.start()
    parts = client.answer(client.send("sample", model="made", version=1, n=300, seed=1, include=[]))
    assert [(part.part, part.final) for part in parts] == [(0, False), (1, False), (2, True)]
    assert np.concatenate([part.body["samples"] for part in parts]).shape == (300, 4, 4)
    assert parts[-1].body["compute_seconds"] > 0
    wait_until_idle(redis)
    assert 0 < int(redis.ttl(REPLIES)) <= 120


def test_first_come_first_served(loops: Loops, client: Client) -> None:
    ids = [client.send("tick", n=n) for n in (3, 1, 2)]
    loops.start()
    client.answer(ids[-1])
    assert client.order() == ids


@pytest.mark.parametrize(
    ("operation", "payload", "reason"),
    [
        ("sample", {"model": "none", "version": 1, "n": 1, "seed": 1, "include": []}, "NOT_FOUND"),
        ("broken", {}, "INTERNAL"),
        ("unheard of", {}, "INTERNAL"),
        ("sample", {"model": "made"}, "INTERNAL"),
    ],
)
def test_a_failing_request_is_told_and_hurts_no_other(
    loops: Loops, client: Client, operation: str, payload: dict[str, Any], reason: str
) -> None:
    loops.start()
    failing, healthy = client.send(operation, **payload), client.send("tick", n=1)
    error = client.answer(failing)[-1].error
    assert error is not None
    assert error["reason"] == reason
    assert "planted" not in error["detail"]
    assert client.answer(healthy)[-1].error is None


def test_a_late_answer_is_a_passed_deadline(loops: Loops, client: Client, ticking: Ticking) -> None:
    late = client.send("tick", seconds=-1, n=50)
    loops.start()
    error = client.answer(late)[-1].error
    assert error is not None
    assert error["reason"] == "DEADLINE_EXCEEDED"
    assert ticking.computed <= 1


def test_a_request_cancelled_before_its_turn_stops_after_one_tile(
    loops: Loops, client: Client, redis: Redis, ticking: Ticking
) -> None:
    cancelled, other = client.send("tick", n=50), client.send("tick", n=1)
    redis.set(CANCEL_KEY + cancelled, b"1")
    loops.start()
    client.answer(other)
    assert ticking.computed == 2
    assert client.order() == [other]
    wait_until_idle(redis)


def test_a_request_cancelled_while_it_runs_stops_after_its_tile(
    loops: Loops, client: Client, redis: Redis, ticking: Ticking
) -> None:
    loops.start()
    cancelled = client.send("tick", n=50, wait=True)
    assert ticking.begun.wait(WAIT_SECONDS)
    redis.set(CANCEL_KEY + cancelled, b"1")
    ticking.go_on.set()
    wait_until_idle(redis)
    assert ticking.computed == 1
    assert client.order() == []


def test_long_requests_that_were_given_up_before_they_were_read_take_no_time(
    loops: Loops, client: Client, redis: Redis, ticking: Ticking
) -> None:
    loops.start()
    first = client.send_long("tick", n=1, wait=True)
    assert ticking.begun.wait(WAIT_SECONDS)
    given_up = [client.send_long("tick", n=50) for _ in range(40)]
    redis.mset({CANCEL_KEY + request: b"1" for request in given_up})
    last = client.send_long("tick", n=1)
    ticking.go_on.set()
    client.answer(last)
    assert ticking.computed == 2
    assert client.order() == [first, last]
    wait_until_idle(redis)


def test_what_a_former_engine_left_is_served_first(loops: Loops, client: Client, redis: Redis) -> None:
    left = client.send("tick", n=1)
    deliver(redis, 1)
    new = client.send("tick", n=1)
    loops.start()
    client.answer(new)
    assert client.order() == [left, new]
    wait_until_idle(redis)


def test_an_engine_answers_what_it_alone_is_asked(loops: Loops, client: Client, redis: Redis) -> None:
    loops.start()
    ours = client.send_to(NAME, "warm", model="made", version=1)
    theirs = client.send_to("another", "warm", model="made", version=1)
    part = client.answer(ours)[-1]
    assert part.final
    assert part.body["num_bytes"] > 0
    client.answer(client.send("tick", n=1))
    assert theirs not in client.order()
    assert redis.xlen(OWN_STREAM + NAME) == 0


def test_what_a_dead_engine_left_is_taken_over_and_computed_alone(loops: Loops, client: Client, redis: Redis) -> None:
    theirs = client.send("tick", n=2)
    redis.xgroup_create(REQUEST_STREAM, ENGINE_GROUP, id="0")
    redis.xreadgroup(ENGINE_GROUP, "the late one", {REQUEST_STREAM: ">"}, count=1)
    loops.start()
    assert [part.body["number"] for part in client.answer(theirs)] == [0, 1]
    wait_until_idle(redis)
    deadline = time.monotonic() + WAIT_SECONDS
    while b"the late one" in {c["name"] for c in redis.xinfo_consumers(REQUEST_STREAM, ENGINE_GROUP)}:
        assert time.monotonic() < deadline, "who is gone for good is forgotten"
        time.sleep(0.05)


def test_what_a_living_engine_is_at_is_not_taken_over(loops: Loops, client: Client, redis: Redis) -> None:
    redis.set(ENGINE_KEY + "another", "{}")
    theirs = client.send("tick", n=1)
    redis.xgroup_create(REQUEST_STREAM, ENGINE_GROUP, id="0")
    redis.xreadgroup(ENGINE_GROUP, "another", {REQUEST_STREAM: ">"}, count=1)
    loops.start()
    time.sleep(2.5)
    client.answer(client.send("tick", n=1))
    assert theirs not in client.order()


def test_who_shares_a_tile_gets_what_it_gets_alone(loops: Loops, client: Client, redis: Redis) -> None:
    wishes: list[dict[str, Any]] = [
        {"n": n, "seed": n, "include": include} for n, include in ((3, []), (16, ["log_prob"]), (5, ["energy"]))
    ]
    together = [client.send("sample", model="made", version=1, **wish) for wish in wishes]
    loops.start()
    answers = [client.answer(request)[-1].body for request in together]
    for wish, answer in zip(wishes, answers, strict=True):
        alone = client.answer(client.send("sample", model="made", version=1, **wish))[-1].body
        assert answer.keys() == alone.keys()
        for name in {"samples", "log_prob", "energy"} & answer.keys():
            assert answer[name].tobytes() == alone[name].tobytes()


def test_the_fault_of_one_in_a_tile_is_not_that_of_the_others(
    loops: Loops, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.ones((2, 4, 4), np.int8)
    good = client.send("log_likelihood", model="made", version=1, samples=x)
    bad = client.send("log_likelihood", model="made", version=1, samples=np.ones((2, 3, 3), np.int8))
    other = client.send("log_likelihood", model="made", version=1, samples=-x)
    loops.start()
    error = client.answer(bad)[-1].error
    assert error is not None
    assert [client.answer(request)[-1].error for request in (good, other)] == [None, None]


def test_a_request_whose_gateway_is_gone_is_given_up(loops: Loops, client: Client, redis: Redis) -> None:
    orphan, other = client.send("tick", n=50), client.send("tick", n=1)
    other_stream = "replies-of-another"
    redis.delete(GATEWAY_KEY + REPLIES)
    redis.set(GATEWAY_KEY + other_stream, b"1")
    loops.start()
    wait_until_idle(redis)
    assert client.order() in ([], [other])
    assert orphan not in client.order()


@pytest.mark.parametrize(("times", "reason"), [(2, None), (3, "COMPUTATION_FAILED"), (5, "COMPUTATION_FAILED")])
def test_a_request_that_keeps_ending_its_engine_is_given_up(
    loops: Loops, client: Client, redis: Redis, ticking: Ticking, times: int, reason: str | None
) -> None:
    fatal = client.send("tick", n=1)
    deliver(redis, times)
    next_one = client.send("tick", n=1)
    loops.start()
    error = client.answer(fatal)[-1].error
    assert (error and error["reason"]) == reason
    assert client.answer(next_one)[-1].error is None
    assert ticking.computed == (1 if reason else 2)


def test_an_unreadable_request_is_dropped(loops: Loops, client: Client, redis: Redis) -> None:
    for name, value in ((FIELD, b"\xc1 no msgpack"), (FIELD, b"\x80"), (b"other", b"field")):
        redis.xadd(REQUEST_STREAM, {name: value})
    after = client.send("tick", n=1)
    loops.start()
    assert client.answer(after)[-1].error is None
    wait_until_idle(redis)


def test_a_flushed_redis_is_set_up_again(loops: Loops, client: Client, redis: Redis) -> None:
    loops.start()
    client.answer(client.send("tick", n=1))
    redis.flushall()
    assert client.answer(client.send("tick", n=2))[-1].final


def test_a_lost_redis_is_waited_for(loops: Loops, redis_server: RedisServer, redis: Redis) -> None:
    loops.start()
    before = Client(redis)
    before.answer(before.send("tick", n=1))
    redis_server.kill()
    time.sleep(0.3)
    redis_server.start()
    after = Client(redis)
    assert after.answer(after.send("tick", n=2))[-1].final


def test_an_engine_is_known_while_it_lives(loops: Loops, client: Client, redis: Redis) -> None:
    loops.start()
    client.answer(client.send("tick", n=1))
    assert redis.get(ENGINE_KEY + NAME)
    assert 0 < int(redis.ttl(ENGINE_KEY + NAME)) <= 5
    loops.stop()
    assert not redis.exists(ENGINE_KEY + NAME)


def pausing(engine: Engine, payload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for _ in range(200):
        yield PAUSE
    yield {"number": 1}


def test_a_pause_is_no_wait(loops: Loops, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATIONS, "pausing", pausing)
    loops.start()
    client.answer(client.send("tick", n=1))
    started = time.monotonic()
    assert [reply.body["number"] for reply in client.answer(client.send("pausing"))] == [1]
    assert time.monotonic() - started < 2, "200 looks at something that is waited for take four seconds"


def test_metrics_that_fail_do_not_make_an_engine_seem_dead(
    loops: Loops, client: Client, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_metrics(models: WarmModels) -> bytes:
        msg = "dictionary changed size during iteration"
        raise RuntimeError(msg)

    monkeypatch.setattr(loop_module, "metrics_text", broken_metrics)
    loops.start()
    for _ in range(3):
        time.sleep(0.5)
        redis.delete(ENGINE_KEY + NAME)
    deadline = time.monotonic() + 3
    while not redis.exists(ENGINE_KEY + NAME) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert redis.exists(ENGINE_KEY + NAME)


def test_stopping_finishes_the_request_in_hand(loops: Loops, client: Client, ticking: Ticking) -> None:
    loop = loops.start()
    in_hand = client.send("tick", n=3, wait=True)
    assert ticking.begun.wait(WAIT_SECONDS)
    waiting = client.send("tick", n=1)
    loop.stop()
    ticking.go_on.set()
    assert len(client.answer(in_hand)) == 3
    loops.stop()
    assert waiting not in client.order()
