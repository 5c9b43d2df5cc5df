"""Server-sent events."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from service.rest.dependencies import while_connected
from service.rest.free_energy_body import free_energy_body
from service.rest.problems import on_our_error
from service.use_cases.estimate_free_energy import FreeEnergyProgress, FreeEnergyResult
from zoo.specs.errors import HelmholtzError

EVENT_STREAM = "text/event-stream"
_SECONDS_BETWEEN = 0.2

Update = FreeEnergyProgress | FreeEnergyResult


def event(kind: str, data: Any, number: int | None = None) -> bytes:  # noqa: ANN401 - what JSON has
    """One event as it is sent."""
    return as_event(kind, orjson.dumps(data), number)


def as_event(kind: str, data: bytes, number: int | None = None) -> bytes:
    """The same, of JSON."""
    line = b"" if number is None else b"id: %d\n" % number
    return line + b"event: %s\ndata: %s\n\n" % (kind.encode(), data)


def wants_events(request: Request) -> bool:
    """Whether the client asks for events."""
    return EVENT_STREAM in request.headers.get("accept", "").lower()


def as_stream(events: AsyncIterator[bytes]) -> Response:
    """A response that sends events as they come."""
    return StreamingResponse(events, media_type=EVENT_STREAM, headers={"Cache-Control": "no-store"})


async def streamed_free_energy(request: Request, updates: AsyncGenerator[Update, None]) -> Response:
    """``progress`` with the estimate so far, a few times a second, then ``result``.

    A fault after that is an event ``error`` with its problem; what is refused before is refused as everywhere.
    """
    first = await while_connected(request, anext(updates))
    return as_stream(_free_energy_events(request, first, updates))


async def _free_energy_events(
    request: Request, first: Update, updates: AsyncGenerator[Update, None]
) -> AsyncGenerator[bytes, None]:
    yield _shown(first)
    sent = time.monotonic()
    try:
        async with aclosing(updates):
            async for update in updates:
                if isinstance(update, FreeEnergyResult) or time.monotonic() - sent >= _SECONDS_BETWEEN:
                    yield _shown(update)
                    sent = time.monotonic()
    except HelmholtzError as error:
        yield as_event("error", bytes((await on_our_error(request, error)).body))


def _shown(update: Update) -> bytes:
    if isinstance(update, FreeEnergyProgress):
        return event("progress", asdict(update))
    return event("result", free_energy_body(update))
