"""The engine's loop: requests from a Redis stream, first come first served, answers in parts to their senders."""

import json
import os
import threading
import time
from contextlib import suppress
from typing import Any, cast

import structlog
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from workers.engine.operations import Engine
from workers.messages import (
    CANCEL_KEY,
    ENGINE_GROUP,
    ENGINE_KEY,
    ENGINE_TTL_SECONDS,
    FIELD,
    REQUEST_STREAM,
    Reply,
    Request,
    decode_request,
    encode,
    error_fields,
)
from zoo.specs.errors import DeadlineExceededError, HelmholtzError, UnavailableError

log = structlog.get_logger()

_UNFINISHED, _NEW = "0", ">"  # where to read from, in the words of XREADGROUP
_BLOCK_MILLISECONDS = 1000
_MAX_DELIVERIES = 3
_REPLY_TTL_SECONDS = 120


class EngineLoop:
    """Reads, computes and answers until told to stop; an unexpected error ends the process."""

    def __init__(self, redis: Redis, engine: Engine, name: str, info: dict[str, Any]) -> None:
        self._redis = redis
        self._engine = engine
        self._name = name
        self._info = info
        self._stopping = threading.Event()
        self._pulse = threading.Thread(target=self._announce, name="engine-pulse", daemon=True)

    def run(self) -> None:
        """Serve requests until ``stop``; requests that a former engine of this name left unfinished come first."""
        self._pulse.start()
        position = _UNFINISHED
        while not self._stopping.is_set():
            try:
                entry = self._read(position)
                if entry is None:
                    position = _NEW
                else:
                    self._serve(*entry, again=position == _UNFINISHED)
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                self._create_group()
            except (RedisConnectionError, RedisTimeoutError, OSError) as error:
                log.warning("engine waits for Redis", error=str(error))
                position = _UNFINISHED
                self._stopping.wait(0.2)
        with suppress(RedisError, OSError):
            self._redis.delete(ENGINE_KEY + self._name)

    def stop(self) -> None:
        """Finish the request in hand, then end."""
        self._stopping.set()

    def _read(self, position: str) -> tuple[bytes, dict[bytes, bytes]] | None:
        """The next entry with its id; None when none came for a second, or none is unfinished."""
        answer: Any = self._redis.xreadgroup(
            ENGINE_GROUP, self._name, {REQUEST_STREAM: position}, count=1, block=_BLOCK_MILLISECONDS
        )
        entries = answer[0][1] if answer else []
        return (entries[0][0], entries[0][1]) if entries else None

    def _create_group(self) -> None:
        try:
            self._redis.xgroup_create(REQUEST_STREAM, ENGINE_GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def _serve(self, entry_id: bytes, fields: dict[bytes, bytes], *, again: bool) -> None:
        """Answer one request; one that was read ``again`` may be what ended the former engine."""
        try:
            request = decode_request(fields[FIELD])
        except Exception:  # nobody can be told; kept, it would end every engine that reads it
            log.exception("a request could not be read", entry=entry_id)
            self._forget(entry_id)
            return
        if again and self._deliveries(entry_id) > _MAX_DELIVERIES:
            msg = f"the computation ended the engine {_MAX_DELIVERIES} times and is not tried again"
            self._send(request, 0, error=UnavailableError(msg, reason="COMPUTATION_FAILED"))
        else:
            self._compute(request)
        self._forget(entry_id)

    def _forget(self, entry_id: bytes) -> None:
        self._redis.xack(REQUEST_STREAM, ENGINE_GROUP, entry_id)
        self._redis.xdel(REQUEST_STREAM, entry_id)

    def _deliveries(self, entry_id: bytes) -> int:
        pending = cast(
            "list[dict[str, Any]]",
            self._redis.xpending_range(REQUEST_STREAM, ENGINE_GROUP, min=entry_id, max=entry_id, count=1),
        )
        return int(pending[0]["times_delivered"]) if pending else 1

    def _compute(self, request: Request) -> None:
        """Answer in parts, looking between two parts whether anybody still waits.

        Each part is sent when the next one is known to exist, so that the last one can be marked.
        """
        started = time.perf_counter()
        number = 0
        held: dict[str, Any] | None = None
        try:
            for body in self._engine.run(request.operation, request.payload):
                if self._abandoned(request):
                    return
                if body is None:
                    continue
                if held is not None:
                    self._send(request, number, body=held)
                    number += 1
                held = body
            seconds = time.perf_counter() - started
            self._send(request, number, final=True, body=(held or {}) | {"compute_seconds": seconds})
        except RedisError:
            raise
        except HelmholtzError as error:
            self._send(request, number, error=error)
        except Exception:
            log.exception("operation failed", operation=request.operation, request=request.id)
            msg = f"the engine failed at operation {request.operation!r}; its log has the reason"
            self._send(request, number, error=HelmholtzError(msg))

    def _abandoned(self, request: Request) -> bool:
        if time.time() > request.deadline:
            msg = (
                "the deadline passed while the answer was being computed; ask for less, or allow more with Prefer: wait"
            )
            self._send(request, 0, error=DeadlineExceededError(msg))
            return True
        return bool(self._redis.exists(CANCEL_KEY + request.id))

    def _send(
        self,
        request: Request,
        part: int,
        *,
        final: bool = False,
        body: dict[str, Any] | None = None,
        error: HelmholtzError | None = None,
    ) -> None:
        reply = Reply(
            id=request.id,
            part=part,
            final=final or error is not None,
            body=body or {},
            error=None if error is None else error_fields(error),
        )
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.xadd(request.reply_to, {FIELD: encode(reply)})
        pipeline.expire(request.reply_to, _REPLY_TTL_SECONDS)
        pipeline.execute()

    def _announce(self) -> None:
        """Keep the key that says this engine is alive."""
        while not self._stopping.is_set():
            try:
                value = json.dumps(self._info | {"pid": os.getpid()})
                self._redis.set(ENGINE_KEY + self._name, value, ex=ENGINE_TTL_SECONDS)
            except RedisError as error:
                log.debug("engine pulse not written", error=str(error))
            self._stopping.wait(1)
