"""The type of an answer, and answers that are small or of one array: JSON and npy."""

import io
from typing import Any

import numpy as np
import orjson
from fastapi import Request, Response
from numpy.typing import NDArray

from service.rest.formats.media_types import BINARY, JSON, NPY, NPZ
from zoo.specs.errors import NotAcceptableError

OFFERED = (JSON, *BINARY)

_PART = 2**18  # bytes of an array that are encoded between two chances for other threads


def negotiate(request: Request, offered: tuple[str, ...] = OFFERED) -> str:
    """The media type to answer in: the best of the Accept header, JSON when it leaves the choice.

    Raises:
        NotAcceptableError: none of the accepted types is offered.
    """
    header = request.headers.get("accept", "*/*")
    qualities = _qualities(header)
    ranks = {media_type: _rank(media_type, qualities) for media_type in offered}
    best = max(offered, key=lambda media_type: ranks[media_type])  # the first of equals: JSON
    if ranks[best][0] > 0:
        return best
    msg = f"the client accepts {header[:200]!r}; this answer exists as {' and '.join(offered)}"
    raise NotAcceptableError(msg)


def json_response(data: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON; numpy arrays become nested lists, numbers that are not finite become null."""
    if isinstance(data, dict):
        data = {name: _in_parts(value) for name, value in data.items()}
    body = orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, headers, media_type=JSON)


def _in_parts(value: object) -> object:
    """What encodes as ``value``: a large array is encoded here, some rows at a time."""
    if not isinstance(value, np.ndarray) or value.nbytes <= _PART:
        return value
    step = max(1, _PART * len(value) // value.nbytes)
    rows = [value[i : i + step] for i in range(0, len(value), step)]
    return orjson.Fragment(
        b"[" + b",".join(orjson.dumps(r, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1] for r in rows) + b"]"
    )


def not_modified(request: Request, etag: str) -> Response | None:
    """304 when the If-None-Match of a request names ``etag``, else None."""
    named = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    return Response(status_code=304, headers={"ETag": etag}) if named & {etag, "*"} else None


def npy_response(array: NDArray[np.generic], headers: dict[str, str]) -> Response:
    """One array as npy, little-endian."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
    return Response(stream.getvalue(), 200, headers, media_type=NPY)


def one_array_only(names: list[str]) -> NotAcceptableError:
    """The error of asking npy for more than one array."""
    msg = f"a npy answer carries one array and {', '.join(names)} were asked; ask for one, or accept {NPZ} or {JSON}"
    return NotAcceptableError(msg, reason="ONE_ARRAY_ONLY")


def timing(**seconds: float) -> str:
    """A Server-Timing header value, in milliseconds."""
    return ", ".join(f"{name};dur={1000 * value:.3f}" for name, value in seconds.items())


def _qualities(header: str) -> dict[str, float]:
    """The quality that an Accept header gives to each media range."""
    found: dict[str, float] = {}
    for item in header.split(","):
        media_range, _, parameters = item.partition(";")
        pairs = (parameter.partition("=") for parameter in parameters.split(";"))
        given = [_number(value) for name, _, value in pairs if name.strip() == "q"]
        found[media_range.strip().lower()] = given[0] if given else 1.0
    return found


def _rank(media_type: str, qualities: dict[str, float]) -> tuple[float, int]:
    """The quality of a media type, that of the most specific range that has it; of equals the one named first wins."""
    ranges = (media_type, media_type.partition("/")[0] + "/*", "*/*")
    name = next((name for name in ranges if name in qualities), None)
    return (0.0, 0) if name is None else (qualities[name], -list(qualities).index(name))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def plain(value: Any) -> Any:  # noqa: ANN401 - JSON-like data
    """A number that JSON can hold: None for NaN and infinities."""
    return None if isinstance(value, float) and not np.isfinite(value) else value
