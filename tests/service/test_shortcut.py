"""The short way to a verb answers as FastAPI's does; what it cannot answer goes that way."""

from typing import Any

import pytest

from models_registry.database import Database
from service.context import Context
from service.metrics import METRICS
from service.rest import shortcut
from tests.service.conftest import Ask
from tests.service.test_open_inference_answers import DRAWN, LOG_PROB, FakeEngine
from tests.workers.tiny_models import TinyRegistry

SAMPLE = "/v1/models/made:sample"
VARYING = {"x-request-id", "server-timing"}


@pytest.fixture
def engine(context: Context) -> FakeEngine:
    """An engine that always draws the same, and a published model ``made`` for it."""
    TinyRegistry(Database(context.settings.resolved_database_url), context.settings.data_dir / "artifacts").publish(
        "made"
    )
    fake = FakeEngine(samples=DRAWN, log_prob=LOG_PROB)
    context.engine = fake  # type: ignore[assignment]  # it has what is asked for
    return fake


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which endpoints were called by the short way."""
    taken: list[str] = []
    found = shortcut.Shortcut._found

    def noted(self: shortcut.Shortcut, scope: Any) -> Any:  # noqa: ANN401 - ASGI's
        answer = found(self, scope)
        taken.append("long" if answer is None else answer[0].path)
        return answer

    monkeypatch.setattr(shortcut.Shortcut, "_found", noted)
    return taken


@pytest.mark.parametrize(
    ("path", "options"),
    [
        (SAMPLE, {"json": {"n": 2, "seed": 1}}),
        ("/v1/models/made/versions/1:sample", {"json": {"n": 2, "seed": 1}}),
        (SAMPLE, {"json": {"n": 2, "seed": 1}, "headers": {"Accept": "application/x-npy", "Prefer": "wait=3"}}),
        (SAMPLE, {"json": {"n": 0}}),
        (SAMPLE, {"json": {"n": 1}, "headers": {"Prefer": "wait=no"}}),
        (SAMPLE, {"json": {"n": 1}, "headers": {"Accept": "text/html"}}),
        (SAMPLE, {"content": b"{", "headers": {"Content-Type": "application/json"}}),
        ("/v1/models/none:sample", {"json": {"n": 2}}),
        ("/v1/models/made/versions/7:sample", {"json": {"n": 2}}),
        ("/v1/models/ma%20de:sample", {"json": {"n": 2}}),
        ("/v1/models/made:freeEnergyCurve", {"json": {"n": 2}}),
    ],
)
def test_both_ways_answer_alike(
    ask: Ask, engine: FakeEngine, ways: list[str], path: str, options: dict[str, Any]
) -> None:
    short = ask("POST", path, **options)
    headers = options.get("headers", {}) | {"Idempotency-Key": "a-key"}
    long = ask("POST", path, **options | {"headers": headers})
    assert ways[1] == "long"
    assert ways[0] != "long"
    assert short.status_code == long.status_code
    assert short.content == long.content
    assert {k: v for k, v in short.headers.items() if k not in VARYING} == {
        k: v for k, v in long.headers.items() if k not in VARYING
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", SAMPLE + "?x=1"),
        ("GET", SAMPLE),
        ("POST", "/v1/models/made:logLikelihood"),
        ("POST", "/v1/models/a/b:sample"),
        ("POST", "/v1/models/made:nothing"),
        ("POST", "/v2/models/made/infer"),
    ],
)
def test_everything_else_goes_the_long_way(
    ask: Ask, engine: FakeEngine, ways: list[str], method: str, path: str
) -> None:
    answer = ask(method, path, json={"n": 1})
    assert ways == ["long"]
    assert answer.status_code >= 400


def test_the_metrics_name_the_route(ask: Ask, engine: FakeEngine) -> None:
    labels = {"method": "POST", "route": "/v1/models/{model:segment}:sample", "status": "200"}
    before = METRICS.get_sample_value("helmholtz_requests_total", labels) or 0.0
    ask("POST", SAMPLE, json={"n": 2, "seed": 1})
    assert METRICS.get_sample_value("helmholtz_requests_total", labels) == before + 1
