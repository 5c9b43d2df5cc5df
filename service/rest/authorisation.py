"""Every request but the health checks carries the API key, where one is configured."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.keys import check_authorization
from service.rest.problems import problem
from workers.settings import Settings
from zoo.specs.errors import UnauthenticatedError

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"})


class Authorised:
    """Refuses requests without the key before anything of them is read."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            try:
                check_authorization(Headers(scope=scope).get("authorization"), self._settings)
            except UnauthenticatedError as error:
                response = problem(401, error.title, error.detail, error.reason, scope["path"])
                response.headers["WWW-Authenticate"] = "Bearer"
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)
