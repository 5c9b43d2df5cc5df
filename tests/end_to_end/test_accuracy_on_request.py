"""Asking for an error of beta_f in place of a number of samples: over HTTP, as events, over gRPC, from the shell."""

import json
from typing import Any

import grpc
import pytest

from service.rpc.v1 import inference_pb2 as pb
from service.rpc.v1 import inference_pb2_grpc as rpc
from tests.running_stack import RunningStack

TARGET = {"target_standard_error": 0.001, "n": 1000, "seed": 4}


def events_of(stack: RunningStack, model: str, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    path, headers = f"{stack.url}/v1/models/{model}:freeEnergy", {"Accept": "text/event-stream"}
    with stack.http.stream("POST", path, json=body, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    kinds = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    return list(zip(kinds, data, strict=True))


def test_an_error_is_reached(stack: RunningStack, small_model: str) -> None:
    told = stack.post(f"/v1/models/{small_model}:freeEnergy", TARGET).json()
    diagnostics = told["diagnostics"]
    assert diagnostics["target_standard_error"] == 0.001
    assert diagnostics["target_reached"] is True
    assert 0.0008 <= told["standard_error"] <= 0.001
    assert diagnostics["num_samples"] > 1000
    assert abs(told["beta_f"] - told["exact"]["beta_f"]) < 4.5 * told["standard_error"]
    again = stack.post(f"/v1/models/{small_model}:freeEnergy", TARGET).json()
    assert again["beta_f"] == told["beta_f"]


def test_what_could_not_be_reached_is_said(stack: RunningStack, small_model: str) -> None:
    body = {"target_standard_error": 1e-6, "max_seconds": 0.3, "seed": 1}
    told = stack.post(f"/v1/models/{small_model}:freeEnergy", body).json()
    assert told["diagnostics"]["target_reached"] is False
    assert any("1e-06 was asked for; it takes about" in warning for warning in told["diagnostics"]["warnings"])
    assert told["standard_error"] > 1e-6


def test_estimates_so_far_come_as_events(stack: RunningStack, small_model: str) -> None:
    found = events_of(stack, small_model, {"target_standard_error": 1e-6, "max_seconds": 1.5, "seed": 1})
    assert [kind for kind, _ in found] == ["progress"] * (len(found) - 1) + ["result"]
    progress = [data for kind, data in found if kind == "progress"]
    assert len(progress) >= 3
    errors = [part["standard_error"] for part in progress]
    assert errors == sorted(errors, reverse=True)
    assert found[-1][1]["diagnostics"]["target_reached"] is False
    assert found[-1][1]["standard_error"] <= errors[-1]


def test_refusals_of_events_are_problems(stack: RunningStack, small_model: str) -> None:
    headers = {"Accept": "text/event-stream"}
    answer = stack.post(f"/v1/models/{small_model}:freeEnergy", {"beta": 0.9}, **headers)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert stack.post("/v1/models/nobody:freeEnergy", {}, **headers).status_code == 404


def test_over_grpc_with_progress(stack: RunningStack, small_model: str) -> None:
    with grpc.insecure_channel(stack.grpc_address) as channel:
        stub = rpc.InferenceStub(channel)
        asked = pb.FreeEnergyRequest(
            model=pb.ModelReference(model=small_model), n=1000, seed=4, target_standard_error=0.001
        )
        *progress, last = list(stub.FreeEnergy(asked, timeout=30))
    assert last.result.diagnostics.target_reached
    assert last.result.standard_error <= 0.001
    assert progress[-1].progress.standard_error == pytest.approx(last.result.standard_error, rel=1e-9)
    told = stack.post(f"/v1/models/{small_model}:freeEnergy", TARGET).json()
    assert last.result.beta_f == told["beta_f"]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "zero": ({"target_standard_error": 0}, "target_standard_error"),
    "below the resolution of networks": ({"target_standard_error": 1e-9}, "target_standard_error"),
    "no number": ({"target_standard_error": "small"}, "target_standard_error"),
    "time for nothing": ({"max_seconds": 3}, "max_seconds bounds the search for target_standard_error"),
    "no time": ({"target_standard_error": 0.1, "max_seconds": 0}, "max_seconds"),
    "more time than the answer may take": (
        {"target_standard_error": 0.1, "max_seconds": 60},
        "max_seconds is 60, and this answer may take 10 s, of which 8 are for samples",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_wishes_that_make_no_sense_are_refused(stack: RunningStack, small_model: str, name: str) -> None:
    body, words = BAD[name]
    answer = stack.post(f"/v1/models/{small_model}:freeEnergy", body)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
