"""Claim, lease and fence: one owner at a time, and nothing that a former owner does counts."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from models_registry.database import Database
from tests.workers.job_cases import (
    KINDS,
    LEASE,
    LONG_AGO,
    change,
    claim,
    claim_and_lose,
    history,
    queue,
    read,
    row,
)
from workers.jobs.events import events_after
from workers.jobs.lease import (
    Claim,
    LeaseLostError,
    Report,
    _end_lease,
    claim_next,
    finish,
    heartbeat,
    reap,
    record_report,
    release,
)
from workers.jobs.read import log_lines, metric_names, metric_series
from workers.jobs.states import JobState
from workers.jobs.submission import request_cancel


def test_claims_come_by_priority_and_then_by_age(jobs_database: Database) -> None:
    ids = [queue(jobs_database, n + 1).id for n in range(4)]
    for index, (job_id, priority) in enumerate(zip(ids, (0, 5, 0, 5), strict=True)):
        change(jobs_database, job_id, priority=priority, created_at=100.0 + index)
    assert [claim(jobs_database).job_id for _ in ids] == [ids[1], ids[3], ids[0], ids[2]]
    assert claim_next(jobs_database, LEASE, KINDS) is None


def test_only_kinds_that_the_worker_knows_are_claimed(jobs_database: Database) -> None:
    queue(jobs_database)
    assert claim_next(jobs_database, LEASE, frozenset({"sweep"})) is None


def test_many_threads_claim_each_job_once(jobs_database: Database) -> None:
    ids = {queue(jobs_database, n + 1).id for n in range(40)}

    def claim_all(_: int) -> list[str]:
        mine: list[str] = []
        while (claimed := claim_next(jobs_database, LEASE, KINDS)) is not None:
            mine.append(claimed.job_id)
        return mine

    with ThreadPoolExecutor(8) as pool:
        claimed = [job_id for mine in pool.map(claim_all, range(8)) for job_id in mine]
    assert len(claimed) == len(ids)
    assert set(claimed) == ids


def test_a_running_job_is_not_claimed_while_its_lease_lasts(jobs_database: Database) -> None:
    queue(jobs_database)
    owner = claim(jobs_database)
    assert claim_next(jobs_database, LEASE, KINDS) is None
    assert reap(jobs_database, LONG_AGO) == []
    assert heartbeat(jobs_database, owner, LEASE) is False


def test_an_expired_job_is_claimed_with_the_next_fence(jobs_database: Database) -> None:
    queue(jobs_database)
    first = claim_and_lose(jobs_database)
    second = claim(jobs_database)
    assert (second.job_id, second.fence, second.attempt) == (first.job_id, first.fence + 1, first.attempt + 1)


def test_a_heartbeat_in_time_keeps_the_job(jobs_database: Database) -> None:
    queue(jobs_database)
    owner = claim(jobs_database, 0.3)
    for _ in range(4):
        time.sleep(0.1)
        heartbeat(jobs_database, owner, 0.3)
    assert claim_next(jobs_database, LEASE, KINDS) is None


def test_the_first_start_is_the_one_that_is_remembered(jobs_database: Database) -> None:
    job = queue(jobs_database)
    claim_and_lose(jobs_database)
    started_at = read(jobs_database, job.id).started_at
    assert started_at is not None
    claim(jobs_database)
    assert read(jobs_database, job.id).started_at == started_at


def _finish(database: Database, owner: Claim) -> None:
    with database.transaction() as connection:
        finish(connection, owner, JobState.SUCCEEDED, result={"from": "a zombie"})


WRITES: dict[str, Callable[[Database, Claim], object]] = {
    "heartbeat": lambda database, owner: heartbeat(database, owner, LEASE),
    "report": lambda database, owner: record_report(
        database, owner, Report({"fraction": 0.5}, {"loss": 1.0}, (("loss", 1, 1.0),), ("a line",))
    ),
    "empty report": lambda database, owner: record_report(database, owner, Report()),
    "finish": _finish,
    "release": lambda database, owner: release(database, owner, "late", counts_as_attempt=True),
}


def everything(database: Database, job_id: str) -> object:
    """All that the database says of a job."""
    with database.read() as connection:
        events = events_after(connection, job_id, 0)
        return row(database, job_id), events, metric_names(connection, job_id), log_lines(connection, job_id, 0, 10)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("successor", ["running", "queued", "succeeded", "cancelled"])
def test_a_zombie_changes_nothing(jobs_database: Database, write: str, successor: str) -> None:
    job = queue(jobs_database)
    zombie = claim_and_lose(jobs_database)
    if successor == "queued":
        assert reap(jobs_database, LONG_AGO) == [job.id]
    elif successor == "cancelled":
        request_cancel(jobs_database, job.id)
        reap(jobs_database, LONG_AGO)
    else:
        owner = claim(jobs_database)
        if successor == "succeeded":
            with jobs_database.transaction() as connection:
                finish(connection, owner, JobState.SUCCEEDED, result={"from": "the owner"})
    before = everything(jobs_database, job.id)
    assert read(jobs_database, job.id).state == successor
    with pytest.raises(LeaseLostError):
        WRITES[write](jobs_database, zombie)
    assert everything(jobs_database, job.id) == before


@pytest.mark.parametrize("write", WRITES)
def test_the_owner_may_write(jobs_database: Database, write: str) -> None:
    """The companion of the test above: its writes are refused because of the fence alone."""
    queue(jobs_database)
    WRITES[write](jobs_database, claim(jobs_database))


def test_a_refused_commit_takes_the_whole_transaction_with_it(jobs_database: Database) -> None:
    queue(jobs_database)
    zombie = claim_and_lose(jobs_database)
    claim(jobs_database)
    other = queue(jobs_database, 11)

    def commit() -> None:
        with jobs_database.transaction() as connection:
            connection.exec_driver_sql("UPDATE jobs SET priority = 9 WHERE id = ?", (other.id,))
            finish(connection, zombie, JobState.SUCCEEDED)

    with pytest.raises(LeaseLostError):
        commit()
    assert row(jobs_database, other.id)["priority"] == 0


def test_the_reaper_queues_an_expired_job_again(jobs_database: Database) -> None:
    job = queue(jobs_database)
    claim_and_lose(jobs_database)
    assert reap(jobs_database, LONG_AGO) == [job.id]
    assert reap(jobs_database, LONG_AGO) == []
    assert history(jobs_database, job.id) == [JobState.QUEUED, JobState.RUNNING, JobState.QUEUED]
    assert claim(jobs_database).attempt == 2


@pytest.mark.parametrize("owner_does", ["finishes", "beats"])
def test_a_reaper_whose_reading_is_old_changes_nothing(jobs_database: Database, owner_does: str) -> None:
    """Where readers do not wait for writers, the owner may come between the reaper's reading and its writing."""
    job = queue(jobs_database)
    owner = claim_and_lose(jobs_database)
    read_before = row(jobs_database, job.id)
    if owner_does == "finishes":
        _finish(jobs_database, owner)
    else:
        heartbeat(jobs_database, owner, LEASE)
    before = everything(jobs_database, job.id)
    with jobs_database.transaction() as connection:
        _end_lease(connection, read_before)
    assert everything(jobs_database, job.id) == before


def test_a_job_is_given_up_after_its_last_attempt(jobs_database: Database) -> None:
    job = queue(jobs_database, max_attempts=2)
    for _ in range(2):
        claim_and_lose(jobs_database)
        reap(jobs_database, LONG_AGO)
    ended = read(jobs_database, job.id)
    assert ended.state == "failed"
    assert ended.error is not None
    assert ended.error["reason"] == "ATTEMPTS_USED_UP"
    assert "2 attempts" in ended.error["detail"]
    assert ended.finished_at is not None
    assert claim_next(jobs_database, LEASE, KINDS) is None


def test_a_job_whose_attempts_are_used_up_is_not_claimed_before_the_reaper_comes(jobs_database: Database) -> None:
    queue(jobs_database, max_attempts=1)
    claim_and_lose(jobs_database)
    assert claim_next(jobs_database, LEASE, KINDS) is None


def test_a_cancelled_job_of_a_dead_worker_ends_cancelled(jobs_database: Database) -> None:
    job = queue(jobs_database, max_attempts=1)
    claim_and_lose(jobs_database)
    request_cancel(jobs_database, job.id)
    assert reap(jobs_database, LONG_AGO) == []
    assert read(jobs_database, job.id).state == "cancelled"
    assert history(jobs_database, job.id)[-1] is JobState.CANCELLED


def test_queued_jobs_are_dispatched_again_when_nobody_came(jobs_database: Database) -> None:
    job = queue(jobs_database)
    assert reap(jobs_database, 0.2) == []
    time.sleep(0.25)
    assert reap(jobs_database, 0.2) == [job.id]
    assert reap(jobs_database, 0.2) == []


def test_a_drained_job_keeps_its_attempts(jobs_database: Database) -> None:
    job = queue(jobs_database, max_attempts=1)
    for _ in range(3):
        owner = claim(jobs_database)
        assert owner.attempt == 1
        release(jobs_database, owner, "its worker is shutting down", counts_as_attempt=False)
    assert reap(jobs_database, LONG_AGO) == [job.id]
    fences = [claim(jobs_database).fence]
    assert fences == [4]  # an attempt given back never gives back a fence


def test_a_released_attempt_counts_when_the_process_died(jobs_database: Database) -> None:
    queue(jobs_database)
    release(jobs_database, claim(jobs_database), "its process died", counts_as_attempt=True)
    assert claim(jobs_database).attempt == 2


def test_a_resumed_run_overwrites_the_points_after_its_checkpoint(jobs_database: Database) -> None:
    job = queue(jobs_database)
    owner = claim(jobs_database)
    first = tuple(("loss", step, float(step)) for step in range(1, 8))
    other = tuple(("beta", step, 0.1) for step in range(1, 8))
    record_report(jobs_database, owner, Report(points=first + other))
    record_report(jobs_database, owner, Report(points=(("loss", 5, 50.0), ("loss", 6, 60.0))))
    with jobs_database.read() as connection:
        assert metric_names(connection, job.id) == ["beta", "loss"]
        loss = metric_series(connection, job.id, "loss")
        beta = metric_series(connection, job.id, "beta")
    # step 7 was made by the run that was lost; the resumed one has not come there yet
    assert loss == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 50.0), (6, 60.0)]
    assert len(beta) == 7


def test_reports_are_kept(jobs_database: Database) -> None:
    job = queue(jobs_database)
    owner = claim(jobs_database)
    record_report(jobs_database, owner, Report({"fraction": 0.5}, {"loss": 1.5}, (), ("one", "two")))
    record_report(jobs_database, owner, Report())
    found = read(jobs_database, job.id)
    assert (found.progress, found.metrics) == ({"fraction": 0.5}, {"loss": 1.5})
    with jobs_database.read() as connection:
        lines = log_lines(connection, job.id, 0, 10)
        assert [line["line"] for line in lines] == ["one", "two"]
        assert [line["line"] for line in log_lines(connection, job.id, lines[0]["id"], 10)] == ["two"]
        assert [e["type"] for e in events_after(connection, job.id, 0)] == ["state", "state", "progress", "metric"]
