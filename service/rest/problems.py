"""Errors as problem+json (RFC 9457); HTTP's codes are given to our errors here and nowhere else."""

import re
from dataclasses import asdict
from http import HTTPStatus
from math import ceil

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from service.rest.dependencies import ClientGoneError
from zoo.specs.errors import (
    BodyTooSlowError,
    CapabilityMissingError,
    CorruptArtifactError,
    DeadlineExceededError,
    FieldError,
    HelmholtzError,
    InvalidValueError,
    MalformedError,
    NotAcceptableError,
    NotFoundError,
    NumericalError,
    PayloadTooLargeError,
    PreconditionFailedError,
    PreconditionRequiredError,
    ShareExceededError,
    StateConflictError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedMediaTypeError,
)

log = structlog.get_logger()

_OPEN_INFERENCE = r"/v2(/|$)"

STATUS: dict[type[HelmholtzError], int] = {
    MalformedError: 400,
    UnauthenticatedError: 401,
    NotFoundError: 404,
    NotAcceptableError: 406,
    BodyTooSlowError: 408,
    StateConflictError: 409,
    CapabilityMissingError: 409,
    CorruptArtifactError: 409,
    NumericalError: 422,
    PreconditionFailedError: 412,
    PayloadTooLargeError: 413,
    UnsupportedMediaTypeError: 415,
    InvalidValueError: 422,
    PreconditionRequiredError: 428,
    ClientGoneError: 499,  # nobody reads it; the metrics tell it from a fault of ours
    ShareExceededError: 429,
    UnavailableError: 503,
    DeadlineExceededError: 504,
    HelmholtzError: 500,
}


def problem(
    status: int, title: str, detail: str, reason: str, instance: str, errors: tuple[FieldError, ...] = ()
) -> Response:
    """A problem+json response; under /v2 what the Open Inference Protocol has in its place."""
    if re.match(_OPEN_INFERENCE, instance):
        # its clients know no 422
        code = HTTPStatus.BAD_REQUEST if status == HTTPStatus.UNPROCESSABLE_ENTITY else status
        return Response(orjson.dumps({"error": detail}), code, media_type="application/json")
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
        "reason": reason,
        "errors": [asdict(e) for e in errors],
    }
    return Response(orjson.dumps(body), status, media_type="application/problem+json")


def status_of(error: HelmholtzError) -> int:
    """The HTTP status of an error, by the nearest class in the table."""
    return next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)


def install(app: FastAPI) -> None:
    """Answer every error of ``app`` that is not a bug as problem+json."""
    app.add_exception_handler(HelmholtzError, on_our_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_parameter_error)


async def on_our_error(request: Request, error: Exception) -> Response:
    """The problem that an error of ours is."""
    assert isinstance(error, HelmholtzError)  # noqa: S101 - what it was installed for
    status = status_of(error)
    response = problem(status, error.title, error.detail, error.reason, request.url.path, error.errors)
    if isinstance(error, UnavailableError):
        response.headers["Retry-After"] = str(max(1, ceil(error.retry_after_seconds)))
    if status == HTTPStatus.REQUEST_TIMEOUT:
        response.headers["Connection"] = "close"  # what is still to come of the body is not another request
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it was installed for
    title = HTTPStatus(error.status_code).phrase
    detail = {
        404: f"there is nothing at {request.url.path}; GET /docs lists what there is",
        405: f"{request.method} is not possible at {request.url.path}",
    }.get(error.status_code, str(error.detail))
    reason = title.upper().replace(" ", "_").replace("-", "_")
    response = problem(error.status_code, title, detail, reason, request.url.path)
    response.headers.update(error.headers or {})
    return response


async def _on_parameter_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it was installed for
    errors = tuple(
        FieldError(".".join(str(x) for x in e["loc"][1:]), f"{e['msg']}; {e.get('input')!r} came")
        for e in error.errors()
    )
    detail = "; ".join(f"{e.path}: {e.message}" for e in errors)
    return problem(422, InvalidValueError.title, detail, InvalidValueError.reason, request.url.path, errors)


async def on_bug(request: Request, error: Exception) -> Response:
    """What is answered to a fault of ours; the log has the rest."""
    log.error("unexpected error", path=request.url.path, exc_info=error)
    detail = "this is a fault of the service, not of the request; its log has the reason"
    return problem(500, HelmholtzError.title, detail, HelmholtzError.reason, request.url.path)
