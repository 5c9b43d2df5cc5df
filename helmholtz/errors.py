"""The exception tree of the client: everything that can go wrong between a question and its answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class HelmholtzError(Exception):
    """Base of every error that this library raises."""


class InvalidArgumentError(HelmholtzError, ValueError):
    """An argument that cannot be sent to any service: ragged samples, NaN in JSON, an empty name, an unreadable URL."""


class ServiceUnreachableError(HelmholtzError, ConnectionError):
    """No answer came from the URL."""


class NoAnswerInTimeError(ServiceUnreachableError, TimeoutError):
    """The service was reached and did not answer within the client's timeout."""


class UnexpectedAnswerError(HelmholtzError):
    """An answer came, and it is not one that a Helmholtz service gives."""


class JobEndedError(HelmholtzError):
    """The job that was waited for ended without a result; ``job_id`` and ``state`` say which and how."""

    def __init__(self, message: str, *, job_id: str, state: str) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.state = state


class JobFailedError(JobEndedError):
    """The job failed."""


class JobCancelledError(JobEndedError):
    """The job was cancelled."""


class AnsweredAsJobError(HelmholtzError):
    """The service takes the request to be too long to wait for, and made the job ``job_id`` of it instead."""

    def __init__(self, message: str, *, job_id: str) -> None:
        super().__init__(message)
        self.job_id = job_id


class WaitTimeoutError(HelmholtzError, TimeoutError):
    """The time given to wait is over; what was waited for goes on."""


@dataclass(frozen=True)
class FieldError:
    """One offending field of a request: where it is, what is wrong, and what would be accepted."""

    path: str
    message: str
    allowed: Any = None

    def __str__(self) -> str:
        allowed = "" if self.allowed is None else f" (allowed: {self.allowed})"
        return f"{self.path}: {self.message}{allowed}"


class ApiError(HelmholtzError):
    """The service refused: an RFC 9457 problem.

    Attributes:
        status: the HTTP status.
        title: what kind of problem it is, in a few words.
        detail: what was asked, what was expected, what came, what to do.
        reason: UPPER_SNAKE and stable, for programs.
        errors: the offending fields.
        retry_after: seconds after which the same request may succeed, where the service says so.
        problem: the whole problem document.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: float | None = None) -> None:
        self.status = status
        self.title = str(problem.get("title") or f"HTTP {status}")
        self.detail = str(problem.get("detail") or self.title)
        self.reason = str(problem.get("reason") or "UNKNOWN")
        self.errors = tuple(_field_error(entry) for entry in problem.get("errors") or ())
        self.retry_after = retry_after
        self.problem = dict(problem)
        super().__init__(self._message())

    def _message(self) -> str:
        lines = [f"{self.detail} (HTTP {self.status}, {self.reason})"]
        lines += [f"  {error}" for error in self.errors if error.message not in self.detail]
        return "\n".join(lines)


class ClientFaultError(ApiError):
    """4xx: the request has to change."""


class MalformedRequestError(ClientFaultError):
    """400: the request could not be read."""


class UnauthorizedError(ClientFaultError):
    """401: an API key is needed, or this one is not known."""


class ForbiddenError(ClientFaultError):
    """403: this API key may not do that."""


class NotFoundError(ClientFaultError):
    """404: what was asked for does not exist (reason ``NO_EXACT_REFERENCE``: no exact solution is known)."""


class NotAcceptableError(ClientFaultError):
    """406: the answer cannot be encoded as asked."""


class ConflictError(ClientFaultError):
    """409: not possible in the present state (``CAPABILITY_MISSING``, ``JOB_FINISHED``, ``PHYSICS_GATE``)."""


class PreconditionFailedError(ClientFaultError):
    """412: If-Match names another state than the present one; read it again."""


class PayloadTooLargeError(ClientFaultError):
    """413: too many bytes."""


class UnsupportedMediaTypeError(ClientFaultError):
    """415: the content type is not read here."""


class InvalidValueError(ClientFaultError):
    """422: a value is not allowed (``LIMIT_EXCEEDED``: larger than this installation allows)."""


class PreconditionRequiredError(ClientFaultError):
    """428: moving an alias needs If-Match."""


class TooManyRequestsError(ClientFaultError):
    """429: this caller's share is used up; ``retry_after`` says until when."""


class ServerFaultError(ApiError):
    """5xx: the service could not answer."""


class UnavailableError(ServerFaultError):
    """503: full, draining, or a dependency is away; ``retry_after`` says until when."""


class DeadlineExceededError(ServerFaultError):
    """504: the answer was not ready when the deadline passed."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: MalformedRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    406: NotAcceptableError,
    409: ConflictError,
    412: PreconditionFailedError,
    413: PayloadTooLargeError,
    415: UnsupportedMediaTypeError,
    422: InvalidValueError,
    428: PreconditionRequiredError,
    429: TooManyRequestsError,
    503: UnavailableError,
    504: DeadlineExceededError,
}


def api_error(status: int, problem: Mapping[str, Any], retry_after: float | None = None) -> ApiError:
    """The error of the class that belongs to ``status``; unlisted ones are the client's (4xx) or the server's."""
    family = ServerFaultError if status >= 500 else ClientFaultError
    return _BY_STATUS.get(status, family)(status, problem, retry_after)


def _field_error(entry: object) -> FieldError:
    if not isinstance(entry, Mapping):
        return FieldError("?", str(entry))
    return FieldError(str(entry.get("path", "?")), str(entry.get("message", "")), entry.get("allowed"))
