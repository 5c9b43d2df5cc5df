"""Clients that send slowly, or never read: they are left after a while, and nobody waits for them."""

import asyncio
import io
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from starlette.requests import Request
from starlette.types import Message

from models_registry.migrate import migrate
from service.context import build_context
from service.costs import CostModel
from service.rest.answers import PIECE, ArrayAnswer, array_response
from service.rest.app import build_app
from service.rest.formats.media_types import BINARY, JSON, NPY
from service.rest.formats.parted import PartedArray
from tests.service.conftest import NO_REDIS
from tests.workers.tiny_models import TinyRegistry
from workers.settings import Settings

SECONDS = 1.0
LARGE = np.ones((2**20, 4, 4), np.int8)
SAMPLE = "/v1/models/made:sample"


class Engine:
    """Draws 16 MiB of ones in 64 parts where many are asked, else one."""

    def __init__(self) -> None:
        self.costs = CostModel()

    async def ask(self, operation: str, payload: dict[str, Any], seconds: float) -> AsyncIterator[dict[str, Any]]:
        """The parts."""
        del operation, seconds
        for samples in np.split(LARGE, 64) if payload["n"] > 1 else [LARGE[:1]]:
            yield {"samples": samples, "compute_seconds": 0.0}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A gateway's HTTP side on a real socket, that waits ``SECONDS`` for its clients."""
    folder: Path = tmp_path_factory.mktemp("slow")
    settings = Settings(data_dir=folder, redis_url=NO_REDIS, body_seconds=SECONDS)
    migrate(settings.resolved_database_url)
    context = build_context(settings)
    TinyRegistry(context.database, folder / "artifacts").publish("made")
    context.engine = Engine()  # type: ignore[assignment]  # it has what is asked for
    server = uvicorn.Server(uvicorn.Config(build_app(context), log_config=None, timeout_graceful_shutdown=1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield listener.getsockname()
        server.should_exit = True
        thread.join()
    context.database.dispose()


def connected(address: tuple[str, int]) -> socket.socket:
    """A connection of a client that has room for little."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(10)
    client.connect(address)
    return client


def head(length: int, accept: str = NPY, path: str = SAMPLE) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Type: {JSON}\r\nAccept: {accept}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def rest_of(client: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    received = bytearray()
    while data := client.recv(2**20):
        received += data
    return bytes(received)


def others_are_served(address: tuple[str, int]) -> None:
    url = f"http://{address[0]}:{address[1]}"
    started = time.monotonic()
    answer = httpx.post(url + SAMPLE, json={"n": 1}, timeout=5, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert time.monotonic() - started < SECONDS / 2


def test_a_large_answer_arrives_whole_with_its_length(address: tuple[str, int]) -> None:
    url = f"http://{address[0]}:{address[1]}"
    headers = {"Accept": NPY, "Accept-Encoding": "identity"}
    answer = httpx.post(url + SAMPLE, json={"n": 2}, headers=headers, timeout=10, trust_env=False)
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == len(answer.content)
    np.testing.assert_array_equal(np.load(io.BytesIO(answer.content)), LARGE)


NATIVE = (SAMPLE, b'{"n": 2}')
OPEN_INFERENCE = (
    "/v2/models/made/infer",
    b'{"inputs": [{"name": "n", "datatype": "INT64", "shape": [1], "data": [2]}], "outputs": [{"name": "samples"}],'
    b' "parameters": {"binary_data_output": true}}',
)


@pytest.mark.parametrize(("path", "body"), [NATIVE, OPEN_INFERENCE])
def test_a_client_that_never_reads_blocks_nobody_and_is_left(address: tuple[str, int], path: str, body: bytes) -> None:
    with closing(connected(address)) as client:
        client.sendall(head(len(body), path=path) + body)
        time.sleep(0.2)
        others_are_served(address)
        time.sleep(SECONDS * 1.5)
        received = rest_of(client)
    assert received.startswith(b"HTTP/1.1 200")
    assert len(received) < LARGE.nbytes


@pytest.mark.parametrize("part", [b"", b'{"n"'])
def test_a_body_that_does_not_arrive_is_408_and_blocks_nobody(address: tuple[str, int], part: bytes) -> None:
    with closing(connected(address)) as client:
        client.sendall(head(8) + part)
        time.sleep(0.2)
        others_are_served(address)
        received = rest_of(client)
    top, _, body = received.partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in top.lower()
    assert json.loads(body)["reason"] == "REQUEST_TIMEOUT"
    assert "HELMHOLTZ_BODY_SECONDS" in json.loads(body)["detail"]


@pytest.mark.parametrize("kind", BINARY)
def test_an_answer_takes_little_memory_beside_its_parts(kind: str) -> None:
    parts = tuple(np.split(LARGE, 64))
    answer = ArrayAnswer({"samples": PartedArray(parts)}, {}, 0.0)
    sizes: list[int] = []

    async def send(message: Message) -> None:
        sizes.append(len(message.get("body", b"")))

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def once() -> None:
        request = Request({"type": "http", "method": "POST", "headers": []})
        response = await array_response(request, kind, answer, 0.0, Settings())
        await response({"type": "http", "path": "/"}, receive, send)

    asyncio.run(once())  # what is imported on first use is not counted
    sizes.clear()
    tracemalloc.start()
    asyncio.run(once())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(sizes) > LARGE.nbytes
    assert max(sizes) == PIECE
    assert peak < 2**22
