"""Answers that carry arrays: written in the type that the client accepts, sent in pieces as fast as it takes them."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import structlog
from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from models_registry.versions import VersionRecord
from service.rest.compression import IDENTITY, accepted_encoding, deflated
from service.rest.encoding import timing
from service.rest.formats import json_text
from service.rest.formats.media_types import JSON
from service.rest.formats.parted import Buffer, PartedArray
from service.rest.formats.table import effort, write_arrays
from service.use_cases.off_the_loop import SMALL, off_the_loop
from service.use_cases.resolve import Condition
from workers.settings import Settings

log = structlog.get_logger()

PIECE = 2**18
"""Bytes of one piece of a large answer."""

WHOLE = 2**20
"""Bytes of the largest answer that leaves in one piece."""


@dataclass(frozen=True)
class ArrayAnswer:
    """Arrays, in the order in which they are written; npy carries the first.

    JSON has ``fields`` beside them; other types have ``about``, in headers and where else they have a place for it.
    """

    arrays: Mapping[str, PartedArray]
    fields: Mapping[str, Any]
    compute_seconds: float
    about: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.arrays.values())


async def array_response(
    request: Request, media_type: str, answer: ArrayAnswer, started: float, settings: Settings
) -> Response:
    """The answer to a request that came at ``started``; large arrays are written off the event loop."""
    queue = max(0.0, time.perf_counter() - started - answer.compute_seconds)
    wish = accepted_encoding(request.headers.get("accept-encoding", ""))
    size = effort(media_type, answer.nbytes)
    body = await off_the_loop(size, _written, media_type, answer, wish)
    headers = {
        **answer.headers,
        "Server-Timing": timing(queue=queue, compute=answer.compute_seconds, encode=body.seconds),
        "Vary": "Accept, Accept-Encoding",
    }
    if media_type != JSON:
        headers |= {_header(name): text for name, text in in_texts(answer.about).items()}
    if body.encoding != IDENTITY:
        headers["Content-Encoding"] = body.encoding
    return response_of(body.buffers, headers, media_type, settings)


def response_of(buffers: Sequence[Buffer], headers: dict[str, str], media_type: str, settings: Settings) -> Response:
    """The response whose body is ``buffers``, one after the other; a large one leaves in pieces."""
    size = sum(len(buffer) for buffer in buffers)
    if size <= WHOLE:
        return Response(b"".join(buffers), 200, headers, media_type=media_type)
    headers = headers | {"Content-Length": str(size)}
    return PiecewiseResponse(buffers, headers, media_type, settings.body_seconds)


def version_headers(record: VersionRecord, seed: int | None) -> dict[str, str]:
    """What the headers of every answer of a model say: which version answered, and with which seed."""
    headers = {"X-Model-Version": str(record.version), "X-Model-Digest": record.digest}
    return headers if seed is None else headers | {"X-Seed": str(seed)}


def about_version(record: VersionRecord, seed: int | None, condition: Condition) -> dict[str, Any]:
    """The same, and the conditions, for the answers that are not JSON."""
    known = {"model": record.model, "model_version": record.version, "model_digest": record.digest}
    known |= {} if seed is None else {"seed": seed}
    return known | ({"condition": condition.values} if condition.values else {})


def at(condition: Condition) -> dict[str, Any]:
    """The conditions at which a model answered, where it has some."""
    return {"condition": condition.values} if condition.values else {}


@final
class PiecewiseResponse(Response):
    """A large body whose pieces leave one after the other, each when the client has taken most of those before it."""

    def __init__(
        self, buffers: Sequence[Buffer], headers: dict[str, str], media_type: str, seconds_per_piece: float
    ) -> None:
        super().__init__(None, 200, headers, media_type=media_type)
        self._buffers = buffers
        self._seconds = seconds_per_piece

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the body; a client that takes no piece for too long is left, and its connection closed."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            for piece in in_pieces(self._buffers, PIECE):
                async with asyncio.timeout(self._seconds):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            log.info("a client stopped reading its answer", path=scope["path"], seconds=self._seconds)


def in_pieces(buffers: Sequence[Buffer], size: int) -> Iterator[bytes]:
    """The bytes of ``buffers`` in pieces of ``size``, and a last one of what is left."""
    held: list[Buffer] = []
    free = size
    for buffer in buffers:
        view = memoryview(buffer)
        while view:
            held.append(view[:free])
            view, free = view[len(held[-1]) :], free - len(held[-1])
            if not free:
                yield b"".join(held)
                held, free = [], size
    if held:
        yield b"".join(held)


@dataclass(frozen=True)
class _Body:
    buffers: list[Buffer]
    encoding: str
    seconds: float

    @property
    def size(self) -> int:
        return sum(len(buffer) for buffer in self.buffers)


def _written(media_type: str, answer: ArrayAnswer, wish: str) -> _Body:
    """The body, compressed as the client wishes where that makes a large one smaller."""
    started = time.perf_counter()
    if media_type == JSON:
        buffers = json_text.write(answer.arrays, answer.fields)
    else:
        buffers = write_arrays(media_type, answer.arrays, in_texts(answer.about))
    plain = _Body(buffers, IDENTITY, time.perf_counter() - started)
    if wish == IDENTITY or plain.size <= SMALL:
        return plain
    packed = deflated(buffers, wish)
    compressed = _Body(packed, wish, time.perf_counter() - started)
    return compressed if compressed.size < plain.size else plain


def in_texts(about: Mapping[str, Any]) -> dict[str, str]:
    """Each value as text in ASCII: JSON, but names as they are."""
    return {
        name: value if isinstance(value, str) and value.isascii() and value.isprintable() else json.dumps(value)
        for name, value in about.items()
    }


def _header(name: str) -> str:
    return "X-" + name.replace("_", "-").title()
