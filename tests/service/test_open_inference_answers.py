"""What the Open Inference Protocol's routes answer, with an engine that always says the same."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from starlette.types import Message

from models_registry.database import Database
from service.context import Context
from service.costs import CostModel
from service.open_inference.binary import HEADER_LENGTH, InferBody, encode
from service.open_inference.questions import Answer
from service.rest.answers import PIECE
from service.rest.app import build_app
from tests.service.conftest import LIMITS, Ask
from tests.service.test_open_inference_bodies import SEED_7, Array, body, decoded, entry, listed
from tests.workers.tiny_models import TinyRegistry


class FakeEngine:
    """Answers each question with fixed arrays, and remembers what was asked."""

    def __init__(self, **arrays: Array) -> None:
        self.arrays = arrays
        self.asked: list[tuple[str, dict[str, Any], float]] = []
        self.costs = CostModel()

    async def ask_every_engine(self, operation: str, payload: dict[str, Any], seconds: float) -> list[dict[str, Any]]:
        """The answer of the one engine there is."""
        self.asked.append((operation, payload, seconds))
        return [{}]

    async def ask(self, operation: str, payload: dict[str, Any], seconds: float) -> AsyncIterator[dict[str, Any]]:
        """One part."""
        self.asked.append((operation, payload, seconds))
        yield {**self.arrays, "compute_seconds": 0.25}


DRAWN = np.ones((2, 4, 4), np.int8)
LOG_PROB = np.array([-1.5, -2.25])


@pytest.fixture
def engine(context: Context) -> FakeEngine:
    """An engine that always draws the same, and a published model ``made`` for it."""
    TinyRegistry(Database(context.settings.resolved_database_url), context.settings.data_dir / "artifacts").publish(
        "made"
    )
    fake = FakeEngine(samples=DRAWN, log_prob=LOG_PROB)
    context.engine = fake  # type: ignore[assignment]  # it has what is asked for
    return fake


INFER = "/v2/models/made/infer"
N_2 = listed("n", "INT64", [1], [2])


def infer(ask: Ask, *inputs: dict[str, Any], **others: Any) -> httpx.Response:  # noqa: ANN401 - JSON
    return ask("POST", INFER, content=body(*inputs, **others)[0])


def test_an_answer_in_json_is_flat_and_tells_its_seed(ask: Ask, engine: FakeEngine) -> None:
    answer = infer(ask, N_2, SEED_7, id="mine")
    assert answer.status_code == 200
    told = answer.json()
    assert (told["model_name"], told["model_version"], told["id"]) == ("made", "1", "mine")
    assert told["parameters"] == {"seed": 7, "digest": answer.headers["X-Model-Digest"]}
    assert (answer.headers["X-Seed"], answer.headers["X-Model-Version"]) == ("7", "1")
    assert "compute;dur=250.000" in answer.headers["Server-Timing"]
    assert told["outputs"] == [
        {"name": "samples", "datatype": "INT8", "shape": [2, 4, 4], "data": [1] * 32},
        {"name": "log_prob", "datatype": "FP64", "shape": [2], "data": [-1.5, -2.25]},
    ]
    ((operation, payload, _),) = engine.asked
    assert operation == "sample"
    assert (payload["n"], payload["seed"], payload["include"]) == (2, 7, ["log_prob"])


def test_an_answer_in_bytes_has_them_after_its_json(ask: Ask, engine: FakeEngine) -> None:
    wishes = [{"name": "log_prob"}, {"name": "samples", "parameters": {"binary_data": False}}]
    answer = infer(ask, N_2, outputs=wishes, parameters={"binary_data_output": True})
    length = int(answer.headers[HEADER_LENGTH])
    told = orjson.loads(answer.content[:length])
    assert [output["name"] for output in told["outputs"]] == ["log_prob", "samples"]
    assert told["outputs"][0]["parameters"] == {"binary_data_size": 16}
    assert told["outputs"][1]["data"] == [1] * 32
    assert answer.content[length:] == LOG_PROB.tobytes()
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert engine.asked[0][1]["include"] == ["log_prob"]


def test_only_what_is_asked_is_computed(ask: Ask, engine: FakeEngine) -> None:
    told = infer(ask, N_2, outputs=[{"name": "samples"}]).json()
    assert [output["name"] for output in told["outputs"]] == ["samples"]
    assert engine.asked[0][1]["include"] == []


def test_large_tensors_are_sent_as_views(ask: Ask, context: Context, engine: FakeEngine) -> None:
    engine.arrays = {"samples": np.arange(2**21, dtype="<i4").reshape(2, -1)}
    answer = infer(ask, N_2, outputs=[{"name": "samples"}], parameters={"binary_data_output": True})
    length = int(answer.headers[HEADER_LENGTH])
    assert answer.content[length:] == engine.arrays["samples"].tobytes()
    told = infer(ask, N_2, outputs=[{"name": "samples"}]).json()
    assert told["outputs"][0]["data"] == list(range(2**21))
    record = context.versions.resolve("made")
    (view,) = encode(Answer(record, dict(engine.arrays), 0.0), InferBody(decoded(N_2).question, all_binary=True))[1]
    assert np.shares_memory(np.frombuffer(view, "<i4"), engine.arrays["samples"])


@pytest.mark.parametrize("binary", [False, True])
def test_large_answers_leave_in_pieces(context: Context, engine: FakeEngine, *, binary: bool) -> None:
    engine.arrays = {"samples": np.ones((2, 2**21), np.int8)}
    question = body(N_2, outputs=[{"name": "samples"}], parameters={"binary_data_output": binary})[0]
    coming: list[Message] = [{"type": "http.request", "body": question}]
    sizes: list[int] = []

    async def receive() -> Message:
        return coming.pop() if coming else await asyncio.Event().wait()  # type: ignore[return-value]  # never

    async def send(message: Message) -> None:
        sizes.append(len(message.get("body", b"")))

    scope = {"type": "http", "method": "POST", "path": INFER, "query_string": b"", "headers": []}
    asyncio.run(build_app(context)(scope, receive, send))
    assert sum(sizes) > 2**22
    assert max(sizes) == PIECE


def test_a_number_in_fp32_means_its_shortest_decimal(ask: Ask, engine: FakeEngine) -> None:
    """float32(0.44) is 0.4399999976, which is not the beta of the target."""
    assert infer(ask, N_2, listed("beta", "FP32", [1], [0.44])).status_code == 200
    assert infer(ask, N_2, listed("beta", "FP64", [1], [0.44])).status_code == 200
    assert infer(ask, N_2, listed("beta", "FP64", [1], [float(np.float32(0.44))])).status_code == 409


def test_a_timeout_is_in_microseconds(ask: Ask, engine: FakeEngine) -> None:
    for timeout, seconds in ((2_500_000, 2.5), (0, 10.0), (10**12, 300.0)):
        assert infer(ask, N_2, parameters={"timeout": timeout}).status_code == 200
        assert engine.asked[-1][2] == seconds
    refused = infer(ask, N_2, parameters={"timeout": "soon"})
    assert (refused.status_code, "microseconds" in refused.json()["error"]) == (400, True)


def test_likelihoods_tell_their_kind(ask: Ask, engine: FakeEngine) -> None:
    engine.arrays = {"log_likelihood": np.array([-3.0], np.float32)}
    told = infer(ask, listed("samples", "INT8", [1, 4, 4], [1] * 16)).json()
    assert told["parameters"]["kind"] == "exact"
    assert told["outputs"] == [{"name": "log_likelihood", "datatype": "FP64", "shape": [1], "data": [-3.0]}]


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        ([SEED_7], [], "neither came"),
        ([N_2, listed("samples", "INT8", [1], [1])], [], "both came"),
        ([N_2, listed("spin", "INT8", [1], [1])], [], "'spin' is not known; the known ones are n, seed"),
        ([SEED_7, listed("samples", "INT8", [1, 4, 4], [1] * 16)], [], "belongs to the question n"),
        ([N_2], ["energy"], "'energy' is no answer to n"),
        ([N_2], ["log_likelihood"], "'log_likelihood' is no answer to n"),
        ([N_2], ["samples", "samples"], "named twice"),
        ([listed("n", "INT64", [2], [1, 2])], [], "one value was expected"),
        ([listed("n", "INT64", [0], [])], [], "one value was expected"),
        ([listed("n", "FP32", [1], [2])], [], "an integer datatype"),
        ([N_2, listed("beta", "BOOL", [1], [True])], [], "a number was expected"),
        ([N_2, listed("beta", "FP64", [1], [-1])], [], "beta"),
        ([N_2, listed("seed", "UINT64", [1], [2**64 - 1])], [], "seed"),
        ([listed("n", "INT64", [1], [-5])], [], "n"),
        ([listed("n", "INT64", [1], [10**9])], [], "at most"),
        ([listed("samples", "INT8", [1, 4, 4], [0] * 16)], [], "spins are -1 or 1"),
        ([listed("samples", "INT8", [16], [1] * 16)], [], "expected (n, 4, 4)"),
    ],
)
def test_a_question_that_makes_no_sense_is_400(
    ask: Ask, engine: FakeEngine, inputs: list[dict[str, Any]], outputs: list[str], words: str
) -> None:
    answer = infer(ask, *inputs, outputs=[{"name": name} for name in outputs])
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]
    assert engine.asked == []


def test_a_nan_is_no_condition(ask: Ask, engine: FakeEngine) -> None:
    nan = np.array([np.nan])
    content, length = body(N_2, entry(nan, "beta"), tail=nan.tobytes())
    answer = ask("POST", INFER, content=content, headers={HEADER_LENGTH: length})
    assert (answer.status_code, "beta" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/v2/models/nobody", {}, 404),
        ("GET", "/v2/models/nobody/ready", {}, 404),
        ("GET", "/v2/models/made/versions/99", {}, 404),
        ("GET", "/v2/models/made/versions/99/config", {}, 404),
        ("POST", "/v2/models/nobody/infer", {"content": body(N_2)[0]}, 404),
        ("GET", "/v2/models/made/stats", {}, 404),
        ("GET", "/v2/", {}, 404),
        ("GET", INFER, {}, 405),
        ("POST", INFER, {}, 400),
        ("POST", INFER, {"content": b"{"}, 400),
        ("POST", INFER, {"content": b"[]"}, 400),
        ("POST", INFER, {"content": b"{}", "headers": {HEADER_LENGTH: "9"}}, 400),
        ("POST", INFER, {"content": b"x" * 20_001}, 413),
        ("POST", INFER, {"content": gzip.compress(b" " * 20_001), "headers": {"Content-Encoding": "gzip"}}, 413),
        ("POST", INFER, {"content": b"not deflated", "headers": {"Content-Encoding": "deflate"}}, 400),
        ("POST", INFER, {"content": b"{}", "headers": {"Content-Encoding": "br"}}, 415),
        ("POST", INFER, {"content": b"{}", "headers": {"Prefer": "wait=-1"}}, 400),
        ("POST", "/v2/repository/index", {"content": b'{"ready": 1}'}, 400),
        ("POST", "/v2/repository/index", {"content": b"3"}, 400),
        ("POST", "/v2/repository/models/nobody/load", {}, 404),
        ("POST", "/v2/repository/models/made/unload", {}, 409),
        ("DELETE", "/v2/models/made", {}, 405),
    ],
)
def test_every_refusal_is_an_error_in_the_protocols_words(
    ask: Ask, engine: FakeEngine, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    answer = ask(method, path, **options)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert answer.json()["error"]
    assert answer.headers["content-type"] == "application/json"
    assert engine.asked == []


def test_the_gzip_bound_is_the_services_own() -> None:
    assert LIMITS.max_body_bytes == 20_000


def test_the_index_tells_what_cannot_answer(ask: Ask, context: Context, engine: FakeEngine) -> None:
    registry = TinyRegistry(Database(context.settings.resolved_database_url), context.settings.data_dir / "artifacts")
    second = registry.publish("made", seed=6)
    registry.versions.quarantine(second.digest)
    everything = ask("POST", "/v2/repository/index").json()
    assert [(e["name"], e["version"], e["state"]) for e in everything] == [
        ("made", "2", "UNAVAILABLE"),
        ("made", "1", "READY"),
    ]
    assert "digest" in everything[0]["reason"]
    ready = ask("POST", "/v2/repository/index", json={"ready": True}).json()
    assert [(e["name"], e["version"]) for e in ready] == [("made", "1")]
    assert ask("GET", "/v2/models/made").json()["versions"] == ["1"]
    assert ask("GET", "/v2/models/made/versions/2/ready").status_code == 409


def test_loading_warms_the_version_in_every_engine(ask: Ask, engine: FakeEngine) -> None:
    assert ask("POST", "/v2/repository/models/made/load", json={}).status_code == 200
    assert [(operation, payload) for operation, payload, _ in engine.asked] == [
        ("warm", {"model": "made", "version": 1})
    ]
    assert ask("POST", "/v2/repository/models/none/load", json={}).status_code == 404


def test_without_redis_the_gateway_lives_and_is_not_ready(ask: Ask) -> None:
    live, ready = (ask("GET", f"/v2/health/{what}") for what in ("live", "ready"))
    assert (live.status_code, live.json()) == (200, {"live": True})
    assert (ready.status_code, ready.json()) == (503, {"ready": False})


def test_a_refusal_for_want_of_a_key_is_in_the_protocols_words(context: Context, ask: Ask) -> None:
    context.settings = context.settings.model_copy(update={"api_key": "a-key-for-a-test-0123456789"})
    answer = ask("GET", "/v2/models/made")
    assert (answer.status_code, list(answer.json())) == (401, ["error"])
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert ask("GET", "/v2/health/live").status_code == 200
    assert list(ask("GET", "/v1/info").json()) != ["error"]


def test_paths_that_only_begin_alike_have_problems_as_before(context: Context, ask: Ask) -> None:
    assert build_app(context)
    assert ask("GET", "/v2x").headers["content-type"] == "application/problem+json"
