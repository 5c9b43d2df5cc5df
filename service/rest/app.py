"""The REST application: every router, every error a problem, every request measured and authorised."""

from importlib.metadata import version
from typing import NoReturn

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.routing import Match

from service.context import Context
from service.open_inference import rest as open_inference
from service.rest import (
    completion,
    curves,
    datasets,
    docs,
    free_energies,
    inference,
    jobs,
    openapi,
    problems,
    registry,
    status,
    targets,
    zoo,
)
from service.rest.attribution import Attributed
from service.rest.authorisation import Authorised
from service.rest.metrics import Measured
from service.rest.shortcut import Shortcut
from zoo.specs.errors import FieldError, NotFoundError

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_VERBS = {
    "/v1/models/": (
        ":sample",
        ":logLikelihood",
        ":complete",
        ":freeEnergy",
        ":freeEnergyCurve",
        ":rollback (of an alias)",
    ),
    "/v1/jobs/": (":cancel", ":retry"),
    "/v1/targets": (":energy", ":reference"),
    "/v1/free-energies": (":curve",),
}


def build_app(context: Context) -> FastAPI:
    """The application over a context."""
    app = FastAPI(
        title="Helmholtz",
        version=version("helmholtz"),
        description="Generative models for statistical physics: samples, log-likelihoods and free energies.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.context = context
    problems.install(app)
    for room in (status, docs, zoo, targets, jobs, datasets, registry, inference, completion, curves, free_energies):
        app.include_router(room.router)
    app.include_router(open_inference.router)
    for base in ("/v1", "/v2"):
        path = base + "/{path:path}"
        app.add_api_route(path, _unknown, methods=_METHODS, include_in_schema=False, response_model=None)
    app.add_middleware(Shortcut, routes=[*inference.router.routes, *curves.router.routes], context=context)
    app.add_middleware(Authorised, settings=context.settings)
    app.add_middleware(Measured)
    app.add_middleware(Attributed, settings=context.settings)
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]  # FastAPI's documented way
    return app


async def _unknown(request: Request) -> NoReturn:
    """What no route answers: a method that a path does not have, a verb that is not known, or nothing at all."""
    path = request.url.path
    methods = _methods_at(request)
    if methods:
        raise HTTPException(405, headers={"Allow": ", ".join(methods)})
    verb = path.rpartition("/")[2].partition(":")[2]
    known = next((verbs for prefix, verbs in _VERBS.items() if path.startswith(prefix)), ())
    if not verb or not known:
        raise HTTPException(404)
    msg = f"verb ':{verb}' is not known at {path}; the known ones are {', '.join(known)}"
    raise NotFoundError(msg, reason="UNKNOWN_METHOD", errors=(FieldError("path", msg, ", ".join(known)),))


def _methods_at(request: Request) -> list[str]:
    """The methods that routes have at the path of ``request``."""
    routes = [route for route in request.app.routes if getattr(route, "endpoint", None) is not _unknown]
    scopes = {method: dict(request.scope) | {"method": method} for method in _METHODS}
    return [m for m, scope in scopes.items() if any(route.matches(scope)[0] is Match.FULL for route in routes)]
