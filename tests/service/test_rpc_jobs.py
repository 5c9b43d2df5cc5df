"""The gRPC service Jobs: what REST has of jobs, by the same use cases; no Redis, and no worker but the test."""

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import pytest

from models_registry.migrate import migrate
from service.rpc import documents
from service.rpc.v1 import jobs_pb2 as pb
from tests.service.conftest import NO_REDIS
from tests.service.rpc_stage import Stage, play, refusal
from workers.jobs.lease import Report, claim_next, finish, record_report
from workers.jobs.states import JobState
from workers.settings import Settings

SPEC: dict[str, Any] = {
    "kind": "train",
    "target": {"kind": "ising", "shape": [4, 4], "beta": 0.44},
    "model": {"family": "made", "width": 8},
    "training": {"max_steps": 7, "seed": 2**53 - 1},
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    own = Settings(data_dir=tmp_path, redis_url=NO_REDIS, http_port=0, grpc_port=0)
    migrate(own.resolved_database_url)
    return own


def create(spec: object = SPEC, key: str = "") -> pb.CreateJobRequest:
    return pb.CreateJobRequest(spec_json=json.dumps(spec), idempotency_key=key)


def with_seed(seed: int) -> dict[str, Any]:
    return SPEC | {"training": {"seed": seed}}


def test_a_job_is_created_once_for_a_key_and_read_again(settings: Settings) -> None:
    async def scene(stage: Stage) -> tuple[pb.Job, pb.Job, pb.Job, grpc.aio.AioRpcError]:
        first = await stage.jobs.Create(create(key="k"))
        again = await stage.jobs.Create(create(key="k"))
        read = await stage.jobs.Get(pb.GetJobRequest(id=first.id))
        return first, again, read, await refusal(stage.jobs.Create(create(with_seed(1), key="k")))

    first, again, read, other = play(settings, scene)
    assert first == again == read
    assert (first.kind, first.state, first.attempt, first.parent) == ("train", pb.JOB_STATE_QUEUED, 0, "")
    assert other.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert dict(other.trailing_metadata())["reason"] == "IDEMPOTENCY_MISMATCH"
    spec = json.loads(first.spec_json)
    assert spec["training"]["seed"] == 2**53 - 1
    assert isinstance(spec["training"]["max_steps"], int)
    assert first.HasField("created_at")
    assert not first.HasField("finished_at")
    assert not first.HasField("error")
    assert not first.omitted


BAD = {
    "no JSON": ("{", "not JSON"),
    "nothing": ("", "not JSON"),
    "a list": ("[1]", "object"),
    "too deep": ("[" * 100 + "]" * 100, "levels deep"),
    "unknown kind": (json.dumps(SPEC | {"kind": "trian"}), "trian"),
    "a number with a point": (json.dumps(SPEC | {"training": {"seed": 1.5}}), "training.seed"),
    "too many sites": (json.dumps(SPEC | {"target": SPEC["target"] | {"shape": [4000, 4000]}}), "MAX_SITES"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_spec_is_refused_and_leaves_nothing(settings: Settings, name: str) -> None:
    text, words = BAD[name]

    async def scene(stage: Stage) -> tuple[grpc.aio.AioRpcError, int]:
        error = await refusal(stage.jobs.Create(pb.CreateJobRequest(spec_json=text)))
        return error, len((await stage.jobs.List(pb.ListJobsRequest())).jobs)

    error, number = play(settings, scene)
    expected = grpc.StatusCode.OUT_OF_RANGE if name == "too many sites" else grpc.StatusCode.INVALID_ARGUMENT
    assert error.code() is expected
    assert words in str(error.details())
    assert number == 0


def test_lists_have_pages_and_filters(settings: Settings) -> None:
    async def scene(stage: Stage) -> None:
        ids = [(await stage.jobs.Create(create(with_seed(i)))).id for i in range(5)]
        await stage.jobs.Cancel(pb.CancelJobRequest(id=ids[2]))
        found: list[str] = []
        token, pages = "", 0
        while pages == 0 or token:
            page = await stage.jobs.List(pb.ListJobsRequest(page_size=2, page_token=token))
            found, token, pages = [*found, *(job.id for job in page.jobs)], page.next_page_token, pages + 1
        assert pages == 3
        assert found == ids[::-1]
        cancelled = await stage.jobs.List(pb.ListJobsRequest(state=pb.JOB_STATE_CANCELLED))
        assert [job.id for job in cancelled.jobs] == [ids[2]]
        assert cancelled.jobs[0].spec_json == ""
        assert not (await stage.jobs.List(pb.ListJobsRequest(kind="sweep"))).jobs

    play(settings, scene)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (pb.ListJobsRequest(page_size=-1), "page_size"),
        (pb.ListJobsRequest(page_size=1001), "page_size"),
        (pb.ListJobsRequest(page_token="x"), "page_token"),  # noqa: S106 - no password
        (
            pb.ListJobsRequest(state=77),  # type: ignore[arg-type]  # protobuf keeps numbers that it does not know
            "JOB_STATE_QUEUED",
        ),
    ],
)
def test_a_list_that_cannot_be_is_refused(settings: Settings, asked: pb.ListJobsRequest, words: str) -> None:
    async def scene(stage: Stage) -> grpc.aio.AioRpcError:
        return await refusal(stage.jobs.List(asked))

    error = play(settings, scene)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in str(error.details())


def test_a_page_that_would_be_too_large_is_shorter(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "LARGEST_PAGE", 200)

    async def scene(stage: Stage) -> None:
        ids = [(await stage.jobs.Create(create(with_seed(i)))).id for i in range(7)]
        found: list[str] = []
        token = ""
        while len(found) < 7:
            page = await stage.jobs.List(pb.ListJobsRequest(page_token=token))
            assert page.ByteSize() <= 200
            found, token = [*found, *(job.id for job in page.jobs)], page.next_page_token
            assert bool(token) == (len(found) < 7)
        assert found == ids[::-1]

    play(settings, scene)


def test_a_large_spec_is_left_out_and_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "LARGEST_DOCUMENT", 100)

    async def scene(stage: Stage) -> pb.Job:
        job: pb.Job = await stage.jobs.Create(create())
        return job

    job = play(settings, scene)
    assert list(job.omitted) == ["spec_json"]
    assert job.spec_json == ""


def test_cancelling_and_trying_again(settings: Settings) -> None:
    async def scene(stage: Stage) -> None:
        job = await stage.jobs.Create(create())
        early = await refusal(stage.jobs.Retry(pb.RetryJobRequest(id=job.id)))
        assert early.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert dict(early.trailing_metadata())["reason"] == "JOB_NOT_RETRYABLE"
        cancelled = await stage.jobs.Cancel(pb.CancelJobRequest(id=job.id))
        assert (cancelled.state, cancelled.cancel_requested) == (pb.JOB_STATE_CANCELLED, True)
        late = await refusal(stage.jobs.Cancel(pb.CancelJobRequest(id=job.id)))
        assert dict(late.trailing_metadata())["reason"] == "JOB_FINISHED"
        again = await stage.jobs.Retry(pb.RetryJobRequest(id=job.id, idempotency_key="r"))
        assert (again.retry_of, again.spec_json) == (job.id, job.spec_json)
        assert (await stage.jobs.Retry(pb.RetryJobRequest(id=job.id, idempotency_key="r"))).id == again.id

    play(settings, scene)


@pytest.mark.parametrize("method", ["Get", "Cancel", "Retry", "Watch"])
def test_an_unknown_job_is_not_found(settings: Settings, method: str) -> None:
    async def scene(stage: Stage) -> grpc.aio.AioRpcError:
        return await refusal(getattr(stage.jobs, method)(getattr(pb, f"{method}JobRequest")(id="none")))

    error = play(settings, scene)
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert dict(error.trailing_metadata())["reason"] == "JOB_NOT_FOUND"


def test_a_key_that_is_too_long_is_refused(settings: Settings) -> None:
    async def scene(stage: Stage) -> list[grpc.aio.AioRpcError]:
        job = await stage.jobs.Create(create(key="k" * 255))
        await stage.jobs.Cancel(pb.CancelJobRequest(id=job.id))
        retry = stage.jobs.Retry(pb.RetryJobRequest(id=job.id, idempotency_key="k" * 256))
        return [await refusal(stage.jobs.Create(create(key="k" * 256))), await refusal(retry)]

    for error in play(settings, scene):
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "255" in error.details()


def work(stage: Stage) -> None:
    """What a worker does with a job, without the work."""
    database = stage.context.database
    claim = claim_next(database, 60, frozenset({"train"}))
    assert claim is not None
    record_report(database, claim, Report(progress={"step": 3, "fraction": 0.4}, metrics={"loss": -1.5}))
    with database.transaction() as connection:
        error = {"type": "about:blank", "title": "It failed", "detail": "of old age", "reason": "OLD_AGE"}
        finish(connection, claim, JobState.FAILED, error=error)


def test_watching_tells_everything_to_the_end_and_goes_on_from_anywhere(settings: Settings) -> None:
    async def scene(stage: Stage) -> None:
        job = await stage.jobs.Create(create())
        call = stage.jobs.Watch(pb.WatchJobRequest(id=job.id))
        watching = aiter(call)
        events = [await anext(watching)]
        await asyncio.to_thread(work, stage)
        events += [event async for event in watching]
        told = [(event.type, json.loads(event.data_json)) for event in events]
        assert told == [
            ("state", {"state": "queued"}),
            ("state", {"state": "running", "attempt": 1}),
            ("progress", {"step": 3, "fraction": 0.4}),
            ("metric", {"loss": -1.5}),
            ("state", {"state": "failed"}),
        ]
        assert [event.state for event in events] == [
            pb.JOB_STATE_QUEUED,
            pb.JOB_STATE_RUNNING,
            pb.JOB_STATE_UNSPECIFIED,
            pb.JOB_STATE_UNSPECIFIED,
            pb.JOB_STATE_FAILED,
        ]
        ids = [event.id for event in events]
        assert ids == sorted(set(ids))
        after = stage.jobs.Watch(pb.WatchJobRequest(id=job.id, last_event_id=ids[2]))
        assert [event async for event in after] == events[3:]
        ended = await stage.jobs.Get(pb.GetJobRequest(id=job.id))
        assert (ended.error.reason, ended.error.detail) == ("OLD_AGE", "of old age")
        assert json.loads(ended.metrics_json) == {"loss": -1.5}
        assert ended.HasField("finished_at")

    play(settings, scene)


def test_a_watch_that_a_drain_ends_says_where_to_go_on(settings: Settings) -> None:
    async def scene(stage: Stage) -> tuple[grpc.aio.AioRpcError, int]:
        job = await stage.jobs.Create(create())
        call = stage.jobs.Watch(pb.WatchJobRequest(id=job.id))
        first = await anext(aiter(call))
        stage.context.draining = True
        return await refusal(call), first.id

    error, last_id = play(settings, scene)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert dict(error.trailing_metadata())["reason"] == "DRAINING"
    assert f"last_event_id {last_id}" in str(error.details())


def test_a_negative_event_is_none(settings: Settings) -> None:
    async def scene(stage: Stage) -> grpc.aio.AioRpcError:
        job = await stage.jobs.Create(create())
        return await refusal(stage.jobs.Watch(pb.WatchJobRequest(id=job.id, last_event_id=-1)))

    assert play(settings, scene).code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_parent_is_shown_with_its_children(settings: Settings) -> None:
    sweep = {"kind": "sweep", "train": SPEC, "grid": {"target.beta": [0.3, 0.4]}}

    async def scene(stage: Stage) -> None:
        parent = await stage.jobs.Create(create(sweep))
        assert [json.loads(child.values_json) for child in parent.children] == [
            {"target.beta": 0.3},
            {"target.beta": 0.4},
        ]
        listed = await stage.jobs.List(pb.ListJobsRequest(parent=parent.id))
        assert {job.id for job in listed.jobs} == {child.id for child in parent.children}
        assert {job.parent for job in listed.jobs} == {parent.id}

    play(settings, scene)
