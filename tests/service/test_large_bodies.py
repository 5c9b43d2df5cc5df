"""Large bodies and answers: worked on off the event loop, in parts, with the same result; and titles and documents."""

import asyncio
import gc
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Message

from models_registry.migrate import migrate
from service.context import Context, build_context
from service.rest import answers, masked_bodies, targets
from service.rest.app import build_app
from service.rest.formats import json_text
from service.rest.formats.parted import PartedArray
from service.use_cases import compute_energy, submit_job
from service.use_cases.off_the_loop import SMALL, off_the_loop
from tests.service.conftest import NO_REDIS
from workers.settings import Settings

ISING = {"kind": "ising", "shape": [4, 4]}


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A gateway with a registry of its own and no Redis."""
    own = Settings(data_dir=tmp_path, redis_url=NO_REDIS)
    migrate(own.resolved_database_url)
    return build_context(own)


def post(context: Context, path: str, body: object) -> httpx.Response:
    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(build_app(context), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            headers = {"Content-Type": "application/json"}
            return await client.post(path, content=orjson.dumps(body), headers=headers)

    return asyncio.run(once())


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Whether each step of a request ran in the thread of the event loop."""
    seen: dict[str, bool] = {}

    def watch(module: Any, name: str) -> None:  # noqa: ANN401 - a module
        plain = getattr(module, name)

        def watched(*given: object, **options: object) -> object:
            seen[name] = threading.current_thread() is threading.main_thread()
            return plain(*given, **options)

        monkeypatch.setattr(module, name, watched)

    watch(targets, "parse")
    watch(masked_bodies, "parse")
    watch(masked_bodies, "array_from_json")
    watch(compute_energy, "as_configurations")
    watch(submit_job, "parse_job")
    watch(json_text, "write")
    return seen


def test_a_large_body_is_worked_on_off_the_loop_and_a_small_one_on_it(
    context: Context, threads: dict[str, bool]
) -> None:
    steps = {"parse", "array_from_json", "as_configurations"}
    for num_samples, on_the_loop in ((2, True), (20_000, False)):
        answer = post(
            context, "/v1/targets:energy", {"target": ISING, "samples": np.ones((num_samples, 4, 4)).tolist()}
        )
        assert answer.status_code == 503, answer.text  # there is no Redis: everything before it was done
        assert {name: threads[name] for name in steps} == dict.fromkeys(steps, on_the_loop)


def test_a_large_spec_is_parsed_off_the_loop(context: Context, threads: dict[str, bool]) -> None:
    couplings = np.arange(250_000.0).reshape(500, 500).tolist()
    spec = {"target": {"kind": "spin_glass", "couplings": couplings}, "model": {"family": "made"}}
    answer = post(context, "/v1/jobs", spec | {"kind": "train"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "target.couplings"
    assert threads["parse_job"] is False
    assert post(context, "/v1/targets:reference", {"target": spec["target"]}).status_code == 422
    assert threads["parse"] is False


def test_the_collector_rests_while_large_data_is_worked_on() -> None:
    def fails() -> None:
        raise ValueError

    async def several() -> list[object]:
        large = [off_the_loop(SMALL + 1, gc.isenabled) for _ in range(3)]
        return await asyncio.gather(*large, off_the_loop(SMALL + 1, fails), return_exceptions=True)

    assert gc.isenabled()
    *during, failure = asyncio.run(several())
    assert during == [False] * 3
    assert isinstance(failure, ValueError)
    assert gc.isenabled()
    assert asyncio.run(off_the_loop(SMALL, gc.isenabled))


def test_an_error_does_not_repeat_what_came(context: Context) -> None:
    body = {"target": {"kind": "gaussian", "precision": [["a"] * 200_000]}}
    answer = post(context, "/v1/targets:reference", body)
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == ["target.precision.0.0"]
    assert len(answer.content) < 1000


@pytest.mark.parametrize("num_samples", [2, 30_000])
def test_large_arrays_are_encoded_off_the_loop_as_small_ones_are(threads: dict[str, bool], num_samples: int) -> None:
    rng = np.random.default_rng(0)
    arrays = {"energy": rng.normal(size=num_samples), "force": rng.normal(size=(num_samples, 3, 2))}
    arrays["energy"][1] = np.inf
    parted = {name: PartedArray((array[:1], array[1:])) for name, array in arrays.items()}
    answer = answers.ArrayAnswer(parted, {"warnings": ["one"]}, 0.5, headers={"X-Seed": "3"})
    body, headers = sent(answer)
    assert headers["x-seed"] == "3"
    assert headers["content-length"] == str(len(body))
    assert body == orjson.dumps(arrays | {"warnings": ["one"]}, option=orjson.OPT_SERIALIZE_NUMPY)
    assert threads["write"] is (num_samples == 2)


def sent(answer: answers.ArrayAnswer) -> tuple[bytes, Headers]:
    """The JSON body of an answer, and its headers."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def once() -> None:
        request = Request({"type": "http", "method": "POST", "headers": []})
        response = await answers.array_response(request, "application/json", answer, 0.0, Settings())
        await response({"type": "http", "path": "/"}, receive, send)

    asyncio.run(once())
    return b"".join(message["body"] for message in messages[1:]), Headers(raw=messages[0]["headers"])


def test_the_title_of_a_missing_capability_fits_targets_too(context: Context) -> None:
    body = {"target": ISING, "samples": np.ones((1, 4, 4)).tolist(), "force": True}
    problem = post(context, "/v1/targets:energy", body).json()
    assert problem["reason"] == "CAPABILITY_MISSING"
    assert "system" in problem["title"]


def test_the_document_lists_jobs_types_and_problems_of_datasets_and_targets(context: Context) -> None:
    paths = build_app(context).openapi()["paths"]
    assert {"201", "202", "413", "415", "422"} <= paths["/v1/datasets"]["post"]["responses"].keys()
    samples = paths["/v1/datasets/{dataset}/samples"]["get"]["responses"]
    assert set(samples["200"]["content"]) == {"application/json", "application/x-npy", "application/x-npz"}
    assert {"304", "404", "409"} <= samples.keys()
    assert {"413", "415", "504"} <= paths["/v1/targets:energy"]["post"]["responses"].keys()
    for path in (path for path in paths if path.startswith(("/v1/datasets", "/v1/targets:"))):
        for operation in paths[path].values():
            problems = {s: r for s, r in operation["responses"].items() if int(s) >= 400}
            assert problems
            assert all(set(r["content"]) == {"application/problem+json"} for r in problems.values())


def test_weights_that_are_known_are_not_sent_again(lonely_settings: Settings) -> None:
    async def answers() -> list[httpx.Response]:
        transport = httpx.ASGITransport(build_app(build_context(lonely_settings)))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            path = "/v1/models/made/versions/1/weights"
            first = await client.get(path)
            tags = (first.headers["etag"], '"another"')
            return [first, *[await client.get(path, headers={"If-None-Match": tag}) for tag in tags]]

    first, same, other = asyncio.run(answers())
    assert (first.status_code, same.status_code, other.status_code) == (200, 304, 200)
    assert (same.content, other.content) == (b"", first.content)
    assert same.headers["etag"] == first.headers["etag"]
