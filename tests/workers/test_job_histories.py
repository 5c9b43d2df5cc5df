"""Whatever happens in whatever order, the history of every job is legal and its row agrees with it."""

import shutil
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from models_registry.database import Database
from models_registry.migrate import migrate
from tests.workers.job_cases import KINDS, LEASE, LONG_AGO, change, history, queue, read, row
from workers.jobs.lease import Claim, LeaseLostError, claim_next, finish, heartbeat, reap, release
from workers.jobs.states import TERMINAL, TRANSITIONS, JobState
from workers.jobs.submission import request_cancel
from zoo.specs.errors import StateConflictError

MAX_ATTEMPTS = 3
_EMPTY: list[Path] = []


def empty_database() -> Path:
    """A migrated database that nobody writes to, made once."""
    if not _EMPTY:
        folder = Path(tempfile.mkdtemp(prefix="helmholtz-histories-"))
        migrate(f"sqlite:///{folder / 'empty.db'}")
        _EMPTY.append(folder / "empty.db")
    return _EMPTY[0]


@pytest.fixture(autouse=True, scope="module")
def _leave_nothing() -> object:
    yield
    while _EMPTY:
        shutil.rmtree(_EMPTY.pop().parent)


class Lives(RuleBasedStateMachine):
    """Workers that claim, beat, finish, stall and die; users that submit and cancel; a reaper."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="helmholtz-history-"))
        self.database = Database(f"sqlite:///{shutil.copy(empty_database(), self.folder / 'jobs.db')}")
        self.jobs: list[str] = []
        self.claims: list[Claim] = []
        self.endings: dict[str, list[str]] = {}

    def teardown(self) -> None:
        self.database.dispose()
        shutil.rmtree(self.folder)

    @precondition(lambda self: len(self.jobs) < 3)
    @rule()
    def user_submits(self) -> None:
        self.jobs.append(queue(self.database, len(self.jobs) + 1, max_attempts=MAX_ATTEMPTS).id)

    @rule()
    def worker_claims(self) -> None:
        claimed = claim_next(self.database, LEASE, KINDS)
        if claimed is not None:
            self.claims.append(claimed)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def lease_runs_out(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(self.jobs))
        if row(self.database, job_id)["lease_until"] is not None:
            change(self.database, job_id, lease_until=1.0)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), ending=st.sampled_from([JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED]))
    def worker_finishes(self, data: st.DataObject, ending: JobState) -> None:
        mine = data.draw(st.sampled_from(self.claims))
        try:
            with self.database.transaction() as connection:
                finish(connection, mine, ending)
        except LeaseLostError:
            return
        self.endings.setdefault(mine.job_id, []).append(ending.value)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), counts=st.booleans())
    def worker_gives_back(self, data: st.DataObject, *, counts: bool) -> None:
        mine = data.draw(st.sampled_from(self.claims))
        try:
            release(self.database, mine, "it ends", counts_as_attempt=counts or mine.attempt >= MAX_ATTEMPTS)
        except LeaseLostError:
            return

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def worker_beats(self, data: st.DataObject) -> None:
        mine = data.draw(st.sampled_from(self.claims))
        current = row(self.database, mine.job_id)
        owner = current["state"] == "running" and current["fence"] == mine.fence
        try:
            heartbeat(self.database, mine, LEASE)
        except LeaseLostError:
            assert not owner
        else:
            assert owner

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def user_cancels(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(self.jobs))
        ended = JobState(read(self.database, job_id).state).finished
        try:
            request_cancel(self.database, job_id)
        except StateConflictError:
            assert ended
        else:
            assert not ended

    @rule()
    def reaper_comes(self) -> None:
        reap(self.database, LONG_AGO)

    @invariant()
    def histories_are_legal(self) -> None:
        for job_id in self.jobs:
            states = history(self.database, job_id)
            assert states[0] is JobState.QUEUED
            assert [pair for pair in pairwise(states) if pair[1] not in TRANSITIONS[pair[0]]] == []
            assert sum(state in TERMINAL for state in states) <= 1
            assert len(self.endings.get(job_id, [])) <= 1

    @invariant()
    def rows_agree_with_histories(self) -> None:
        for job_id in self.jobs:
            now = row(self.database, job_id)
            state = JobState(now["state"])
            assert state is history(self.database, job_id)[-1]
            assert (now["lease_until"] is not None) == (state is JobState.RUNNING)
            assert (now["finished_at"] is not None) == state.finished
            assert 0 <= now["attempt"] <= now["max_attempts"]


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_every_state_has_its_successors_and_ends_have_none() -> None:
    assert set(TRANSITIONS) == set(JobState)
    assert {state for state in JobState if not TRANSITIONS[state]} == TERMINAL == {s for s in JobState if s.finished}
