"""Who is who, what a client prefers, and what is told of a fault of ours."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
import pytest
from starlette.types import Message, Receive, Scope, Send
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from service.context import Context
from service.gateway import http_config
from service.rest.attribution import Attributed, caller_of
from service.wishes import WISHES
from tests.service.conftest import Ask
from tests.workers.tiny_models import TinyRegistry


async def broken(*_: object, **__: object) -> None:
    msg = "planted"
    raise RuntimeError(msg)


def test_one_key_is_one_caller_however_it_is_sent() -> None:
    names = {caller_of(f"{scheme} secret") for scheme in ("Bearer", "bearer", "BEARER")}
    assert len(names) == 1
    assert caller_of("Bearer other") not in names
    assert caller_of(None) is None


@pytest.mark.parametrize(
    ("prefer", "status"), [("Wait=0", 422), ("wait=0", 422), ("foo-wait=0", 404), ("a, WAIT=0", 422)]
)
def test_preferences_have_names_in_any_case_and_whole_ones(ask: Ask, prefer: str, status: int) -> None:
    answer = ask("POST", "/v1/models/nothing:sample", json={"n": 1}, headers={"Prefer": prefer})
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/m:freeEnergyCurve",
        "/v1/models/m/versions/1:freeEnergyCurve",
        "/v1/targets:reference",
        "/v2/models/m/infer",
        "/v2/models/m/versions/1/infer",
    ],
)
def test_an_unknown_query_parameter_is_refused(ask: Ask, path: str) -> None:
    answer = ask("POST", path + "?n=5", json={})
    assert answer.status_code == (400 if path.startswith("/v2") else 422)
    assert "'n' is not a parameter of this query" in answer.text


def test_a_fault_of_ours_has_the_name_of_its_request(
    ask: Ask, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.rest.inference.read_as", broken)
    with capture_logs(processors=[merge_contextvars]) as logs:
        answer = ask("POST", "/v1/models/m:sample", json={"n": 1}, headers={"X-Request-Id": "my-own-name"})
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "my-own-name"
    assert "planted" not in answer.text
    assert [(entry["event"], entry["request"]) for entry in logs] == [("unexpected error", "my-own-name")]


def test_a_fault_in_the_middle_of_an_answer_is_in_the_log_once_and_breaks_it_off(context: Context) -> None:
    sent: list[Message] = []

    async def half(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await broken()

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "path": "/", "headers": [(b"x-request-id", b"my-own-name")]}
    app = Attributed(half, context.settings)
    with capture_logs(processors=[merge_contextvars]) as logs, pytest.raises(RuntimeError, match="planted"):
        asyncio.run(app(scope, receive, send))  # the server closes the connection
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert [(entry["event"], entry["request"]) for entry in logs] == [("unexpected error", "my-own-name")]


@pytest.mark.parametrize(("seed", "uses_cache"), [({}, False), ({"seed": None}, False), ({"seed": 3}, True)])
def test_who_gives_no_seed_wants_a_new_answer(
    ask: Ask, context: Context, seed: dict[str, Any], *, uses_cache: bool
) -> None:
    folder = context.settings.data_dir / "artifacts"
    TinyRegistry(context.database, folder).publish("made")
    seen: list[bool] = []

    async def told(operation: str, payload: dict[str, Any], seconds: float) -> AsyncGenerator[dict[str, Any], None]:
        del operation, payload, seconds
        seen.append(WISHES.get().use_cache)
        yield {"samples": np.ones((1, 4, 4), np.int8), "compute_seconds": 0.0}

    context.engine.ask = told  # type: ignore[method-assign]
    assert ask("POST", "/v1/models/made:sample", json={"n": 1} | seed).status_code == 200
    assert seen == [uses_cache]


@pytest.mark.parametrize(("seconds", "whole"), [(0.5, 1), (1.0, 1), (7.2, 8)])
def test_the_grace_of_http_is_not_shorter_than_what_was_asked(context: Context, seconds: float, whole: int) -> None:
    context.settings = context.settings.model_copy(update={"grace_seconds": seconds})
    assert http_config(context).timeout_graceful_shutdown == whole
