"""Submission: one job for one idempotency key, whoever races; cancelling and paging."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from models_registry.database import Database
from tests.workers.job_cases import change, claim, history, queue, read, spec
from workers.jobs.lease import heartbeat
from workers.jobs.read import list_jobs
from workers.jobs.states import JobState
from workers.jobs.submission import request_cancel, submit
from zoo.specs.errors import InvalidValueError, NotFoundError, StateConflictError


def test_one_key_is_one_job_from_many_threads(jobs_database: Database) -> None:
    def send(_: int) -> tuple[str, bool]:
        job, new = submit(jobs_database, spec(), caller="local", max_attempts=3, idempotency_key="k")
        return job.id, new

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(24)))
    assert len({job_id for job_id, _ in answers}) == 1
    assert sum(new for _, new in answers) == 1
    assert history(jobs_database, answers[0][0]) == [JobState.QUEUED]


def test_a_key_with_another_body_is_refused(jobs_database: Database) -> None:
    first = queue(jobs_database, 10, key="k")
    with pytest.raises(InvalidValueError, match="another body") as caught:
        queue(jobs_database, 11, key="k")
    assert caught.value.reason == "IDEMPOTENCY_MISMATCH"
    with jobs_database.read() as connection:
        jobs, _ = list_jobs(connection, state=None, kind=None, page_size=10, page_token=None)
    assert [job.id for job in jobs] == [first.id]


def test_keys_belong_to_their_callers(jobs_database: Database) -> None:
    mine, _ = submit(jobs_database, spec(), caller="a", max_attempts=3, idempotency_key="k")
    theirs, new = submit(jobs_database, spec(11), caller="b", max_attempts=3, idempotency_key="k")
    assert new
    assert mine.id != theirs.id


def test_without_a_key_every_submission_is_a_job(jobs_database: Database) -> None:
    assert queue(jobs_database).id != queue(jobs_database).id


def test_a_key_is_remembered_after_the_job_has_ended(jobs_database: Database) -> None:
    job = queue(jobs_database, key="k")
    request_cancel(jobs_database, job.id)
    again, new = submit(jobs_database, spec(), caller="local", max_attempts=3, idempotency_key="k")
    assert (again.id, again.state, new) == (job.id, "cancelled", False)


def test_cancelling_a_queued_job_ends_it(jobs_database: Database) -> None:
    job = queue(jobs_database)
    cancelled, first = request_cancel(jobs_database, job.id)
    assert (cancelled.state, first) == ("cancelled", True)
    assert cancelled.finished_at is not None
    assert history(jobs_database, job.id) == [JobState.QUEUED, JobState.CANCELLED]
    with pytest.raises(StateConflictError, match="has ended"):
        request_cancel(jobs_database, job.id)


def test_cancelling_a_running_job_tells_its_owner_once(jobs_database: Database) -> None:
    job = queue(jobs_database)
    owner = claim(jobs_database)
    assert heartbeat(jobs_database, owner, 60) is False
    assert request_cancel(jobs_database, job.id)[1] is True
    assert request_cancel(jobs_database, job.id)[1] is False
    assert heartbeat(jobs_database, owner, 60) is True
    assert read(jobs_database, job.id).state == "running"


def test_cancelling_nothing_is_not_found(jobs_database: Database) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        request_cancel(jobs_database, "none")


def pages(database: Database, size: int) -> list[list[str]]:
    """Every page of the list of jobs, from the first token to the last."""
    found: list[list[str]] = []
    token: str | None = None
    while True:
        with database.read() as connection:
            jobs, token = list_jobs(connection, state=None, kind=None, page_size=size, page_token=token)
        found.append([job.id for job in jobs])
        if token is None:
            return found


def test_pages_hold_every_job_once_newest_first(jobs_database: Database) -> None:
    ids = [queue(jobs_database, n + 1).id for n in range(7)]
    for index, job_id in enumerate(ids):
        change(jobs_database, job_id, created_at=100.0 + index // 3)  # several of one instant
    found = [job_id for page in pages(jobs_database, 2) for job_id in page]
    assert sorted(found) == sorted(ids)
    times = [read(jobs_database, job_id).created_at for job_id in found]
    assert times == sorted(times, reverse=True)


def test_a_job_that_comes_between_two_pages_moves_nothing(jobs_database: Database) -> None:
    for index in range(4):
        change(jobs_database, queue(jobs_database, index + 1).id, created_at=100.0 + index)
    with jobs_database.read() as connection:
        first, token = list_jobs(connection, state=None, kind=None, page_size=2, page_token=None)
    queue(jobs_database, 99)
    with jobs_database.read() as connection:
        second, last = list_jobs(connection, state=None, kind=None, page_size=2, page_token=token)
    assert [job.created_at for job in (*first, *second)] == [103.0, 102.0, 101.0, 100.0]
    assert last is None


@pytest.mark.parametrize("token", ["", "x", "%%%", "MTIz", "AAAA", "é"])
def test_a_made_up_page_token_is_refused(jobs_database: Database, token: str) -> None:
    with pytest.raises(InvalidValueError) as caught, jobs_database.read() as connection:
        list_jobs(connection, state=None, kind=None, page_size=2, page_token=token)
    assert caught.value.reason == "INVALID_PAGE_TOKEN"
