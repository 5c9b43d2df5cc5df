"""Jobs of samples over REST: what is settled when they are submitted, what is refused, and their files."""

import hashlib
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import safetensors.numpy
from sqlalchemy import update

from models_registry.migrate import migrate
from models_registry.records import VersionManifest
from service.context import Context
from service.rpc.v1 import registry_pb2
from service.use_cases.submit_job import submit_job
from tests.service.conftest import NO_REDIS, Ask
from tests.service.rpc_stage import Stage, play, refusal
from tests.workers.tiny_models import TARGET, TinyRegistry
from workers.jobs.lease import claim_next, finish
from workers.jobs.states import JobState
from workers.jobs.table import jobs
from workers.kinds.base import JobContext
from workers.kinds.sample import Sample
from workers.settings import Settings
from workers.trainer.checkpoints import CheckpointFolder

KINDS = frozenset({"sample"})
SAFETENSORS = "application/vnd.safetensors"


@pytest.fixture
def registry(context: Context) -> TinyRegistry:
    """The gateway's registry, with two versions of ``made``; ``candidate`` is the first."""
    tiny = TinyRegistry(context.database, context.settings.data_dir / "artifacts")
    for seed in (5, 6):
        tiny.publish("made", seed=seed)
    context.aliases.set("made", "candidate", 1, if_match=None, force=False, caller="local")
    return tiny


def publish(context: Context, name: str, model_spec: dict[str, Any], target: dict[str, Any] | None = TARGET) -> None:
    """A version whose weights nobody reads."""
    manifest = VersionManifest(
        model=name,
        job_id=f"job-{name}",
        target=target,
        space={"kind": "spins", "event_shape": [4, 4]},
        model_spec=model_spec,
        objective={},
        training={},
        seed=0,
        metrics={},
        target_digest="0" * 64,
        libraries={},
    )
    with context.database.transaction() as connection:
        context.versions.publish(connection, manifest, "1" * 64, 1)


def draw(**changes: object) -> dict[str, object]:
    return {"kind": "sample", "model": "made", "n": 100} | changes


def submitted(ask: Ask, key: str | None = None, **changes: object) -> dict[str, Any]:
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = ask("POST", "/v1/jobs", json=draw(**changes), headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    return dict(answer.json())


def assert_refused(answer: httpx.Response, status: int, reason: str, words: str) -> None:
    assert (answer.status_code, answer.json().get("reason")) == (status, reason), answer.text
    assert words in answer.text, answer.text


def test_an_alias_is_settled_when_the_job_is_submitted(ask: Ask, registry: TinyRegistry, context: Context) -> None:
    first, second = (registry.versions.get("made", number) for number in (1, 2))
    job = submitted(ask, "k", ref="candidate")
    assert (job["kind"], job["state"]) == ("sample", "queued")
    assert (job["spec"]["ref"], job["spec"]["digest"]) == ("1", first.digest)
    assert 0 <= job["spec"]["seed"] < 2**53
    context.aliases.set("made", "candidate", 2, if_match="*", force=True, caller="local")
    assert ask("GET", f"/v1/jobs/{job['id']}").json()["spec"] == job["spec"]
    assert submitted(ask, "k", ref="candidate")["id"] == job["id"], "the same question with the same key"
    assert_refused(
        ask("POST", "/v1/jobs", json=draw(ref="candidate", n=101), headers={"Idempotency-Key": "k"}),
        422, "IDEMPOTENCY_MISMATCH", "another body",
    )  # fmt: skip
    assert submitted(ask, ref="candidate")["spec"]["digest"] == second.digest
    assert submitted(ask, ref=1)["spec"]["ref"] == "1"
    assert submitted(ask)["spec"]["ref"] == "2", "the newest, as there is no production"
    ask("POST", f"/v1/jobs/{job['id']}:cancel")
    retried = ask("POST", f"/v1/jobs/{job['id']}:retry").json()
    assert (retried["retry_of"], retried["spec"]) == (job["id"], job["spec"])


def test_conditions_are_settled_too(ask: Ask, context: Context) -> None:
    publish(context, "hot", {"family": "made", "width": 8, "condition_on": {"beta": [0.2, 1.0]}})
    assert submitted(ask, model="hot")["spec"]["condition"] == {"beta": 0.44}
    job = submitted(ask, model="hot", beta=0.9)
    assert (job["spec"]["condition"], job["spec"]["beta"]) == ({"beta": 0.9}, None)


BAD: dict[str, tuple[dict[str, object], int, str, str]] = {
    "no samples": ({"n": 0}, 422, "INVALID_VALUE", "at least 1"),
    "fewer than none": ({"n": -5}, 422, "INVALID_VALUE", "at least 1"),
    "half of one": ({"n": 2.5}, 422, "INVALID_VALUE", "n"),
    "too many": ({"n": 2**28 + 1}, 422, "LIMIT_EXCEEDED", "HELMHOLTZ_MAX_JOB_SAMPLES_VALUES"),
    "an unknown model": ({"model": "nobody"}, 404, "NOT_FOUND", "no model 'nobody'"),
    "no name": ({"model": "../x"}, 422, "INVALID_VALUE", "model"),
    "an unknown version": ({"ref": "7"}, 404, "NOT_FOUND", "no version '7'"),
    "an unknown alias": ({"ref": "canary"}, 404, "NOT_FOUND", "no alias 'canary'"),
    "another digest": ({"digest": "0" * 64}, 422, "INVALID_VALUE", "has "),
    "another beta": ({"beta": 0.3}, 409, "CAPABILITY_MISSING", "trained at, 0.44"),
    "something else beside": ({"include": ["force"]}, 422, "INVALID_VALUE", "log_prob"),
    "a negative seed": ({"seed": -1}, 422, "INVALID_VALUE", "seed"),
    "an unknown device": ({"device": "tpu"}, 422, "INVALID_VALUE", "device"),
    "an unknown field": ({"colour": 1}, 422, "INVALID_VALUE", "colour"),
    "no class": ({"model": "classes"}, 422, "INVALID_VALUE", "no value came"),
    "energies without a target": (
        {"model": "classes", "condition": {"label": 1}, "include": ["energy"]}, 409, "CAPABILITY_MISSING", "data alone",
    ),
    "a family without samples": ({"model": "loops"}, 409, "CAPABILITY_MISSING", "has no samples"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
@pytest.mark.usefixtures("registry")
def test_what_cannot_be_drawn_is_refused_before_it_is_queued(ask: Ask, context: Context, what: str) -> None:
    publish(context, "classes", {"family": "made", "width": 8, "condition_on": {"label": 10}}, target=None)
    publish(context, "loops", {"family": "bethe"})
    changes, status, reason, words = BAD[what]
    assert_refused(ask("POST", "/v1/jobs", json=draw(**changes)), status, reason, words)
    model, ref = changes.get("model", "made"), changes.get("ref", "1")
    if model != "../x" and not {"digest", "device"} & set(changes):
        body = {name: value for name, value in draw(**changes).items() if name not in {"kind", "model", "ref"}}
        path = f"/v1/models/{model}/versions/{ref}:sample"
        answer = ask("POST", path, json=body, headers={"Prefer": "respond-async"})
        assert_refused(answer, status, reason, words)
    assert ask("GET", "/v1/jobs").json()["jobs"] == []


@pytest.mark.usefixtures("registry")
def test_a_client_that_does_not_want_to_wait_is_given_a_job(ask: Ask) -> None:
    path, body = "/v1/models/made/versions/candidate:sample", {"n": 500, "include": ["log_prob"]}
    headers = {"Prefer": "respond-async, wait=5", "Idempotency-Key": "k", "Accept": "application/x-npy"}
    answer = ask("POST", path, json=body, headers=headers)
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert answer.headers["preference-applied"] == "respond-async"
    assert (job["kind"], job["spec"]["ref"], job["spec"]["n"]) == ("sample", "1", 500)
    assert ask("POST", path, json=body, headers=headers).json()["id"] == job["id"]
    assert submitted(ask, "k", n=500, include=["log_prob"], ref="candidate")["id"] == job["id"]
    assert_refused(ask("POST", path, json={"n": 7}, headers=headers), 422, "IDEMPOTENCY_MISMATCH", "another body")
    large = ask("POST", "/v1/models/made:sample", json={"n": 10**6}, headers={"Prefer": "Respond-Async"})
    assert large.status_code == 202, "more than one answer may have"
    assert ask("POST", "/v1/models/made:sample", json={"n": 1}, headers={"Prefer": "wait=1"}).status_code == 503


@pytest.mark.usefixtures("registry")
def test_what_is_known_to_take_longer_than_the_client_waits_becomes_a_job(ask: Ask, context: Context) -> None:
    kind = {"model": "made", "version": 1}
    for n in (10, 50):
        context.engine.costs.learn("sample", kind | {"n": n}, 0.1 * n)
    path = "/v1/models/made/versions/1:sample"
    answer = ask("POST", path, json={"n": 200}, headers={"Prefer": "wait=15"})
    assert (answer.status_code, answer.json()["spec"]["n"]) == (202, 200)
    assert "preference-applied" not in answer.headers
    assert ask("POST", path, json={"n": 200}, headers={"Prefer": "wait=25"}).status_code == 503, (
        "it is tried, without Redis"
    )
    assert_refused(ask("POST", path, json={"n": 10**6}), 422, "LIMIT_EXCEEDED", "at most")


@pytest.mark.usefixtures("registry")
def test_from_small_requests_nothing_is_concluded_on_large_ones(ask: Ask, context: Context) -> None:
    kind = {"model": "made", "version": 1}
    for n in (1, 8):
        context.engine.costs.learn("sample", kind | {"n": n}, 0.5 * n)
    path = "/v1/models/made/versions/1:sample"
    assert ask("POST", path, json={"n": 33}, headers={"Prefer": "wait=5"}).status_code == 503, "it is tried"
    assert ask("POST", path, json={"n": 32}, headers={"Prefer": "wait=5"}).status_code == 202


def test_a_version_that_a_job_needs_is_not_deleted(ask: Ask, registry: TinyRegistry, context: Context) -> None:
    registry.publish("pixelcnn")
    job = submitted(ask, ref="2")["id"]
    for path in ("/v1/models/made/versions/2", "/v1/models/made/versions/latest"):
        assert_refused(ask("DELETE", path), 409, "VERSION_IN_USE", job)
    owner = claim_next(context.database, 60, KINDS)
    assert owner is not None
    assert_refused(ask("DELETE", "/v1/models/made/versions/2"), 409, "VERSION_IN_USE", job)
    with context.database.transaction() as connection:
        finish(connection, owner, JobState.CANCELLED)
    assert ask("DELETE", "/v1/models/made/versions/2").status_code == 204
    beginning = {"kind": "train", "init_from": {"model": "pixelcnn", "version": 1}}
    for state, status in (("queued", 409), ("running", 409), ("failed", 204)):
        with context.database.transaction() as connection:
            row = update(jobs).where(jobs.c.id == job)
            connection.execute(row.values(kind="train", spec=beginning, state=state))
        assert ask("DELETE", "/v1/models/pixelcnn").status_code == status
    assert_refused(ask("DELETE", "/v1/models/pixelcnn"), 404, "NOT_FOUND", "pixelcnn")


def test_nor_is_it_over_grpc(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, redis_url=NO_REDIS, http_port=0, grpc_port=0)
    migrate(settings.resolved_database_url)

    async def scene(stage: Stage) -> None:
        TinyRegistry(stage.context.database, tmp_path / "artifacts").publish("made")
        job, _ = await submit_job(stage.context, draw(), "local", None)
        deletions = (
            stage.registry.DeleteVersion(registry_pb2.DeleteVersionRequest(model="made", ref="1")),
            stage.registry.DeleteModel(registry_pb2.DeleteModelRequest(model="made")),
        )
        for deletion in deletions:
            error = await refusal(deletion)
            assert dict(error.trailing_metadata())["reason"] == "VERSION_IN_USE"
            assert job.id in error.details()

    play(settings, scene)


def finished(ask: Ask, context: Context, folder: Path, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of a spec
    """A job that has been drawn in this process and has succeeded."""
    submitted(ask, **changes)
    owner = claim_next(context.database, 60, KINDS)
    assert owner is not None
    run = JobContext(
        job_id=owner.job_id,
        spec=owner.spec,
        settings=context.settings.model_copy(update={"engine_threads": 1}),
        checkpoints=CheckpointFolder(folder / owner.job_id),
        blobs=context.blobs,
        report=lambda report: None,
        stop_requested=lambda: False,
    )
    outcome = Sample().run(run)
    with context.database.transaction() as connection:
        finish(connection, owner, JobState.SUCCEEDED, result=outcome.result)
    return dict(ask("GET", f"/v1/jobs/{owner.job_id}").json())


@pytest.mark.usefixtures("registry")
def test_the_file_of_a_job_is_sent_in_both_formats(ask: Ask, context: Context, tmp_path: Path) -> None:
    job = finished(ask, context, tmp_path, n=3000, include=["log_prob", "energy"], seed=4)
    path, result = f"/v1/jobs/{job['id']}/result", job["result"]
    whole = ask("GET", path)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "application/x-npz")
    assert whole.headers["etag"] == f'"{result["digest"]}"'
    assert hashlib.sha256(whole.content).hexdigest() == result["digest"]
    assert whole.headers["content-length"] == str(result["size_bytes"]) == str(len(whole.content))
    with np.load(io.BytesIO(whole.content), allow_pickle=False) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    assert {name: list(array.shape) for name, array in arrays.items()} == {
        "samples": [3000, 4, 4], "log_prob": [3000], "energy": [3000], "log_weight": [3000],
    }  # fmt: skip
    for options in ({"params": {"format": "safetensors"}}, {"headers": {"Accept": SAFETENSORS}}):
        other = ask("GET", path, **options)
        assert other.headers["content-type"] == SAFETENSORS
        assert other.headers["etag"] == f'"{hashlib.sha256(other.content).hexdigest()}"' != whole.headers["etag"]
        tensors = safetensors.numpy.load(other.content)
        assert all(tensors[name].tobytes() == array.tobytes() for name, array in arrays.items())
        assert set(tensors) == set(arrays)
    known = ask("GET", path, headers={"If-None-Match": whole.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    assert_refused(ask("GET", path, headers={"Accept": "image/png"}), 406, "NOT_ACCEPTABLE", "x-npz")
    assert_refused(ask("GET", path, params={"format": "csv"}), 422, "INVALID_VALUE", "format")


@pytest.mark.usefixtures("registry")
def test_a_job_without_a_file_says_why(ask: Ask, context: Context, tmp_path: Path) -> None:
    def asked(job_id: str) -> httpx.Response:
        return ask("GET", f"/v1/jobs/{job_id}/result")

    job = submitted(ask)["id"]
    assert_refused(asked(job), 409, "JOB_NOT_FINISHED", "is queued")
    claim_next(context.database, 60, KINDS)
    assert_refused(asked(job), 409, "JOB_NOT_FINISHED", "is running")
    for state in ("failed", "cancelled"):
        with context.database.transaction() as connection:
            connection.execute(update(jobs).where(jobs.c.id == job).values(state=state))
        assert_refused(asked(job), 409, "JOB_WITHOUT_RESULT", f"state: {state}")
    body = {"kind": "dataset", "target": TARGET, "n": 3, "sampler": "metropolis"}
    other = ask("POST", "/v1/jobs", json=body).json()["id"]
    assert_refused(asked(other), 404, "NO_RESULT_FILE", "/v1/datasets/")
    assert_refused(asked("nobody"), 404, "JOB_NOT_FOUND", "nobody")
    lost = finished(ask, context, tmp_path)
    context.blobs.delete(lost["result"]["artifact"])
    answer = asked(lost["id"])
    assert (answer.status_code, "restore blob" in answer.text) == (409, True), answer.text
