"""Prometheus metrics of a gateway: requests by route and status, and how long they took."""

import time

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.metrics import METRICS

REQUESTS = Counter("helmholtz_requests", "HTTP requests", ("method", "route", "status"), registry=METRICS)
SECONDS = Histogram("helmholtz_request_seconds", "Time to answer", ("method", "route"), registry=METRICS)


class Measured:
    """Counts and times every request by the route that answered it (not by the path, which has names in it)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and look at the status that comes back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            REQUESTS.labels(scope["method"], route, status).inc()
            SECONDS.labels(scope["method"], route).observe(time.perf_counter() - started)
