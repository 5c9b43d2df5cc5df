"""Answers in the type the client accepts: JSON, or npy for one array."""

import io
from typing import Any

import numpy as np
import orjson
from fastapi import Request, Response
from numpy.typing import NDArray

from service.rest.bodies import JSON, NPY
from zoo.specs.errors import NotAcceptableError

OFFERED = (JSON, NPY)


def negotiate(request: Request) -> str:
    """The media type to answer in: the best of the Accept header, JSON when it leaves the choice.

    Raises:
        NotAcceptableError: none of the accepted types is offered.
    """
    accepted = _accepted(request.headers.get("accept", "*/*"))
    for media_type in accepted:
        if media_type in {"*/*", "application/*"}:
            return JSON
        if media_type in OFFERED:
            return media_type
    msg = f"{', '.join(accepted)} is accepted by the client; this answer exists as {' and '.join(OFFERED)}"
    raise NotAcceptableError(msg)


def json_response(data: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON; numpy arrays become nested lists, numbers that are not finite become null."""
    body = orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, headers, media_type=JSON)


def npy_response(array: NDArray[np.generic], headers: dict[str, str]) -> Response:
    """One array as npy, little-endian."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
    return Response(stream.getvalue(), 200, headers, media_type=NPY)


def one_array_only(names: list[str]) -> NotAcceptableError:
    """The error of asking npy for more than one array."""
    msg = f"a npy answer carries one array and {', '.join(names)} were asked; drop `include`, or accept {JSON}"
    return NotAcceptableError(msg, reason="ONE_ARRAY_ONLY")


def timing(**seconds: float) -> str:
    """A Server-Timing header value, in milliseconds."""
    return ", ".join(f"{name};dur={1000 * value:.3f}" for name, value in seconds.items())


def _accepted(header: str) -> list[str]:
    ranked: list[tuple[float, str]] = []
    for item in header.split(","):
        media_type, _, parameters = item.partition(";")
        quality = 1.0
        for parameter in parameters.split(";"):
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                quality = _number(value)
        if quality > 0:
            ranked.append((-quality, media_type.strip().lower()))
    return [media_type for _, media_type in sorted(ranked, key=lambda pair: pair[0])]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def plain(value: Any) -> Any:  # noqa: ANN401 - JSON-like data
    """A number that JSON can hold: None for NaN and infinities."""
    return None if isinstance(value, float) and not np.isfinite(value) else value
