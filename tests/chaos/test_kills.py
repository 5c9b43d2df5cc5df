"""kill -9 on every process in mid-run: the job resumes from its checkpoint and ends once, with one version."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helmholtz import Client, Job, JobCancelledError, Version
from tests.running_stack import RunningStack, wait_until_gone

pytestmark = pytest.mark.chaos

STEPS = 800
JOB: dict[str, Any] = {
    "kind": "train",
    "target": {"kind": "ising", "shape": [6, 6], "beta": 0.4},
    "model": {"family": "made", "width": 64},
    "training": {"batch_size": 500, "max_steps": STEPS, "checkpoint_every_seconds": 0.5, "seed": 4},
}


def job_for(model: str, **training: object) -> dict[str, Any]:
    """The job, publishing under a name of its own."""
    return JOB | {"training": JOB["training"] | training, "publish": {"model": model, "alias": "production"}}


@pytest.fixture(scope="module")
def wounded_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack whose processes are killed one after another, with short leases so that it is noticed soon."""
    stack = RunningStack(tmp_path_factory.mktemp("wounded"), lease_seconds="3")
    yield stack
    stack.stop()


@pytest.fixture
def own_stack(data_dir: Path) -> Iterator[RunningStack]:
    """A stack of this test's own."""
    stack = RunningStack(data_dir, lease_seconds="3")
    yield stack
    stack.stop()


def train_and_kill(stack: RunningStack, model: str, victim: str) -> tuple[Job, list[Version], str]:
    """Kill -9 ``victim`` once the job has checkpoints; the finished job, the versions and the job's log."""
    with stack.client() as client:
        job = client.submit(job_for(model))
        wait_for_checkpoints(client, job)
        os.kill(VICTIMS[victim](stack), signal.SIGKILL)
        finished = client.wait(job, timeout=120)
        log = "\n".join(line.line for line in client.logs(job))
        return finished, client.versions(model), log


def wait_for_checkpoints(client: Client, job: Job) -> None:
    """Return when the job is well on its way."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        progress = client.job(job).progress
        if progress is not None and progress.step >= STEPS // 5:
            return
        time.sleep(0.1)
    msg = "the job made no progress"
    raise TimeoutError(msg)


VICTIMS: dict[str, Callable[[RunningStack], int]] = {
    "training subprocess": lambda stack: stack.training_process().pid,
    "worker": lambda stack: stack.child("workers.trainer.app").pid,
    "redis": lambda stack: stack.child("redis-server").pid,
    "gateway": lambda stack: stack.child("service.gateway").pid,
    "engine": lambda stack: stack.child("workers.engine.app").pid,
}


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_job_survives_the_death_of(wounded_stack: RunningStack, victim: str) -> None:
    model = "survivor-of-" + victim.replace(" ", "-")
    finished, versions, log = train_and_kill(wounded_stack, model, victim)
    assert finished.state == "succeeded"
    assert [version.version for version in versions] == [1]
    assert versions[0].job_id == finished.id
    interrupted = victim in {"training subprocess", "worker"}
    assert finished.attempt == (2 if interrupted else 1)
    assert ("resumed from the checkpoint at step" in log) == interrupted
    assert wounded_stack.post(f"/v1/models/{model}:sample", {"n": 3, "seed": 1}).status_code == 200


def test_a_killed_training_ends_in_the_weights_of_an_uninterrupted_one(wounded_stack: RunningStack) -> None:
    with wounded_stack.client() as client:
        client.wait(client.submit(job_for("twin")), timeout=120)
    _, versions, log = train_and_kill(wounded_stack, "twin", "training subprocess")
    assert "resumed from the checkpoint" in log
    weights = [wounded_stack.get(f"/v1/models/twin/versions/{v.version}/weights").content for v in versions]
    assert len(weights) == 2
    assert tensors(weights[0]) == tensors(weights[1])


def tensors(artifact: bytes) -> bytes:
    """The part of a safetensors file after its header, which names the job."""
    return artifact[8 + int.from_bytes(artifact[:8], "little") :]


def test_nothing_outlives_a_killed_launcher(own_stack: RunningStack) -> None:
    with own_stack.client() as client:
        client.submit(job_for("survivor"))
        own_stack.training_process()
    everything = own_stack.processes()
    assert len(everything) >= 6  # launcher, redis, engine, trainer, fork server, job, gateway
    os.kill(own_stack.process.pid, signal.SIGKILL)
    own_stack.process.communicate()
    assert wait_until_gone(everything) == []


def test_the_job_of_a_killed_stack_ends_when_it_is_started_again(own_stack: RunningStack) -> None:
    with own_stack.client() as client:
        job = client.submit(job_for("survivor"))
        wait_for_checkpoints(client, job)
    os.kill(own_stack.process.pid, signal.SIGKILL)
    own_stack.process.communicate()
    own_stack.start()
    with own_stack.client() as client:
        finished = client.wait(job, timeout=120)
        assert (finished.state, finished.attempt) == ("succeeded", 2)
        assert len(client.versions("survivor")) == 1


def test_a_running_job_is_cancelled_within_its_step(wounded_stack: RunningStack) -> None:
    with wounded_stack.client() as client:
        job = client.submit(job_for("endless", max_steps=10_000_000))
        process = wounded_stack.training_process()
        assert client.cancel(job).cancel_requested
        with pytest.raises(JobCancelledError):
            client.wait(job, timeout=30)
        assert wait_until_gone([process]) == []
        retried = client.retry(job)
        assert retried.retry_of == job.id
        client.cancel(retried)


def test_stopping_the_stack_gives_a_running_job_back(own_stack: RunningStack) -> None:
    with own_stack.client() as client:
        job = client.submit(job_for("survivor"))
        wait_for_checkpoints(client, job)
    everything = own_stack.processes()
    assert own_stack.stop() == 0
    assert wait_until_gone(everything) == []
    own_stack.start()
    with own_stack.client() as client:
        finished = client.wait(job, timeout=120)
        log = "\n".join(line.line for line in client.logs(job))
    assert finished.state == "succeeded"
    assert "resumed from the checkpoint" in log
    assert finished.attempt == 1, "a stop in order is not a failed attempt"


def test_requests_during_the_loss_of_redis_answer_or_say_so(wounded_stack: RunningStack) -> None:
    with wounded_stack.client() as client:
        client.wait(client.submit(job_for("brief", max_steps=5)), timeout=60)
    os.kill(wounded_stack.child("redis-server").pid, signal.SIGKILL)
    statuses: list[int] = []
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (not statuses or statuses[-1] != 200 or len(statuses) < 10):
        answer = wounded_stack.post("/v1/models/brief:sample", {"n": 3, "seed": 1})
        statuses.append(answer.status_code)
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) >= 1
    assert statuses[-1] == 200
    assert set(statuses) <= {200, 503}
