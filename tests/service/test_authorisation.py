"""With an API key configured, every route and every gRPC method asks for it; only the health checks do not."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import grpc
import httpx
import pytest
from fastapi import FastAPI
from google.protobuf import descriptor_pool  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from service.context import build_context
from service.rest.app import build_app
from service.rpc.server import RpcServer
from workers.settings import Settings

KEY = "a-key-for-a-test-0123456789"
OPEN_PATHS = {"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"}
WRONG = [None, "", "Bearer", "Bearer ", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", f"Basic {KEY}", KEY, "Bearer \xe9"]


@pytest.fixture
def locked(lonely_settings: Settings) -> Settings:
    return lonely_settings.model_copy(update={"api_key": KEY})


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Every method and path, the documented ones and the others, parameters filled in."""
    found = {(m.upper(), path) for path, methods in app.openapi()["paths"].items() for m in methods}
    found |= {(m, r.path) for r in flattened(app.routes) for m in getattr(r, "methods", None) or ()}
    for method, path in sorted(found):
        yield method, "".join("x" if "{" in part else part for part in _parts(path))


def flattened(found: Iterable[Any]) -> Iterator[Any]:
    """Routes with a path, those of included routers too."""
    for route in found:
        if hasattr(route, "path"):
            yield route
        else:
            yield from flattened(route.original_router.routes)


def _parts(path: str) -> Iterable[str]:
    return path.replace("{", "\0{").replace("}", "}\0").split("\0")


async def statuses(settings: Settings, header: str | None) -> dict[tuple[str, str], int]:
    """The status of every route, asked with this header."""
    context = build_context(settings)
    app = build_app(context)
    headers = {} if header is None else {b"Authorization": header.encode("latin1")}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://here", headers=headers) as client:
        found = {route: (await client.request(*route)).status_code for route in routes(app)}
    await context.engine.close()
    context.database.dispose()
    return found


def test_the_walk_finds_every_room(locked: Settings) -> None:
    paths = {path for _, path in routes(build_app(build_context(locked)))}
    rooms = {"/", "/docs", "/openapi.json", "/metrics", "/v1/info", "/v1/jobs", "/v1/zoo/models", "/v1/targets:energy"}
    assert rooms <= paths
    assert {"/v1/models/x:sample", "/v1/models/x/versions/x:freeEnergy", "/v1/jobs/x/events"} <= paths
    assert len(paths) >= 30


@pytest.mark.parametrize("header", WRONG)
def test_no_route_answers_without_the_key(locked: Settings, header: str | None) -> None:
    found = asyncio.run(statuses(locked, header))
    assert {route: status for route, status in found.items() if status != 401 and route[1] not in OPEN_PATHS} == {}
    assert {path: status for (_, path), status in found.items() if path in OPEN_PATHS} == {
        "/healthz": 200,
        "/readyz": 503,
        "/v2/health/live": 200,
        "/v2/health/ready": 503,
    }


@pytest.mark.parametrize("header", [f"Bearer {KEY}", f"bearer {KEY}"])
def test_with_the_key_no_route_asks_for_it(locked: Settings, header: str) -> None:
    found = asyncio.run(statuses(locked, header))
    assert [route for route, status in found.items() if status == 401] == []
    assert found["GET", "/v1/zoo/models"] == 200


def test_without_a_configured_key_none_is_asked(lonely_settings: Settings) -> None:
    assert 401 not in asyncio.run(statuses(lonely_settings, None)).values()


def test_no_route_answers_500(locked: Settings) -> None:
    """Redis is away and nothing that is asked exists; that is no fault of the service."""
    found = asyncio.run(statuses(locked, f"Bearer {KEY}"))
    assert {route: status for route, status in found.items() if status == 500} == {}


def test_a_refusal_says_what_to_send(locked: Settings) -> None:
    async def ask() -> httpx.Response:
        context = build_context(locked)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(build_app(context)), base_url="http://here") as c:
            return await c.get("/v1/info")

    answer = asyncio.run(ask())
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["reason"] == "UNAUTHENTICATED"
    assert "Authorization: Bearer" in answer.json()["detail"]
    assert KEY not in answer.text


def grpc_methods(services: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Every method of the services with its descriptor."""
    for name in services:
        for method in descriptor_pool.Default().FindServiceByName(name).methods:
            yield f"/{name}/{method.name}", method


async def call(channel: grpc.aio.Channel, path: str, method: Any, header: str | None) -> grpc.StatusCode:  # noqa: ANN401
    """The status of an empty call, whatever its arity."""
    kind = ("stream" if method.client_streaming else "unary", "stream" if method.server_streaming else "unary")
    start = getattr(channel, "_".join(kind))(path)
    metadata = () if header is None else (("authorization", header),)
    sent = iter([b""]) if method.client_streaming else b""
    calling = start(sent, metadata=metadata, timeout=5)
    try:
        if method.server_streaming:
            async for _ in calling:
                break
            calling.cancel()
            return grpc.StatusCode.OK
        await calling
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def listed_services(channel: grpc.aio.Channel, header: str) -> list[str]:
    """The services that the server's own reflection lists."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    async for answer in stub.ServerReflectionInfo(asked, metadata=(("authorization", header),)):
        return [service.name for service in answer.list_services_response.service]
    return []


async def grpc_statuses(settings: Settings, header: str | None) -> dict[str, grpc.StatusCode]:
    """The status of every method of every service on the server."""
    context = build_context(settings)
    server = RpcServer(context)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            services = await listed_services(channel, f"Bearer {KEY}")
            return {path: await call(channel, path, m, header) for path, m in grpc_methods(services)}
    finally:
        await server.stop(0)
        await context.engine.close()
        context.database.dispose()


def is_open(path: str) -> bool:
    free = ("/inference.GRPCInferenceService/ServerLive", "/inference.GRPCInferenceService/ServerReady")
    return path.startswith("/grpc.health.v1.Health/") or path in free


@pytest.mark.parametrize("header", [None, "Bearer", f"Bearer {KEY}x", f"Basic {KEY}"])
def test_no_grpc_method_answers_without_the_key(locked: Settings, header: str | None) -> None:
    found = asyncio.run(grpc_statuses(locked, header))
    assert len(found) >= 36
    assert found["/grpc.health.v1.Health/Check"] is grpc.StatusCode.OK
    for path, code in found.items():
        assert (code is grpc.StatusCode.UNAUTHENTICATED) is not is_open(path), path


def test_with_the_key_no_grpc_method_asks_for_it(locked: Settings) -> None:
    found = asyncio.run(grpc_statuses(locked, f"Bearer {KEY}"))
    assert grpc.StatusCode.UNAUTHENTICATED not in found.values()
    assert grpc.StatusCode.INTERNAL not in found.values()
