"""What every route may ask for: the context, the caller, the time that the client gives."""

import asyncio
import re
from collections.abc import Awaitable
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, Header, Query, Request

from service.context import Context
from zoo.specs.errors import FieldError, HelmholtzError, InvalidValueError

ResultT = TypeVar("ResultT")

_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?([^\s,;\"]*)", re.IGNORECASE)


async def get_context(request: Request) -> Context:  # a coroutine: others would each be run in a thread
    """The gateway's context."""
    context: Context = request.app.state.context
    return context


ContextOf = Annotated[Context, Depends(get_context)]


def caller_of(request: Request) -> str:
    """Who asks: idempotency keys are unique for each caller."""
    return str(getattr(request.state, "caller", "local"))


async def seconds_allowed(context: ContextOf, prefer: Annotated[str | None, Header()] = None) -> float:
    """Seconds that the client waits: ``Prefer: wait=N``, else the synchronous limit.

    Raises:
        InvalidValueError: not a number, or more than the longest wait that is allowed here.
    """
    match = _WAIT.search(prefer or "")
    if match is None:
        return context.settings.sync_limit_seconds
    asked, longest = match.group(1), context.settings.max_wait_seconds
    try:
        seconds = float(asked)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= longest:
        message = f"wait={asked[:80]} asked; more than 0 and at most {longest:g} seconds are allowed"
        raise InvalidValueError(
            f"Prefer: {message}", errors=(FieldError("Prefer", message, f"0 < wait <= {longest:g}"),)
        )
    return seconds


SecondsAllowed = Annotated[float, Depends(seconds_allowed)]


async def prefers_job(prefer: Annotated[str | None, Header()] = None) -> bool:
    """Whether the client would rather have a job than wait: ``Prefer: respond-async``."""
    words = re.split(r"[,;]", (prefer or "").lower())
    return "respond-async" in {word.strip() for word in words}


PrefersJob = Annotated[bool, Depends(prefers_job)]


async def asked_by_query(
    beta: Annotated[float | None, Query(description="Inverse temperature, where it is not in the body")] = None,
    condition: Annotated[
        str | None, Query(description='Values of conditions as a JSON object, such as {"label": 3}')
    ] = None,
) -> dict[str, Any]:
    """The conditions in the query, as they would be in a JSON body: beside a binary body they travel there.

    Raises:
        InvalidValueError: ``condition`` is no JSON object.
    """
    asked: dict[str, Any] = {} if beta is None else {"beta": beta}
    if condition is None:
        return asked
    try:
        values = orjson.loads(condition)
    except orjson.JSONDecodeError:
        values = None
    if not isinstance(values, dict):
        message = f'{condition[:80]!r} came; a JSON object such as {{"label": 3}} was expected'
        raise InvalidValueError(f"condition: {message}", errors=(FieldError("condition", message),))
    return asked | {"condition": values}


AskedByQuery = Annotated[dict[str, Any], Depends(asked_by_query)]


class ClientGoneError(HelmholtzError):
    """The client closed the connection before the answer was ready; nobody reads this."""

    reason = "CLIENT_CLOSED_REQUEST"


async def while_connected(request: Request, work: Awaitable[ResultT]) -> ResultT:
    """The result of ``work``, which is cancelled when the client goes; call it after the body has been read.

    Raises:
        ClientGoneError: the client has gone.
    """
    ours = asyncio.current_task()
    gone = asyncio.ensure_future(_disconnect(request))
    gone.add_done_callback(lambda _: None if ended or ours is None else ours.cancel())
    ended = False
    try:
        return await work
    except asyncio.CancelledError:
        if ours is None or not gone.done() or gone.cancelled() or ours.uncancel() > 0:
            raise
        msg = "the client closed the connection"
        raise ClientGoneError(msg) from None
    finally:
        ended = True
        gone.cancel()


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
