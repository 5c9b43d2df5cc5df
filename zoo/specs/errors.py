"""The exception tree: what can go wrong, in words a user can act on.

HTTP and gRPC codes are given to these classes in ``service.rest`` and ``service.rpc`` alone.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FieldError:
    """One offending field of a request: where it is, what is wrong, and what would be accepted."""

    path: str
    message: str
    allowed: str | None = None


class HelmholtzError(Exception):
    """Base of every error that is the answer to somebody.

    ``detail`` says what was asked, what was expected, what came and what to do; ``reason`` is stable and UPPER_SNAKE.
    """

    title: ClassVar[str] = "Something went wrong"
    reason: str = "INTERNAL"

    def __init__(self, detail: str, *, reason: str | None = None, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        if reason is not None:
            self.reason = reason


class MalformedError(HelmholtzError):
    """The bytes could not be read as what they claim to be (broken JSON, broken npy)."""

    title = "The request could not be read"
    reason = "MALFORMED"


class InvalidValueError(HelmholtzError):
    """The request was read, and a value in it is not allowed."""

    title = "A value is not allowed"
    reason = "INVALID_VALUE"


class LimitExceededError(InvalidValueError):
    """A value is meaningful but larger than this installation allows."""

    title = "A limit is exceeded"
    reason = "LIMIT_EXCEEDED"


class UnauthenticatedError(HelmholtzError):
    """The request carries no API key, or one that is not known here."""

    title = "An API key is needed"
    reason = "UNAUTHENTICATED"


class NotFoundError(HelmholtzError):
    """What was asked for does not exist."""

    title = "Not found"
    reason = "NOT_FOUND"


class NoExactReferenceError(NotFoundError):
    """No exact solution is known for this target."""

    title = "No exact reference"
    reason = "NO_EXACT_REFERENCE"


class StateConflictError(HelmholtzError):
    """The request is valid, but not in the state that things are in."""

    title = "Not possible in the present state"
    reason = "CONFLICT"


class CapabilityMissingError(StateConflictError):
    """The model family, or the physical system, does not have what was asked for."""

    title = "This model or system cannot do that"
    reason = "CAPABILITY_MISSING"


class PreconditionFailedError(HelmholtzError):
    """The If-Match of the request names another state than the present one."""

    title = "The precondition failed"
    reason = "PRECONDITION_FAILED"


class PreconditionRequiredError(HelmholtzError):
    """The change needs an If-Match and none came."""

    title = "A precondition is required"
    reason = "PRECONDITION_REQUIRED"


class PayloadTooLargeError(HelmholtzError):
    """The body has more bytes than this installation reads."""

    title = "The body is too large"
    reason = "PAYLOAD_TOO_LARGE"


class BodyTooSlowError(HelmholtzError):
    """The body of the request has not arrived in the time that this installation waits for one."""

    title = "The body came too slowly"
    reason = "REQUEST_TIMEOUT"


class UnsupportedMediaTypeError(HelmholtzError):
    """The body's content type is not one of those that are read here."""

    title = "Unsupported content type"
    reason = "UNSUPPORTED_MEDIA_TYPE"


class NotAcceptableError(HelmholtzError):
    """The answer cannot be encoded in any of the types that the client accepts."""

    title = "Not acceptable"
    reason = "NOT_ACCEPTABLE"


class UnavailableError(HelmholtzError):
    """A dependency is away, or the service is full or draining; the same request can succeed later."""

    title = "Temporarily unavailable"
    reason = "UNAVAILABLE"

    def __init__(self, detail: str, *, reason: str | None = None, retry_after_seconds: float = 1.0) -> None:
        super().__init__(detail, reason=reason)
        self.retry_after_seconds = retry_after_seconds


class ShareExceededError(UnavailableError):
    """The caller has as much in progress as one caller may have; the same request can succeed later."""

    title = "Your share is used up"
    reason = "SHARE_EXCEEDED"


class DeadlineExceededError(HelmholtzError):
    """The answer was not ready when the deadline passed."""

    title = "The deadline passed"
    reason = "DEADLINE_EXCEEDED"


class CorruptArtifactError(HelmholtzError):
    """Stored bytes do not have the digest they were stored under."""

    title = "Stored data is corrupt"
    reason = "CORRUPT_ARTIFACT"


class NumericalError(HelmholtzError):
    """A computation produced numbers that are not finite, or did not converge."""

    title = "The computation failed numerically"
    reason = "NUMERICAL_FAILURE"
