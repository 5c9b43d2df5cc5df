"""grpc.health.v1: each service serves while what it needs answers."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.rpc import health
from service.rpc.server import SERVICES
from tests.service.rpc_stage import Stage, ToldEngine, play
from workers.settings import Settings
from zoo.specs.errors import UnavailableError

INFERENCE, JOBS, REGISTRY, OPEN = (service.name for service in SERVICES)
Status = health_pb2.HealthCheckResponse


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "INTERVAL_SECONDS", 0.02)
    monkeypatch.setattr(health, "_PATIENCE_SECONDS", 0.1)


async def serving(stage: Stage) -> set[str]:
    """The services that say they serve; '' is the whole server."""
    stub = health_pb2_grpc.HealthStub(stage.channel)
    found = {
        name: (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status
        for name in ("", INFERENCE, JOBS, REGISTRY, OPEN)
    }
    assert set(found.values()) <= {Status.SERVING, Status.NOT_SERVING}
    return {name for name, status in found.items() if status == Status.SERVING}


async def until(stage: Stage, expected: set[str]) -> None:
    """Return when exactly these serve."""
    for _ in range(100):
        if await serving(stage) == expected:
            return
        await asyncio.sleep(0.02)
    assert await serving(stage) == expected


ALL = {"", INFERENCE, JOBS, REGISTRY, OPEN}


def test_the_services_are_told_apart() -> None:
    assert (INFERENCE, JOBS, REGISTRY, OPEN) == (
        "helmholtz.v1.Inference",
        "helmholtz.v1.Jobs",
        "helmholtz.v1.Registry",
        "inference.GRPCInferenceService",
    )


def test_inference_needs_an_engine_and_the_others_none(lonely_settings: Settings) -> None:
    async def scene(stage: Stage) -> None:
        assert await serving(stage) == ALL, "from the first moment"
        stage.engine.alive = []
        await until(stage, {JOBS, REGISTRY})
        stage.engine.alive = ["engine-2"]
        await until(stage, ALL)

    play(lonely_settings, scene)


class RedisAway(ToldEngine):
    """An engine that cannot be asked for."""

    async def engines(self) -> list[str]:
        msg = "Redis does not answer"
        raise UnavailableError(msg)


class RedisHangs(ToldEngine):
    """A Redis that takes the question and says nothing."""

    async def engines(self) -> list[str]:
        await asyncio.sleep(3600)
        return []


class Broken(ToldEngine):
    """A fault of ours."""

    async def engines(self) -> list[str]:
        raise KeyError("x")


@pytest.mark.parametrize("engine", [RedisAway, RedisHangs, Broken])
def test_without_redis_jobs_and_registry_serve(lonely_settings: Settings, engine: type[ToldEngine]) -> None:
    async def scene(stage: Stage) -> None:
        assert await serving(stage) == {JOBS, REGISTRY}

    play(lonely_settings, scene, engine())


def test_without_the_database_nothing_serves(lonely_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stage: Stage) -> None:
        away = threading.Event()

        def check() -> None:
            if away.is_set():
                msg = "the database does not answer"
                raise UnavailableError(msg)

        monkeypatch.setattr(stage.context.database, "check", check)
        away.set()
        await until(stage, set())
        away.clear()
        await until(stage, ALL)

    play(lonely_settings, scene)


def test_a_database_that_hangs_is_asked_once(lonely_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stage: Stage) -> int:
        asked, answer = 0, threading.Event()

        def check() -> None:
            nonlocal asked
            asked += 1
            answer.wait(10)

        monkeypatch.setattr(stage.context.database, "check", check)
        await until(stage, set())
        await asyncio.sleep(0.3)
        found = asked
        answer.set()
        await until(stage, ALL)
        return found

    assert play(lonely_settings, scene) == 1


async def watched(stage: Stage, name: str) -> AsyncGenerator[int, None]:
    stub = health_pb2_grpc.HealthStub(stage.channel)
    async for answer in stub.Watch(health_pb2.HealthCheckRequest(service=name)):
        yield answer.status


def test_watching_tells_changes_alone(lonely_settings: Settings) -> None:
    async def scene(stage: Stage) -> list[int]:
        watching = watched(stage, INFERENCE)
        found = [await anext(watching)]
        await asyncio.sleep(0.2)
        stage.engine.alive = []
        found.append(await asyncio.wait_for(anext(watching), 2))
        stage.engine.alive = ["engine-1"]
        found.append(await asyncio.wait_for(anext(watching), 2))
        await watching.aclose()
        return found

    assert play(lonely_settings, scene) == [Status.SERVING, Status.NOT_SERVING, Status.SERVING]


def test_a_list_has_every_service(lonely_settings: Settings) -> None:
    async def scene(stage: Stage) -> None:
        stub = health_pb2_grpc.HealthStub(stage.channel)
        answer = await stub.List(health_pb2.HealthListRequest())
        found = {name: status.status for name, status in answer.statuses.items()}
        assert found == {
            name: Status.SERVING if name in {JOBS, REGISTRY} else Status.NOT_SERVING for name in sorted(ALL)
        }

    play(lonely_settings, scene, ToldEngine(alive=[]))


def test_while_draining_nothing_serves(lonely_settings: Settings) -> None:
    async def scene(stage: Stage) -> None:
        stage.context.draining = True
        await until(stage, set())

    play(lonely_settings, scene)


def test_a_server_that_stops_says_so_first(lonely_settings: Settings) -> None:
    async def scene(stage: Stage) -> list[int]:
        watching = watched(stage, JOBS)
        found = [await anext(watching)]
        stopping = asyncio.create_task(stage.server.stop(60))
        found += [status async for status in watching]
        await asyncio.wait_for(stopping, 5)
        return found

    assert play(lonely_settings, scene) == [Status.SERVING, Status.NOT_SERVING], "and who watches keeps no server up"


def test_an_unknown_service_is_not_found(lonely_settings: Settings) -> None:
    async def scene(stage: Stage) -> Any:  # noqa: ANN401
        stub = health_pb2_grpc.HealthStub(stage.channel)
        try:
            await stub.Check(health_pb2.HealthCheckRequest(service="none"))
        except grpc.aio.AioRpcError as error:
            return error.code()
        return None

    assert play(lonely_settings, scene) is grpc.StatusCode.NOT_FOUND


def test_looking_is_cheap(lonely_settings: Settings) -> None:
    """Once a second, it has to take much less than 3 % of a core; Redis is asked one question beside what is here."""

    async def scene(stage: Stage) -> float:
        report = stage.server._health
        await report.look()
        started = time.process_time()
        for _ in range(50):
            await report.look()
        return (time.process_time() - started) / 50

    assert play(lonely_settings, scene) < 0.01
