"""Errors on the gRPC wire: a code of google.rpc, the reason and the fields in the details, a delay where it helps."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import grpc
import pytest

from service.rest.dependencies import ClientGoneError
from service.rpc.status import CODES, code_of, status_of, statuses, statuses_streaming
from service.rpc.v1 import inference_pb2 as pb
from service.rpc.v1 import jobs_pb2
from tests.service.rpc_stage import Stage, ToldEngine, details, play, refusal
from workers.settings import Settings
from zoo.specs.errors import (
    DeadlineExceededError,
    FieldError,
    HelmholtzError,
    InvalidValueError,
    NumericalError,
    PreconditionFailedError,
    ShareExceededError,
    UnavailableError,
)

ASK = pb.SampleRequest(model=pb.ModelReference(model="made"), n=3)


def classes(root: type[HelmholtzError]) -> list[type[HelmholtzError]]:
    return [root, *(found for cls in root.__subclasses__() for found in classes(cls))]


def test_no_error_that_has_a_name_is_called_internal() -> None:
    found = [cls for cls in classes(HelmholtzError) if cls.__module__ == "zoo.specs.errors"]
    assert len(found) >= 18
    unnamed = [cls.__name__ for cls in found if code_of(cls("x")) is grpc.StatusCode.INTERNAL]
    assert unnamed == ["HelmholtzError"]
    assert ClientGoneError not in CODES


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ShareExceededError("x"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (UnavailableError("x"), grpc.StatusCode.UNAVAILABLE),
        (PreconditionFailedError("x"), grpc.StatusCode.ABORTED),
        (NumericalError("x"), grpc.StatusCode.INVALID_ARGUMENT),
        (DeadlineExceededError("x"), grpc.StatusCode.DEADLINE_EXCEEDED),
    ],
)
def test_codes_are_those_of_google_rpc(error: HelmholtzError, code: grpc.StatusCode) -> None:
    assert code_of(error) is code
    assert status_of(error).code == code.value[0]


def test_the_reason_and_the_fields_travel(lonely_settings: Settings) -> None:
    async def scene(stage: Stage) -> grpc.aio.AioRpcError:
        return await refusal(stage.inference.Sample(pb.SampleRequest(model=ASK.model, n=-1, seed=-5)))

    error = play(lonely_settings, scene)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    found = details(error)
    assert (found["ErrorInfo"].reason, found["ErrorInfo"].domain) == ("INVALID_VALUE", "helmholtz")
    violations = {v.field: v.description for v in found["BadRequest"].field_violations}
    assert set(violations) == {"n", "seed"}
    assert "at least 1" in violations["n"]
    assert dict(error.trailing_metadata())["reason"] == "INVALID_VALUE"
    assert "RetryInfo" not in found


@pytest.mark.parametrize("cls", [UnavailableError, ShareExceededError])
def test_when_to_try_again_travels(lonely_settings: Settings, cls: type[UnavailableError]) -> None:
    async def scene(stage: Stage) -> grpc.aio.AioRpcError:
        return await refusal(stage.inference.Sample(ASK))

    error = play(lonely_settings, scene, ToldEngine(error=cls("full", retry_after_seconds=2.25)))
    assert error.code() is code_of(cls("x"))
    assert details(error)["RetryInfo"].retry_delay.ToTimedelta().total_seconds() == 2.25
    assert dict(error.trailing_metadata())["retry-after"] == "2.25"


def test_a_call_keeps_its_name(lonely_settings: Settings) -> None:
    async def scene(stage: Stage) -> tuple[grpc.aio.AioRpcError, dict[str, Any], str]:
        metadata = (("x-request-id", "my-own-name"),)
        refused = await refusal(stage.inference.Sample(pb.SampleRequest(), metadata=metadata))
        listing = stage.jobs.List(jobs_pb2.ListJobsRequest(), metadata=metadata)
        await listing
        other = await refusal(stage.inference.Sample(pb.SampleRequest()))
        return refused, dict(await listing.trailing_metadata()), details(other)["RequestInfo"].request_id

    refused, metadata, other = play(lonely_settings, scene)
    assert details(refused)["RequestInfo"].request_id == "my-own-name"
    assert dict(refused.trailing_metadata())["x-request-id"] == "my-own-name"
    assert metadata["x-request-id"] == "my-own-name"
    assert other not in {"", "my-own-name"}, "each call has a context of its own"


@pytest.mark.parametrize("letter", ["x", "é", "\U0001d54f"])
def test_long_errors_fit_into_what_clients_accept(lonely_settings: Settings, letter: str) -> None:
    """Clients refuse 8 KiB of metadata; with an error of that length they would see no error of ours."""
    training = {letter * 300 + str(i): 1 for i in range(60)}
    spec = {"kind": "train", "target": {"kind": letter * 4000}, "model": {"family": "made"}, "training": training}

    async def scene(stage: Stage) -> grpc.aio.AioRpcError:
        return await refusal(stage.jobs.Create(jobs_pb2.CreateJobRequest(spec_json=json.dumps(spec))))

    error = play(lonely_settings, scene)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert details(error)["ErrorInfo"].reason == "INVALID_VALUE"
    assert details(error)["BadRequest"].field_violations


@pytest.mark.parametrize("letter", ["x", "é"])
def test_the_longest_status_has_its_bound(letter: str) -> None:
    errors = tuple(FieldError(letter * 5000, letter * 5000) for _ in range(50))
    status = status_of(InvalidValueError(letter * 50_000, errors=errors))
    on_the_wire = len(status.SerializeToString()) * 4 / 3 + 3 * len(status.message)
    assert on_the_wire < 7500
    assert status.message.endswith("...")


class LateCall:
    """A call whose deadline has passed."""

    def __init__(self) -> None:
        self.ended: grpc.StatusCode | None = None

    def time_remaining(self) -> float:
        return 0.0

    async def abort(self, code: grpc.StatusCode, *_: object) -> None:
        self.ended = code
        raise grpc.aio.AbortError


def test_a_call_whose_time_has_passed_is_not_begun() -> None:
    begun = []

    async def unary(self: object, request: object, call: object) -> None:
        begun.append("unary")

    async def streaming(self: object, request: object, call: object) -> AsyncGenerator[None, None]:
        begun.append("streaming")
        yield

    for wrapped in (statuses(unary), statuses_streaming(streaming)):
        call = LateCall()
        with pytest.raises(grpc.aio.AbortError):
            asyncio.run(_awaited(wrapped, call))
        assert call.ended is grpc.StatusCode.DEADLINE_EXCEEDED
    assert begun == []


async def _awaited(wrapped: Any, call: LateCall) -> None:  # noqa: ANN401
    await wrapped(None, None, call)


def test_a_fault_of_ours_says_nothing_of_itself(lonely_settings: Settings) -> None:
    async def scene(stage: Stage) -> grpc.aio.AioRpcError:
        return await refusal(stage.inference.Sample(ASK))

    error = play(lonely_settings, scene, ToldEngine(error=KeyError("secret")))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(error)
