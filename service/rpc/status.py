"""Errors as gRPC statuses (google.rpc.Code); gRPC's codes are given to our errors here and nowhere else."""

import asyncio
import functools
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, NoReturn, TypeAlias

import grpc
import structlog
from google.protobuf.any_pb2 import Any as Packed  # type: ignore[import-untyped]
from google.rpc import error_details_pb2, status_pb2

from service.wishes import WISHES
from zoo.specs.errors import (
    BodyTooSlowError,
    CapabilityMissingError,
    CorruptArtifactError,
    DeadlineExceededError,
    FieldError,
    HelmholtzError,
    InvalidValueError,
    LimitExceededError,
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

CODES: dict[type[HelmholtzError], grpc.StatusCode] = {
    MalformedError: grpc.StatusCode.INVALID_ARGUMENT,
    InvalidValueError: grpc.StatusCode.INVALID_ARGUMENT,
    LimitExceededError: grpc.StatusCode.OUT_OF_RANGE,
    UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    StateConflictError: grpc.StatusCode.FAILED_PRECONDITION,
    CapabilityMissingError: grpc.StatusCode.FAILED_PRECONDITION,
    PreconditionFailedError: grpc.StatusCode.ABORTED,  # google.rpc's word for a test-and-set that failed
    PreconditionRequiredError: grpc.StatusCode.FAILED_PRECONDITION,
    PayloadTooLargeError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    BodyTooSlowError: grpc.StatusCode.DEADLINE_EXCEEDED,
    UnsupportedMediaTypeError: grpc.StatusCode.INVALID_ARGUMENT,
    NotAcceptableError: grpc.StatusCode.INVALID_ARGUMENT,
    NumericalError: grpc.StatusCode.INVALID_ARGUMENT,
    CorruptArtifactError: grpc.StatusCode.DATA_LOSS,
    ShareExceededError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    UnavailableError: grpc.StatusCode.UNAVAILABLE,
    DeadlineExceededError: grpc.StatusCode.DEADLINE_EXCEEDED,
    HelmholtzError: grpc.StatusCode.INTERNAL,
}

DOMAIN = "helmholtz"
DETAILS_KEY = "grpc-status-details-bin"
TRACE_KEY = "x-request-id"

UNREAD_SECONDS = 60.0
"""How long a message may wait for a client that does not read; more than a few are not sent before they are read."""

# Clients refuse metadata of more than 8 KiB; the detail travels in it twice, once more in base64.
_LONGEST_DETAIL = 1200
_LONGEST_VIOLATIONS = 1500

Call: TypeAlias = grpc.aio.ServicerContext
Status: TypeAlias = status_pb2.Status


def code_of(error: HelmholtzError) -> grpc.StatusCode:
    """The gRPC status code of an error, by the nearest class in the table."""
    return next(CODES[cls] for cls in type(error).__mro__ if cls in CODES)


def status_of(error: HelmholtzError) -> Status:
    """The error as google.rpc.Status: ErrorInfo with its reason, BadRequest with its fields, RetryInfo with a delay."""
    details = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)]
    if error.errors:
        details.append(error_details_pb2.BadRequest(field_violations=_violations(error.errors)))
    if isinstance(error, UnavailableError):
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(round(error.retry_after_seconds * 1e9))
        details.append(retry)
    if trace := WISHES.get().trace:
        details.append(error_details_pb2.RequestInfo(request_id=trace))
    status = status_pb2.Status(code=code_of(error).value[0], message=_cut(error.detail, _LONGEST_DETAIL))
    for detail in details:
        packed = Packed()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def statuses(method: Callable[[Any, Any, Call], Awaitable[Any]]) -> Callable[[Any, Any, Call], Awaitable[Any]]:
    """The unary ``method`` with our errors answered as statuses; a call whose time has passed is not begun."""

    @functools.wraps(method)
    async def wrapped(self: object, request: object, call: Call) -> object:
        _repeat_the_name(call)
        try:
            _check_deadline(call)
            return await method(self, request, call)
        except Exception as error:
            await abort(call, error)

    return wrapped


def statuses_streaming(
    method: Callable[[Any, Any, Call], AsyncGenerator[Any, None]],
) -> Callable[[Any, Any, Call], Awaitable[None]]:
    """The streaming ``method`` with our errors answered as statuses; when the client goes it is closed at once."""

    @functools.wraps(method)
    async def wrapped(self: object, request: object, call: Call) -> None:
        _repeat_the_name(call)
        # a coroutine that writes: gRPC would leave a generator of a call that was cancelled to the garbage collector
        async with aclosing(method(self, request, call)) as messages:
            while (message := await _next(messages, call)) is not None:
                if not await _is_taken(call, message):
                    break
            else:
                return
        # only now: this, too, waits for the client
        msg = f"the client has read nothing for {UNREAD_SECONDS:g} s; ask again, and read what comes"
        await abort(call, DeadlineExceededError(msg))

    return wrapped


async def _is_taken(call: Call, message: object) -> bool:
    """Send a message; False where the client does not read, which is not waited for without end."""
    try:
        async with asyncio.timeout(UNREAD_SECONDS):
            await call.write(message)
    except TimeoutError:
        return False
    except grpc.aio.InternalError:  # the client went while this was sent, which gRPC would log as a fault of ours
        raise asyncio.CancelledError from None
    return True


async def _next(messages: AsyncGenerator[Any, None], call: Call) -> object | None:
    """The next message; None after the last."""
    try:
        _check_deadline(call)
        return await anext(messages, None)
    except Exception as error:
        await abort(call, error)


def _check_deadline(call: Call) -> None:
    left = call.time_remaining()
    if left is not None and left <= 0:
        msg = "the deadline had passed before the work began; allow more time"
        raise DeadlineExceededError(msg)


def _repeat_the_name(call: Call) -> None:
    """What a call ends with tells its name, as X-Request-Id does in REST."""
    if trace := WISHES.get().trace:
        call.set_trailing_metadata(((TRACE_KEY, trace),))


async def abort(call: Call, error: Exception) -> NoReturn:
    """End the call with the error's status; ``reason`` stands in the trailing metadata by itself, too."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not isinstance(error, HelmholtzError):
        log.error("unexpected error", exc_info=error)
        error = HelmholtzError("this is a fault of the service, not of the request; its log has the reason")
    status = status_of(error)
    metadata = [("reason", error.reason), (DETAILS_KEY, status.SerializeToString())]
    if isinstance(error, UnavailableError):
        metadata.append(("retry-after", f"{error.retry_after_seconds:g}"))
    if trace := WISHES.get().trace:
        metadata.append((TRACE_KEY, trace))
    await call.abort(code_of(error), status.message, tuple(metadata))
    msg = "abort returned"
    raise AssertionError(msg)


def _violations(errors: tuple[FieldError, ...]) -> list[error_details_pb2.BadRequest.FieldViolation]:
    """The fields at fault, as many as fit into the metadata."""
    found: list[error_details_pb2.BadRequest.FieldViolation] = []
    left = _LONGEST_VIOLATIONS
    for error in errors:
        field = _cut(error.path, _LONGEST_VIOLATIONS // 5)
        violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=_cut(error.message, left // 2))
        left -= violation.ByteSize()
        if left < 0:
            break
        found.append(violation)
    return found


def _cut(text: str, most: int) -> str:
    """The text, cut where it takes more than ``most`` bytes on the wire, which are three for each that is no ASCII."""
    if not text.isascii():
        most //= 3
    data = text.encode()
    return text if len(data) <= most else data[: most - 3].decode(errors="ignore") + "..."
