"""Many samples through a whole stack: the same ones as in one answer, whatever happens to what draws them."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from helmholtz import Client, ConflictError, InvalidValueError, Job, JobCancelledError, NotFoundError
from tests.running_stack import RunningStack

ALL = ("log_prob", "energy")
LONG = 3_000_000  # seconds of work for the small model, and several chunks
ENDLESS = 100_000_000


def running(client: Client, job: Job, seconds: float = 30) -> Job:
    """The job when it has drawn something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = client.job(job)
        if found.progress is not None and found.progress.step > 0:
            return found
        time.sleep(0.05)
    msg = f"job {job.id} does not begin"
    raise TimeoutError(msg)


@pytest.mark.parametrize("n", [1, 2500])
def test_the_samples_are_those_of_one_answer(stack: RunningStack, small_model: str, tmp_path: Path, n: int) -> None:
    with stack.client() as client:
        job = client.wait(client.draw(small_model, n, seed=17, include=ALL), timeout=60)
        drawn, answered = client.result(job), client.sample(small_model, n, seed=17, include=ALL)
        path = client.download(job, tmp_path / "all.safetensors")
        version = client.version(small_model, "production")
    assert drawn.samples.dtype == answered.samples.dtype
    assert drawn.samples.tobytes() == answered.samples.tobytes()
    for name in (*ALL, "log_weight"):
        assert np.asarray(getattr(drawn, name)).tobytes() == np.asarray(getattr(answered, name)).tobytes(), name
    assert (drawn.model, drawn.version, drawn.seed) == (small_model, answered.version, 17)
    assert drawn.digest == version.digest
    tensors = safetensors.numpy.load(path.read_bytes())
    assert tensors["samples"].tobytes() == drawn.samples.tobytes()
    assert set(tensors) == {"samples", "log_weight", *ALL}


def test_a_killed_process_changes_nothing(stack: RunningStack, small_model: str, tmp_path: Path) -> None:
    with stack.client() as client:
        job = client.draw(small_model, LONG, seed=3, include=("log_prob",))
        running(client, job)
        os.kill(stack.training_process().pid, signal.SIGKILL)
        ended = client.wait(job, timeout=100)
        again = client.wait(client.draw(small_model, LONG, seed=3, include=("log_prob",)), timeout=100)
        first, second = (client.download(j, tmp_path / f"{j.id}.npz").read_bytes() for j in (ended, again))
    assert (ended.attempt, again.attempt) == (2, 1)
    assert first == second
    assert (ended.result or {})["digest"] == (again.result or {})["digest"]
    assert (ended.result or {})["size_bytes"] == len(first) > LONG * 24


def test_one_that_is_cancelled_stops_and_leaves_no_file(stack: RunningStack, small_model: str, tmp_path: Path) -> None:
    with stack.client() as client:
        job = client.draw(small_model, ENDLESS)
        seen = running(client, job)
        assert seen.metrics["samples_per_second"] > 0
        assert seen.progress is not None
        assert seen.progress.eta_seconds is not None
        with pytest.raises(ConflictError, match="is running") as early:
            client.download(job, tmp_path / "x.npz")
        assert early.value.reason == "JOB_NOT_FINISHED"
        client.cancel(job)
        with pytest.raises(JobCancelledError):
            client.wait(job, timeout=30)
        with pytest.raises(ConflictError) as late:
            client.result(job)
    assert late.value.reason == "JOB_WITHOUT_RESULT"
    assert list(tmp_path.iterdir()) == []


def test_a_question_may_be_answered_with_a_job(stack: RunningStack, small_model: str) -> None:
    path, body = f"/v1/models/{small_model}:sample", {"n": 700, "seed": 5}
    headers = {"Prefer": "respond-async", "Idempotency-Key": "the journey of a question"}
    answers = [stack.post(path, body, **headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert answers[0].headers["location"] == f"/v1/jobs/{answers[0].json()['id']}"
    with stack.client() as client:
        drawn = client.result(client.wait(answers[0].json()["id"], timeout=60))
        assert drawn.samples.tobytes() == client.sample(small_model, 700, seed=5).samples.tobytes()
        with pytest.raises(InvalidValueError, match="at least 1"):
            client.draw(small_model, 0)
        with pytest.raises(NotFoundError, match="nobody"):
            client.draw("nobody", 5)
