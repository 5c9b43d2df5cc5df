"""Who is let in: bounded seconds of work, refusals that say how long to wait, and costs that are learnt."""

from contextlib import ExitStack

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.admission import Admission, AdmissionLimits, Backlog, Recent
from service.costs import CostModel, num_rows
from zoo.specs.errors import DeadlineExceededError, ShareExceededError, UnavailableError

LIMITS = AdmissionLimits(backlog_seconds=10.0, caller_share=0.5)


def sample(n: int, version: int = 1) -> dict[str, object]:
    return {"model": "m", "version": version, "n": n}


def fill(stack: ExitStack, admission: Admission, *costs: float, caller: str | None = None) -> None:
    for cost in costs:
        stack.enter_context(admission.admit(cost, 60.0, caller))


def test_what_exceeds_the_backlog_is_refused_for_as_long_as_it_takes_to_drain() -> None:
    admission = Admission(LIMITS)
    with ExitStack() as stack:
        fill(stack, admission, 4.0, 4.0)
        with pytest.raises(UnavailableError, match="take about 8 s") as caught, admission.admit(4.0, 60.0):
            pass
        assert caught.value.reason == "OVERLOADED"
        assert caught.value.retry_after_seconds == pytest.approx(8.0)
        fill(stack, admission, 2.0)
        assert admission.own.bulk == pytest.approx(10.0)
    assert admission.own == Backlog()
    with admission.admit(4.0, 60.0):
        assert admission.own.bulk == pytest.approx(4.0)


def test_late_answers_make_the_promises_longer_and_early_ones_slowly_shorter() -> None:
    admission = Admission(LIMITS)
    with admission.admit(4.0, 60.0) as ticket:
        admission.learn(ticket, 8.0)
        assert admission.pace == {"interactive": 1.0, "bulk": pytest.approx(1.3)}
        with (
            pytest.raises(UnavailableError, match=r"take about 5\.2 s and it takes 5\.2 s"),
            admission.admit(4.0, 60.0),
        ):
            pass
        for _ in range(100):
            admission.learn(ticket, 400.0)
        assert admission.pace["bulk"] == pytest.approx(5.0)
        for _ in range(1000):
            admission.learn(ticket, 1.0)
        assert admission.pace["bulk"] == 1.0
    with admission.admit(0.01, 60.0) as short:
        admission.learn(short, 1.0)
    assert admission.pace["interactive"] == 1.0, "a request for nearly nothing says nothing"


def test_a_request_that_would_be_late_is_refused_at_once() -> None:
    admission = Admission(LIMITS)
    with ExitStack() as stack:
        fill(stack, admission, 4.0)
        with pytest.raises(UnavailableError), admission.admit(1.5, 6.5):  # within four fifths of that
            pass
        with admission.admit(0.9, 6.5):
            pass
    with admission.admit(100.0, 5.0):  # alone it may try: the estimate may be wrong
        pass


def test_short_requests_do_not_wait_for_long_ones() -> None:
    admission = Admission(LIMITS)
    with ExitStack() as stack:
        fill(stack, admission, 5.0, 5.0)
        with admission.admit(0.1, 1.0) as ticket:
            assert ticket.priority == "interactive"
        fill(stack, admission, *[0.1] * 40)
        with pytest.raises(UnavailableError) as caught, admission.admit(0.1, 3.0):
            pass
        assert caught.value.retry_after_seconds == pytest.approx(5.0)  # 4 s of work in four fifths of the time


def test_long_requests_wait_for_short_ones_that_come_later_but_keep_their_share() -> None:
    backlog = Backlog(interactive=1.0, bulk=2.0)
    assert backlog.seconds("bulk", 1.0, 1) == pytest.approx(4.0)
    assert backlog.seconds("bulk", 1.0, 1, rate=0.5) == pytest.approx(8.0)
    assert backlog.seconds("bulk", 1.0, 1, rate=2.0) == pytest.approx(15.0)
    assert backlog.seconds("bulk", 1.0, 2, rate=0.5) == pytest.approx(5.0)


def test_the_rate_of_arrivals_forgets() -> None:
    recent = Recent()
    for number in range(100):
        recent.add(0.25, number * 0.5)
    assert recent.rate(49.5) == pytest.approx(0.5, rel=0.06)
    assert recent.rate(54.5) == pytest.approx(0.5 / np.e, rel=0.06)


def test_engines_share_the_backlog_and_other_gateways_fill_it() -> None:
    admission = Admission(LIMITS)
    admission.elsewhere = Backlog(bulk=9.5)
    with pytest.raises(UnavailableError), admission.admit(1.0, 60.0):
        pass
    admission.num_engines = 2
    with admission.admit(1.0, 60.0):
        pass


def test_old_news_of_other_gateways_refuses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    admission, now = Admission(LIMITS), [100.0]
    monkeypatch.setattr("service.admission.time.monotonic", lambda: now[0])
    admission.elsewhere = Backlog(bulk=9.5)
    with pytest.raises(UnavailableError), admission.admit(1.0, 60.0):
        pass
    now[0] += 3.0
    with admission.admit(1.0, 60.0):
        pass


def test_one_that_takes_nearly_all_of_its_time_or_of_the_backlog_is_not_starved_by_short_ones() -> None:
    admission = Admission(LIMITS)
    with ExitStack() as stack:
        fill(stack, admission, 0.25)
        for cost, seconds in ((8.5, 10.0), (12.0, 60.0)):
            with admission.admit(cost, seconds):
                pass
        with pytest.raises(UnavailableError), admission.admit(10.1, 10.0):
            pass


def test_one_that_seems_to_take_too_long_may_try_beside_short_ones() -> None:
    admission = Admission(LIMITS)
    with ExitStack() as stack:
        fill(stack, admission, *[0.1] * 10)
        with admission.admit(12.0, 10.0):
            pass


def test_the_share_of_a_caller_is_told_to_last_as_long_as_what_waits() -> None:
    admission = Admission(LIMITS)
    with ExitStack() as stack:
        fill(stack, admission, 3.0)
        fill(stack, admission, 4.0, caller="one")
        with pytest.raises(ShareExceededError) as caught, admission.admit(2.0, 60.0, "one"):
            pass
    assert caught.value.retry_after_seconds == pytest.approx(7.0, rel=0.01)


def test_answers_free_their_part_as_they_come() -> None:
    admission = Admission(LIMITS)
    with admission.admit(8.0, 60.0) as ticket:
        admission.progress(ticket, 0.25)
        assert admission.own.bulk == pytest.approx(6.0)
        admission.progress(ticket, 1.0)
        assert admission.own.bulk == pytest.approx(0.0)
    assert admission.own == Backlog()


def test_a_caller_has_its_share_and_others_theirs() -> None:
    admission = Admission(LIMITS)
    with ExitStack() as stack:
        fill(stack, admission, 4.0, caller="a")
        with (
            pytest.raises(ShareExceededError, match="one caller may have 5 s") as caught,
            admission.admit(2.0, 60, "a"),
        ):
            pass
        assert caught.value.retry_after_seconds == pytest.approx(4.0)
        fill(stack, admission, 2.0, caller="b")
    with admission.admit(7.0, 60.0, "a"):  # who has nothing in progress may ask for more than a share
        pass
    assert admission._callers == {}


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_no_time_left_is_no_admission(seconds: float) -> None:
    with pytest.raises(DeadlineExceededError), Admission(LIMITS).admit(0.1, seconds):
        pass


def test_a_draining_gateway_takes_nothing_new() -> None:
    admission = Admission(LIMITS)
    admission.draining = True
    with pytest.raises(UnavailableError) as caught, admission.admit(0.1, 1.0):
        pass
    assert caught.value.reason == "DRAINING"


def test_a_failure_gives_its_place_back() -> None:
    admission = Admission(LIMITS)
    with pytest.raises(RuntimeError), admission.admit(3.0, 60.0):
        raise RuntimeError
    assert admission.own == Backlog()


@settings(deadline=None, max_examples=50, derandomize=True, database=None)
@given(
    offset=st.floats(0, 1, allow_subnormal=False),
    slope=st.floats(1e-7, 1e-2, allow_subnormal=False),
    rows=st.lists(st.integers(1, 10_000), min_size=5, max_size=30, unique=True),
)
def test_costs_are_learnt_as_a_line(offset: float, slope: float, rows: list[int]) -> None:
    costs = CostModel()
    for n in rows:
        costs.learn("sample", sample(n), offset + slope * n)
    for asked in (1, max(rows), 4 * max(rows)):
        assert costs.seconds("sample", sample(asked)) == pytest.approx(offset + slope * asked, rel=0.02, abs=1e-6)


def test_a_line_is_believed_up_to_four_times_the_largest_request() -> None:
    costs = CostModel()
    costs.introduce("m", 1, 1e-5)
    for n in (10, 20, 32):
        costs.learn("sample", sample(n), 0.001 * n)
    assert costs.seconds("sample", sample(128)) == pytest.approx(0.128)
    assert costs.seconds("sample", sample(10_128)) == pytest.approx(0.128 + 0.1)
    assert costs.knows("sample", sample(128))
    assert not costs.knows("sample", sample(129))


def test_one_size_alone_is_scaled() -> None:
    costs = CostModel()
    for _ in range(5):
        costs.learn("sample", sample(100), 0.5)
    assert costs.seconds("sample", sample(200)) == pytest.approx(0.5 + 100 * 1e-4)
    assert costs.seconds("sample", sample(50)) == pytest.approx(0.25)


def test_what_is_expected_of_a_version_counts_until_it_has_answered() -> None:
    costs = CostModel()
    costs.introduce("m", 1, 2e-3)
    assert costs.seconds("sample", sample(100)) == pytest.approx(0.2)
    costs.learn("sample", sample(100), 0.5)
    assert costs.seconds("sample", sample(200)) == pytest.approx(0.7)
    costs.learn("sample", sample(100), 0.05)
    assert costs.seconds("sample", sample(10_000)) <= 100 * 0.5


def test_costs_follow_a_change_and_belong_to_their_version() -> None:
    costs = CostModel()
    for _ in range(100):
        costs.learn("sample", sample(100), 1.0)
    for _ in range(100):
        costs.learn("sample", sample(100), 0.1)
    assert costs.seconds("sample", sample(100)) == pytest.approx(0.1, rel=0.05)
    assert costs.knows("sample", sample(1))
    assert not costs.knows("sample", sample(1, version=2))
    assert not costs.knows("log_likelihood", sample(1))
    assert costs.seconds("sample", sample(1000, version=2)) > 0


def test_costs_are_never_negative() -> None:
    costs = CostModel()
    for n, seconds in ((1, 3.0), (1000, 1.0), (2000, 0.1)):
        costs.learn("sample", sample(n), seconds)
    assert all(costs.seconds("sample", sample(n)) > 0 for n in (1, 10, 5000, 10**6))


@pytest.mark.parametrize(
    ("operation", "payload", "rows"),
    [
        ("sample", {"n": 7}, 7),
        ("free_energy_curve", {"n": 7, "conditions": [{}, {}]}, 14),
        ("complete", {"samples": np.ones((3, 2)), "n": 2, "proposals": 100}, 300),
        ("log_likelihood", {"samples": np.ones((3, 2))}, 3),
        ("reference", {"target": {}}, 1),
    ],
)
def test_rows_are_what_an_engine_works_through(operation: str, payload: dict[str, object], rows: int) -> None:
    assert num_rows(operation, payload) == rows
