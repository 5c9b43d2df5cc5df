"""A scripted service for the client, and a small real one for the command line."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from helmholtz import Client, RetryPolicy

Scripted = tuple[Client, list[httpx.Request], list[float]]
Route = tuple[int, dict[str, str], bytes]


@pytest.fixture
def scripted() -> Iterator[Callable[..., tuple[Client, list[httpx.Request], list[float]]]]:
    """A client whose service gives the listed answers in turn; with the requests it sent and the pauses it made."""
    clients: list[Client] = []

    def make(*answers: httpx.Response | Exception, **options: Any) -> Scripted:  # noqa: ANN401 - options of Client
        requests: list[httpx.Request] = []
        pauses: list[float] = []
        left = list(answers)

        def answer(request: httpx.Request) -> httpx.Response:
            requests.append(request)
            following = left.pop(0)
            if isinstance(following, Exception):
                raise following
            return following

        retry = RetryPolicy(sleep=pauses.append)
        client = Client("http://service.test", transport=httpx.MockTransport(answer), retry=retry, **options)
        clients.append(client)
        return client, requests, pauses

    yield make
    for client in clients:
        client.close()


class FakeService:
    """A real HTTP server on loopback whose routes a test writes; an unknown one is answered with a 404 problem."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        handler = type("Handler", (_Handler,), {"service": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, route: str, body: object, status: int = 200, **headers: str) -> None:
        """Answer ``route``, as ``GET /v1/info``, with JSON, or with bytes as they are."""
        kind = "application/json" if status < 400 else "application/problem+json"
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.routes[route] = (
            status,
            {"Content-Type": kind} | {k.replace("_", "-"): v for k, v in headers.items()},
            raw,
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    service: FakeService

    def _reply(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        route = f"{self.command} {self.path.partition('?')[0]}"
        self.service.requests.append((f"{self.command} {self.path}", dict(self.headers), body))
        missing = {"title": "Not found", "status": 404, "detail": f"no {route} here", "reason": "NOT_FOUND"}
        unknown = (404, {"Content-Type": "application/problem+json"}, json.dumps(missing).encode())
        status, headers, content = self.service.routes.get(route, unknown)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _reply  # noqa: N815 - the names that http.server calls

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[FakeService]:
    """A running ``FakeService``."""
    fake = FakeService()
    fake.start()
    yield fake
    fake.stop()
