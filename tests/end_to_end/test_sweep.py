"""A family of models trained by one request, watched and cancelled as one job."""

import time

import pytest

from helmholtz import Client, ConflictError, Event, JobCancelledError
from tests.running_stack import RunningStack

TARGET = {"kind": "ising", "shape": [4, 4]}
MODEL = {"family": "made", "width": 8}
BETAS = [0.3, 0.4, 0.44]


def wait_for_state(client: Client, job_id: str, state: str, timeout: float = 60) -> None:
    """Return when the job is in this state."""
    deadline = time.monotonic() + timeout
    while client.job(job_id).state != state:
        assert time.monotonic() < deadline, client.job(job_id)
        time.sleep(0.1)


def test_a_sweep_trains_one_model_for_each_temperature(stack: RunningStack) -> None:
    train = {
        "target": TARGET,
        "model": MODEL,
        "training": {"batch_size": 100, "max_steps": 5, "seed": 1},
        "publish": {"model": "swept", "alias": "candidate"},
    }
    with stack.client() as client:
        submitted = client.sweep(train, {"target.beta": BETAS})
        assert [child.model for child in submitted.children or ()] == [f"swept-beta-{beta}" for beta in BETAS]
        told: list[Event] = []
        parent = client.wait(submitted, told.append, timeout=120)
        assert parent.result == {
            "versions": [
                {"job": child.id, "values": {"target.beta": beta}, "model": f"swept-beta-{beta}", "version": 1}
                for child, beta in zip(parent.children or (), BETAS, strict=True)
            ]
        }
        for beta in BETAS:
            version = client.version(f"swept-beta-{beta}", "candidate")
            assert (version.target or {})["beta"] == beta
            assert client.sample(f"swept-beta-{beta}", 10, seed=1).samples.shape == (10, 4, 4)
        assert {job.id for job in client.jobs(parent=parent)} == {child.id for child in parent.children or ()}
    assert [event.data["state"] for event in told if event.kind == "state"] == ["queued", "running", "succeeded"]
    fractions = [event.data["fraction"] for event in told if event.kind == "progress"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_one_cancel_ends_a_whole_sweep(stack: RunningStack) -> None:
    train = {
        "target": TARGET | {"beta": 0.4},
        "model": MODEL,
        "training": {"batch_size": 100, "max_steps": 1_000_000},
    }
    with stack.client() as client:
        submitted = client.sweep(train, {"training.seed": [1, 2, 3]})
        wait_for_state(client, submitted.id, "running")
        asked = client.cancel(submitted)
        assert asked.cancel_requested
        with pytest.raises(JobCancelledError):
            client.wait(submitted, timeout=60)
        ended = client.job(submitted.id)
        assert [child.state for child in ended.children or ()] == ["cancelled"] * 3
        assert ended.result == {"versions": []}
        with pytest.raises(ConflictError, match="has ended"):
            client.cancel(submitted)
