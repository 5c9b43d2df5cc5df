"""What every HTTP request carries beside its question: a name for the logs, who sends it, whether it wants no cache."""

import hashlib

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.rest.problems import on_bug
from service.wishes import WISHES, Wishes, trace_or_new
from workers.settings import Settings


class Attributed:
    """Names every request, by its X-Request-Id where it has one; the answer repeats the name, even that of a bug."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._has_keys = settings.api_key is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its wishes set."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        trace = trace_or_new(headers.get("x-request-id"))
        caller = caller_of(headers.get("authorization")) if self._has_keys else None
        use_cache = "no-store" not in headers.get("cache-control", "").lower()
        token = WISHES.set(Wishes(trace, caller, use_cache))
        begun = False

        async def named(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                MutableHeaders(scope=message)["X-Request-Id"] = trace
            await send(message)

        with structlog.contextvars.bound_contextvars(request=trace):
            try:
                await self._app(scope, receive, named)
            except Exception as error:  # here, where the request has its name
                response = await on_bug(Request(scope), error)
                if begun:
                    raise
                await response(scope, receive, named)
            finally:
                WISHES.reset(token)


def caller_of(authorization: str | None) -> str | None:
    """A name for who holds a key, which is not the key, however its scheme is spelt; None for who sends none."""
    if authorization is None:
        return None
    key = authorization.partition(" ")[2].strip()
    return hashlib.sha256(key.encode()).hexdigest()[:16]
