"""A sweep's row follows from its children's, whatever happens to these, in the transaction in which it happens."""

import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import func, select

from models_registry.database import Database
from models_registry.migrate import migrate
from tests.workers.job_cases import KINDS, LEASE, LONG_AGO, change, claim, claim_and_lose, history, read, row
from tests.workers.sweep_cases import child_ids, child_states, queue_sweep, sweep_spec
from workers.jobs.events import events_after
from workers.jobs.lease import Claim, LeaseLostError, Report, claim_next, finish, reap, record_report, release
from workers.jobs.parents import PARENT_KINDS
from workers.jobs.read import list_jobs
from workers.jobs.states import TERMINAL, TRANSITIONS, JobState
from workers.jobs.submission import request_cancel, submit
from workers.jobs.table import jobs
from workers.kinds.table import KIND_NAMES, PARENTS
from workers.kinds.table import KINDS as RUNNABLE
from zoo.specs.errors import InvalidValueError, StateConflictError

ERROR = {"type": "about:blank", "title": "The job failed", "detail": "the loss is not finite", "reason": "DIVERGED"}


def end(database: Database, owner: Claim, state: JobState = JobState.SUCCEEDED, **columns: object) -> None:
    """End a job as its worker does."""
    with database.transaction() as connection:
        finish(connection, owner, state, **columns)


def succeed(database: Database, owner: Claim) -> None:
    """End a job with a version."""
    end(database, owner, result={"model": owner.spec["publish"]["model"], "version": 1})


def events(database: Database, job_id: str) -> list[tuple[str, object]]:
    """What is told of a job: its states, and the fractions of its progress."""
    with database.read() as connection:
        found = events_after(connection, job_id, 0)
    return [(e["type"], e["data"]["state"] if e["type"] == "state" else e["data"]["fraction"]) for e in found]


def test_parent_and_children_are_queued_together(jobs_database: Database) -> None:
    parent = queue_sweep(jobs_database)
    assert (parent.kind, parent.state, parent.parent) == ("sweep", "queued", None)
    assert parent.progress["counts"]["queued"] == 3
    children = [read(jobs_database, child_id) for child_id in child_ids(jobs_database, parent.id)]
    assert {child.parent for child in children} == {parent.id}
    assert [child.kind for child in children] == ["train"] * 3
    assert [child.spec["target"]["beta"] for child in children] == pytest.approx([0.1, 0.2, 0.3])
    assert [row(jobs_database, child.id)["parent_values"] for child in children] == [
        {"target.beta": 0.1 * (n + 1)} for n in range(3)
    ]
    assert [history(jobs_database, job.id) for job in (parent, *children)] == [[JobState.QUEUED]] * 4
    with jobs_database.read() as connection:
        listed, _ = list_jobs(connection, state=None, kind=None, parent=parent.id, page_size=10, page_token=None)
    assert {job.id for job in listed} == {child.id for child in children}


def test_nothing_is_queued_when_a_child_cannot_be(jobs_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        msg = "the disk is full"
        raise OSError(msg)

    monkeypatch.setattr("workers.jobs.submission._insert_children", broken)
    with pytest.raises(OSError, match="disk"):
        queue_sweep(jobs_database)
    with jobs_database.read() as connection:
        assert connection.execute(select(func.count()).select_from(jobs)).scalar_one() == 0


def test_every_parent_kind_is_known_and_none_is_run() -> None:
    assert frozenset(str(spec.model_fields["kind"].default) for spec in PARENTS) == PARENT_KINDS
    assert not set(PARENTS) & set(RUNNABLE)
    assert set(KIND_NAMES) > PARENT_KINDS


def test_a_parent_is_never_claimed_and_never_dispatched(jobs_database: Database) -> None:
    parent = queue_sweep(jobs_database)
    ids = child_ids(jobs_database, parent.id)
    assert sorted(reap(jobs_database, -1.0)) == sorted(ids)
    everything = frozenset(KIND_NAMES)
    claims = [claim_next(jobs_database, LEASE, everything) for _ in range(4)]
    assert [claimed.job_id for claimed in claims if claimed is not None] == ids  # in the order of the sweep
    assert claims[-1] is None


def test_a_sweep_of_which_all_succeed(jobs_database: Database) -> None:
    parent = queue_sweep(jobs_database)
    for number, child_id in enumerate(child_ids(jobs_database, parent.id)):
        owner = claim(jobs_database)
        assert owner.job_id == child_id
        now = read(jobs_database, parent.id)
        assert (now.state, now.progress["counts"]["running"]) == ("running", 1)
        assert now.progress["fraction"] == pytest.approx(number / 3)
        assert now.started_at is not None
        succeed(jobs_database, owner)
    ended = read(jobs_database, parent.id)
    assert (ended.state, ended.error) == ("succeeded", None)
    assert ended.finished_at is not None
    assert (ended.progress["fraction"], ended.progress["eta_seconds"]) == (1.0, 0.0)
    assert ended.result == {
        "versions": [
            {"job": child_id, "values": {"target.beta": beta}, "model": model, "version": 1}
            for child_id, beta, model in zip(
                child_ids(jobs_database, parent.id),
                [0.1 * (n + 1) for n in range(3)],
                ["made-ising-beta-0.1", "made-ising-beta-0.2", "made-ising-2"],
                strict=True,
            )
        ]
    }
    assert history(jobs_database, parent.id) == [JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED]
    assert events(jobs_database, parent.id)[-2:] == [("progress", 1.0), ("state", "succeeded")]


def test_a_sweep_of_which_some_fail_waits_for_the_others_and_says_which(jobs_database: Database) -> None:
    parent = queue_sweep(jobs_database)
    first, second, third = (claim(jobs_database) for _ in range(3))
    end(jobs_database, second, JobState.FAILED, error=ERROR)
    request_cancel(jobs_database, third.job_id)
    end(jobs_database, third, JobState.CANCELLED)
    assert read(jobs_database, parent.id).state == "running"
    succeed(jobs_database, first)
    ended = read(jobs_database, parent.id)
    assert ended.state == "failed"
    assert ended.error is not None
    assert ended.error["reason"] == "SWEEP_INCOMPLETE"
    assert ended.error["detail"] == (
        f"2 of 3 jobs did not succeed: number 1, job {second.job_id}, failed (DIVERGED: the loss is not finite); "
        f"number 2, job {third.job_id}, cancelled"
    )
    assert ended.result is not None
    assert [version["job"] for version in ended.result["versions"]] == [first.job_id]


def test_the_error_of_a_large_sweep_is_short(jobs_database: Database) -> None:
    parent = queue_sweep(jobs_database, 30)
    for _ in range(30):
        end(jobs_database, claim(jobs_database), JobState.FAILED, error=ERROR | {"detail": "x" * 10_000})
    error = read(jobs_database, parent.id).error or {}
    assert error["detail"].startswith("30 of 30 jobs did not succeed: number 0, ")
    assert error["detail"].endswith("...); and 20 more")
    assert len(error["detail"]) < 4000


def test_reports_of_children_move_their_parent_by_steps_worth_telling(jobs_database: Database) -> None:
    parent = queue_sweep(jobs_database, 4)
    owner = claim(jobs_database)
    before = len(events(jobs_database, parent.id))
    for fraction in (0.5, 0.501, 0.502, 0.9):
        record_report(jobs_database, owner, Report(progress={"fraction": fraction, "step": 1}))
    told = [fraction for _, fraction in events(jobs_database, parent.id)[before:]]
    assert told == [pytest.approx(0.5 / 4), pytest.approx(0.9 / 4)]
    change(jobs_database, parent.id, started_at=read(jobs_database, parent.id).created_at - 100)
    record_report(jobs_database, owner, Report(progress={"fraction": 1.0}))
    assert read(jobs_database, parent.id).progress["eta_seconds"] == pytest.approx(300, abs=10)


def test_a_child_given_back_does_not_take_its_parent_back(jobs_database: Database) -> None:
    parent = queue_sweep(jobs_database, 2)
    release(jobs_database, claim(jobs_database), "its worker is shutting down", counts_as_attempt=False)
    now = read(jobs_database, parent.id)
    assert (now.state, now.progress["counts"]["queued"]) == ("running", 2)


def test_a_child_whose_worker_died_is_queued_again_and_in_the_end_given_up(jobs_database: Database) -> None:
    parent = queue_sweep(jobs_database, 1, max_attempts=2)
    (child_id,) = child_ids(jobs_database, parent.id)
    claim_and_lose(jobs_database)
    assert reap(jobs_database, LONG_AGO) == [child_id]
    assert read(jobs_database, parent.id).progress["counts"]["queued"] == 1
    claim_and_lose(jobs_database)
    assert reap(jobs_database, LONG_AGO) == []
    ended = read(jobs_database, parent.id)
    assert ended.state == "failed"
    assert "ATTEMPTS_USED_UP" in (ended.error or {})["detail"]


def test_one_reaping_ends_children_of_several_sweeps(jobs_database: Database) -> None:
    parents = [queue_sweep(jobs_database, 2, max_attempts=1) for _ in range(2)]
    claims = [claim(jobs_database) for _ in range(4)]
    for owner in claims:
        change(jobs_database, owner.job_id, lease_until=1.0)
    reap(jobs_database, LONG_AGO)
    assert [read(jobs_database, parent.id).state for parent in parents] == ["failed", "failed"]


def test_what_a_zombie_of_a_child_writes_leaves_the_parent_alone(jobs_database: Database) -> None:
    parent = queue_sweep(jobs_database, 1)
    zombie = claim_and_lose(jobs_database)
    claim(jobs_database)
    before = row(jobs_database, parent.id), events(jobs_database, parent.id)
    with pytest.raises(LeaseLostError):
        end(jobs_database, zombie, JobState.FAILED, error=ERROR)
    with pytest.raises(LeaseLostError):
        record_report(jobs_database, zombie, Report(progress={"fraction": 0.9}))
    assert (row(jobs_database, parent.id), events(jobs_database, parent.id)) == before


def test_a_transaction_that_fails_takes_the_parents_state_with_it(jobs_database: Database) -> None:
    parent = queue_sweep(jobs_database, 1)
    owner = claim(jobs_database)

    def fail_late() -> None:
        with jobs_database.transaction() as connection:
            finish(connection, owner, JobState.SUCCEEDED)
            msg = "too late"
            raise RuntimeError(msg)

    with pytest.raises(RuntimeError):
        fail_late()
    assert read(jobs_database, parent.id).state == "running"


def test_cancelling_a_queued_sweep_ends_it_at_once(jobs_database: Database) -> None:
    parent = queue_sweep(jobs_database)
    cancelled, first = request_cancel(jobs_database, parent.id)
    assert (cancelled.state, cancelled.cancel_requested, first) == ("cancelled", True, True)
    assert (cancelled.error, cancelled.result) == (None, {"versions": []})
    assert child_states(jobs_database, parent.id) == ["cancelled"] * 3
    for child_id in child_ids(jobs_database, parent.id):
        assert history(jobs_database, child_id) == [JobState.QUEUED, JobState.CANCELLED]
        assert row(jobs_database, child_id)["finished_at"] is not None
    assert claim_next(jobs_database, LEASE, KINDS) is None
    with pytest.raises(StateConflictError) as caught:
        request_cancel(jobs_database, parent.id)
    assert caught.value.reason == "JOB_FINISHED"


def test_cancelling_a_running_sweep_asks_what_runs_and_ends_what_waits(jobs_database: Database) -> None:
    parent = queue_sweep(jobs_database, 4)
    done, running, cancelled_before = (claim(jobs_database) for _ in range(3))
    succeed(jobs_database, done)
    request_cancel(jobs_database, cancelled_before.job_id)
    asked, first = request_cancel(jobs_database, parent.id)
    assert (asked.state, first) == ("running", True)
    assert child_states(jobs_database, parent.id) == ["succeeded", "running", "running", "cancelled"]
    assert [read(jobs_database, child).cancel_requested for child in child_ids(jobs_database, parent.id)] == [
        False,
        True,
        True,
        True,
    ]
    again, first = request_cancel(jobs_database, parent.id)
    assert (again.state, first) == ("running", False)
    end(jobs_database, running, JobState.CANCELLED)
    assert read(jobs_database, parent.id).state == "running"
    end(jobs_database, cancelled_before, JobState.CANCELLED)
    ended = read(jobs_database, parent.id)
    assert (ended.state, ended.error) == ("cancelled", None)
    assert [version["job"] for version in (ended.result or {})["versions"]] == [done.job_id]


def test_a_cancelled_sweep_whose_last_worker_dies_ends_cancelled(jobs_database: Database) -> None:
    parent = queue_sweep(jobs_database, 1)
    claim_and_lose(jobs_database)
    request_cancel(jobs_database, parent.id)
    assert reap(jobs_database, LONG_AGO) == []
    assert read(jobs_database, parent.id).state == "cancelled"


def test_a_sweep_that_succeeds_before_it_hears_of_its_cancelling_has_succeeded(jobs_database: Database) -> None:
    parent = queue_sweep(jobs_database, 1)
    owner = claim(jobs_database)
    request_cancel(jobs_database, parent.id)
    succeed(jobs_database, owner)
    assert read(jobs_database, parent.id).state == "succeeded"


def test_one_child_can_be_cancelled_alone(jobs_database: Database) -> None:
    parent = queue_sweep(jobs_database, 2)
    first, second = child_ids(jobs_database, parent.id)
    request_cancel(jobs_database, first)
    assert read(jobs_database, parent.id).state == "queued"
    assert read(jobs_database, second).cancel_requested is False
    assert read(jobs_database, parent.id).cancel_requested is False
    request_cancel(jobs_database, second)
    ended = read(jobs_database, parent.id)
    assert (ended.state, (ended.error or {})["reason"]) == ("failed", "SWEEP_INCOMPLETE")


def test_one_key_is_one_sweep_from_many_threads(jobs_database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: queue_sweep(jobs_database, 2, key="k").id, range(16)))
    assert len(ids) == 1
    with jobs_database.read() as connection:
        assert connection.execute(select(func.count()).select_from(jobs)).scalar_one() == 3
    with pytest.raises(InvalidValueError) as caught:
        submit(jobs_database, sweep_spec(0.7), caller="local", max_attempts=3, idempotency_key="k")
    assert caught.value.reason == "IDEMPOTENCY_MISMATCH"


def in_parallel(*actions: Callable[[], object]) -> None:
    """Run all actions at once, and raise what any of them raises."""
    barrier = threading.Barrier(len(actions))

    def start(action: Callable[[], object]) -> object:
        barrier.wait()
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        for result in [pool.submit(start, action) for action in actions]:
            result.result()


def test_children_that_end_at_once_end_their_parent_once(jobs_database: Database) -> None:
    parent = queue_sweep(jobs_database, 8)
    claims = [claim(jobs_database) for _ in range(8)]
    in_parallel(*(partial(succeed, jobs_database, owner) for owner in claims))
    assert history(jobs_database, parent.id) == [JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED]
    assert len((read(jobs_database, parent.id).result or {})["versions"]) == 8


def test_cancelling_against_workers_that_claim_and_finish(jobs_database: Database) -> None:
    for _ in range(5):
        parent = queue_sweep(jobs_database, 8)

        def work() -> None:
            while (owner := claim_next(jobs_database, LEASE, KINDS)) is not None:
                succeed(jobs_database, owner)

        def cancel(parent_id: str = parent.id) -> None:
            try:
                request_cancel(jobs_database, parent_id)
            except StateConflictError:
                assert JobState(read(jobs_database, parent_id).state).finished

        in_parallel(work, cancel, work, lambda: reap(jobs_database, 0.0), cancel)
        states = set(child_states(jobs_database, parent.id))
        assert states <= {"succeeded", "cancelled"}
        assert read(jobs_database, parent.id).state == ("cancelled" if "cancelled" in states else "succeeded")


MAX_ATTEMPTS = 2
_EMPTY: list[Path] = []


def empty_database() -> Path:
    """A migrated database that nobody writes to, made once."""
    if not _EMPTY:
        folder = Path(tempfile.mkdtemp(prefix="helmholtz-sweeps-"))
        migrate(f"sqlite:///{folder / 'empty.db'}")
        _EMPTY.append(folder / "empty.db")
    return _EMPTY[0]


@pytest.fixture(autouse=True, scope="module")
def _leave_nothing() -> object:
    yield
    while _EMPTY:
        shutil.rmtree(_EMPTY.pop().parent)


class SweepLives(RuleBasedStateMachine):
    """One sweep of three, workers that claim, finish, stall and die, a user that cancels the sweep or a part of it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="helmholtz-sweep-"))
        self.database = Database(f"sqlite:///{shutil.copy(empty_database(), self.folder / 'jobs.db')}")
        self.claims: list[Claim] = []

    def teardown(self) -> None:
        self.database.dispose()
        shutil.rmtree(self.folder)

    @initialize()
    def user_submits(self) -> None:
        self.parent = queue_sweep(self.database, 3, max_attempts=MAX_ATTEMPTS).id
        self.children = child_ids(self.database, self.parent)

    @rule()
    def worker_claims(self) -> None:
        claimed = claim_next(self.database, LEASE, frozenset(KIND_NAMES))
        if claimed is not None:
            self.claims.append(claimed)

    @rule(data=st.data())
    def lease_runs_out(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(self.children))
        if row(self.database, job_id)["lease_until"] is not None:
            change(self.database, job_id, lease_until=1.0)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), ending=st.sampled_from([JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED]))
    def worker_finishes(self, data: st.DataObject, ending: JobState) -> None:
        try:
            end(self.database, data.draw(st.sampled_from(self.claims)), ending)
        except LeaseLostError:
            return

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), fraction=st.floats(0, 1))
    def worker_reports(self, data: st.DataObject, fraction: float) -> None:
        report = Report(progress={"fraction": fraction})
        try:
            record_report(self.database, data.draw(st.sampled_from(self.claims)), report)
        except LeaseLostError:
            return

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def worker_gives_back(self, data: st.DataObject) -> None:
        mine = data.draw(st.sampled_from(self.claims))
        try:
            release(self.database, mine, "it ends", counts_as_attempt=mine.attempt >= MAX_ATTEMPTS)
        except LeaseLostError:
            return

    @rule(data=st.data(), whole=st.sampled_from([False, False, True]))
    def user_cancels(self, data: st.DataObject, *, whole: bool) -> None:
        job_id = self.parent if whole else data.draw(st.sampled_from(self.children))
        ended = JobState(read(self.database, job_id).state).finished
        try:
            request_cancel(self.database, job_id)
        except StateConflictError:
            assert ended
        else:
            assert not ended

    @rule()
    def reaper_comes(self) -> None:
        assert self.parent not in reap(self.database, LONG_AGO)

    @invariant()
    def the_parent_follows_from_its_children(self) -> None:
        parent = read(self.database, self.parent)
        states = [read(self.database, child).state for child in self.children]
        if all(state in TERMINAL for state in states):
            incomplete = "cancelled" if parent.cancel_requested else "failed"
            expected = "succeeded" if set(states) == {"succeeded"} else incomplete
        else:
            has_run = any(JobState.RUNNING in history(self.database, child) for child in self.children)
            expected = "running" if has_run else "queued"
        assert parent.state == expected
        assert {s: n for s, n in parent.progress["counts"].items() if n} == Counter(states)
        assert (parent.error is not None) == (expected == "failed")
        assert (parent.finished_at is not None) == (parent.result is not None) == (expected in TERMINAL)

    @invariant()
    def the_parents_history_is_legal(self) -> None:
        states = history(self.database, self.parent)
        assert [pair for pair in pairwise(states) if pair[1] not in TRANSITIONS[pair[0]]] == []
        assert sum(state in TERMINAL for state in states) <= 1
        assert states[-1].value == read(self.database, self.parent).state
        told = events(self.database, self.parent)
        ends = [index for index, (kind, what) in enumerate(told) if kind == "state" and what in TERMINAL]
        assert ends in ([], [len(told) - 1])  # nothing follows the end, so streams may close there

    @invariant()
    def nobody_owns_the_parent(self) -> None:
        now = row(self.database, self.parent)
        assert (now["lease_until"], now["attempt"], now["fence"]) == (None, 0, 0)


TestSweepLives = SweepLives.TestCase
TestSweepLives.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
