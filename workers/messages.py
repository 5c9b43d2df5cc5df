"""What travels between gateway and engine over Redis streams: msgpack with numpy arrays, no torch."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import msgpack
import numpy as np
from numpy.typing import NDArray

from zoo.specs import errors
from zoo.specs.errors import FieldError, HelmholtzError, UnavailableError

Priority = Literal["interactive", "bulk"]

REQUEST_STREAM = "helmholtz:requests"
REQUEST_STREAMS: dict[Priority, str] = {"interactive": REQUEST_STREAM, "bulk": "helmholtz:requests:bulk"}
"""Short requests, and those whose answers take long: engines take turns between the two."""
OWN_STREAM = "helmholtz:requests:of:"  # + engine name: what this engine is asked for and no other
ENGINE_GROUP = "engines"
ENGINE_KEY = "helmholtz:engine:"  # + engine name: present while that engine is alive
ENGINE_METRICS_KEY = "helmholtz:engine-metrics:"  # + engine name: its metrics in Prometheus's text format
CANCEL_KEY = "helmholtz:cancelled:"  # + request id: the client has gone
GATEWAY_KEY = "helmholtz:gateway:"  # + reply stream: present while somebody reads it
ENGINE_TTL_SECONDS = 5
GATEWAY_TTL_SECONDS = 15
OWN_STREAM_TTL_SECONDS = 600  # counted from the last sign of life of its engine
FIELD = b"m"  # the one field of every stream entry

_NDARRAY = 1


@dataclass(frozen=True)
class Request:
    """One operation for an engine.  ``deadline`` is seconds since 1970; ``reply_to`` the gateway's reply stream."""

    id: str
    reply_to: str
    deadline: float
    operation: str
    payload: dict[str, Any]
    priority: Priority = "interactive"
    trace: str = ""
    """The request's name in the logs."""
    engine: str = ""
    """The one engine that is asked; any of them where there is no name."""


@dataclass(frozen=True)
class Reply:
    """One part of an answer, numbered from 0; ``final`` ends it.  ``error`` is set instead of ``body``."""

    id: str
    part: int
    final: bool
    body: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] | None = None


def encode(message: Request | Reply) -> bytes:
    """The message as msgpack."""
    fields = {name: getattr(message, name) for name in message.__dataclass_fields__}
    return pack(fields)


def decode_request(data: bytes) -> Request:
    """The request that ``encode`` wrote."""
    return Request(**unpack(data))


def decode_reply(data: bytes) -> Reply:
    """The reply that ``encode`` wrote."""
    return Reply(**unpack(data))


def pack(value: Any) -> bytes:  # noqa: ANN401 - JSON-like data with arrays
    """JSON-like data with numpy arrays as msgpack."""
    packed: bytes = msgpack.packb(value, default=_pack_array)
    return packed


def unpack(data: bytes) -> Any:  # noqa: ANN401 - JSON-like data with arrays
    """The data that ``pack`` wrote."""
    return msgpack.unpackb(data, ext_hook=_unpack_array)


def error_fields(error: HelmholtzError) -> dict[str, Any]:
    """An error as data, to be raised again on the other side."""
    return {
        "type": type(error).__name__,
        "detail": error.detail,
        "reason": error.reason,
        "errors": [asdict(e) for e in error.errors],
        "retry_after_seconds": getattr(error, "retry_after_seconds", None),
    }


def error_from_fields(fields: dict[str, Any]) -> HelmholtzError:
    """The error that ``error_fields`` described."""
    error_class = getattr(errors, fields["type"])
    if issubclass(error_class, UnavailableError):
        unavailable: HelmholtzError = error_class(
            fields["detail"], reason=fields["reason"], retry_after_seconds=fields["retry_after_seconds"]
        )
        return unavailable
    error: HelmholtzError = error_class(
        fields["detail"], reason=fields["reason"], errors=tuple(FieldError(**e) for e in fields["errors"])
    )
    return error


def _pack_array(value: object) -> msgpack.ExtType:
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        header = [value.dtype.str, list(value.shape)]
        return msgpack.ExtType(_NDARRAY, msgpack.packb([*header, np.ascontiguousarray(value).tobytes()]))
    if isinstance(value, np.generic):
        return value.item()
    msg = f"{type(value).__name__} cannot travel in a message"
    raise TypeError(msg)


def _unpack_array(code: int, data: bytes) -> NDArray[np.generic] | msgpack.ExtType:
    if code != _NDARRAY:
        return msgpack.ExtType(code, data)
    dtype, shape, buffer = msgpack.unpackb(data)
    array: NDArray[np.generic] = np.frombuffer(buffer, dtype=np.dtype(dtype)).reshape(shape)
    return array
