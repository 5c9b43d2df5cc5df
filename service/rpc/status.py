"""Errors as gRPC statuses (google.rpc.Code); gRPC's codes are given to our errors here and nowhere else."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn, TypeAlias

import grpc
import structlog

from zoo.specs.errors import (
    CorruptArtifactError,
    DeadlineExceededError,
    HelmholtzError,
    InvalidValueError,
    LimitExceededError,
    MalformedError,
    NotFoundError,
    StateConflictError,
    UnauthenticatedError,
    UnavailableError,
)

log = structlog.get_logger()

CODES: dict[type[HelmholtzError], grpc.StatusCode] = {
    MalformedError: grpc.StatusCode.INVALID_ARGUMENT,
    InvalidValueError: grpc.StatusCode.INVALID_ARGUMENT,
    LimitExceededError: grpc.StatusCode.OUT_OF_RANGE,
    UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    StateConflictError: grpc.StatusCode.FAILED_PRECONDITION,
    CorruptArtifactError: grpc.StatusCode.DATA_LOSS,
    UnavailableError: grpc.StatusCode.UNAVAILABLE,
    DeadlineExceededError: grpc.StatusCode.DEADLINE_EXCEEDED,
    HelmholtzError: grpc.StatusCode.INTERNAL,
}

Call: TypeAlias = grpc.aio.ServicerContext


def code_of(error: HelmholtzError) -> grpc.StatusCode:
    """The gRPC status code of an error, by the nearest class in the table."""
    return next(CODES[cls] for cls in type(error).__mro__ if cls in CODES)


def statuses(method: Callable[[Any, Any, Call], Awaitable[Any]]) -> Callable[[Any, Any, Call], Awaitable[Any]]:
    """The unary ``method`` with our errors answered as statuses."""

    @functools.wraps(method)
    async def wrapped(self: object, request: object, call: Call) -> object:
        try:
            return await method(self, request, call)
        except Exception as error:
            await _abort(call, error)

    return wrapped


def statuses_streaming(
    method: Callable[[Any, Any, Call], AsyncIterator[Any]],
) -> Callable[[Any, Any, Call], AsyncIterator[Any]]:
    """The streaming ``method`` with our errors answered as statuses."""

    @functools.wraps(method)
    async def wrapped(self: object, request: object, call: Call) -> AsyncIterator[object]:
        try:
            async for message in method(self, request, call):
                yield message
        except Exception as error:
            await _abort(call, error)

    return wrapped


async def _abort(call: Call, error: Exception) -> NoReturn:
    """End the call with the error's status; ``reason`` travels in the trailing metadata."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not isinstance(error, HelmholtzError):
        log.error("unexpected error", exc_info=error)
        error = HelmholtzError("this is a fault of the service, not of the request; its log has the reason")
    metadata = [("reason", error.reason)]
    if isinstance(error, UnavailableError):
        metadata.append(("retry-after", f"{error.retry_after_seconds:g}"))
    await call.abort(code_of(error), error.detail, tuple(metadata))
    msg = "abort returned"
    raise AssertionError(msg)
