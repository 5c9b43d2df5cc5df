"""A short way to routes that are asked a thousand times a second: FastAPI takes half a millisecond for each request.

It finds a route by its verb and hands it what it declares.  What FastAPI knows of the route, its documentation above
all, stays as it is.  Requests with a query or an idempotency key, and everything else, go the long way.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from service.context import Context
from service.rest.dependencies import prefers_job, seconds_allowed
from service.rest.problems import on_our_error
from zoo.specs.errors import HelmholtzError

_GIVEN = frozenset({"request", "context", "seconds", "prefers_job", "idempotency_key"})


class Shortcut:
    """Answers POSTs to those ``routes`` whose endpoints declare nothing but path parameters and ``_GIVEN``."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute], context: Context) -> None:
        self._app = app
        self._context = context
        self._routes: dict[str, list[APIRoute]] = {}
        for route in routes:
            if isinstance(route, APIRoute) and route.methods == {"POST"} and _is_plain(route):
                self._routes.setdefault(route.path.rpartition(":")[2], []).append(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        found = self._found(scope)
        if found is None:
            await self._app(scope, receive, send)
            return
        route, path_parameters = found
        scope["route"] = route
        request = Request(scope, receive, send)
        try:
            prefer = request.headers.get("prefer")
            given = {
                "request": request,
                "context": self._context,
                "seconds": await seconds_allowed(self._context, prefer),
                "prefers_job": await prefers_job(prefer),
                "idempotency_key": None,
            }
            declared = _declared(route.endpoint)
            response = await route.endpoint(
                **path_parameters, **{name: value for name, value in given.items() if name in declared}
            )
        except HelmholtzError as error:
            response = await on_our_error(request, error)
        await response(scope, receive, send)

    def _found(self, scope: Scope) -> tuple[APIRoute, dict[str, str]] | None:
        """The route that answers this request, and its path parameters."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["query_string"]:
            return None
        path: str = scope["path"]
        for route in self._routes.get(path.rpartition(":")[2], ()):
            if (match := route.path_regex.match(path)) and "idempotency-key" not in Headers(scope=scope):
                return route, match.groupdict()
        return None


def _is_plain(route: APIRoute) -> bool:
    return _declared(route.endpoint) <= _GIVEN | set(route.param_convertors) | {"ref"}


def _declared(endpoint: Callable[..., Any]) -> frozenset[str]:
    """The names of an endpoint's parameters."""
    if endpoint not in _DECLARED:
        _DECLARED[endpoint] = frozenset(inspect.signature(endpoint).parameters)
    return _DECLARED[endpoint]


_DECLARED: dict[Callable[..., Any], frozenset[str]] = {}
