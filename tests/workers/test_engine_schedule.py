"""Who is served next, and who shares a tile with whom: pure bookkeeping, without Redis and without tensors."""

from typing import Any, cast

import numpy as np
import pytest

from workers.engine import schedule as schedule_module
from workers.engine.operations import Engine
from workers.engine.schedule import BULK_SHARE, NOTHING_IN_MEMORY, Memory, Schedule, Work
from workers.messages import Priority, Request


class OnlyTiles:
    """What a work asks of an engine before it is computed: how large its tiles may be."""

    def largest_tile(self, model: str, version: int) -> int:
        return 2048

    @property
    def models(self) -> "OnlyTiles":
        return self


ENGINE = cast("Engine", OnlyTiles())


def work(number: int, n: int, *, priority: Priority = "interactive", alone: bool = False, **payload: Any) -> Work:  # noqa: ANN401
    """A begun request for samples."""
    asked = {"model": "m", "version": 1, "n": n, "seed": number, "include": [], "condition": {}} | payload
    made = Work(Request(f"r{number}", "replies", 1e12, "sample", asked, priority), ("s", b"%d" % number), alone=alone)
    made.begin(ENGINE)
    return made


def filled(*works: Work) -> Schedule:
    schedule = Schedule()
    for one in works:
        schedule.add(one)
    return schedule


class InMemory(set[tuple[str, int]]):
    """Versions in memory, all of which compute 64 rows of several requests at once."""

    def shared_rows(self, key: tuple[str, int] | None) -> int:
        return 64


def served(schedule: Schedule, warm: Memory = NOTHING_IN_MEMORY) -> list[str]:
    return [one.request.id for one in schedule.next_step(warm)]


def test_partial_tiles_of_one_version_are_shared_in_order_as_long_as_there_is_room() -> None:
    schedule = filled(work(1, 16), work(2, 10), work(3, 7), work(4, 6), work(5, 1))
    assert served(schedule) == ["r1", "r2", "r4"]


@pytest.mark.parametrize(
    "other",
    [
        {"version": 2},
        {"model": "n"},
        {"condition": {"beta": 0.5}},
        {"n": 32},
        {"n": 300},
        {"alone": True},
    ],
)
def test_others_share_nothing(other: dict[str, Any]) -> None:
    second = work(2, **({"n": 4} | other))
    assert served(filled(work(1, 4), second)) == ["r1"]
    assert served(filled(second, work(1, 4))) == ["r2"]


def test_only_the_next_piece_of_a_request_is_shared() -> None:
    long, short = work(1, 300), work(2, 5)
    schedule = filled(long, short)
    assert served(schedule) == ["r1"]
    long.pieces.popleft()
    assert served(schedule) == ["r1"]
    long.pieces.popleft()
    assert served(schedule) == ["r1", "r2"]


def test_rows_that_are_given_share_tiles_too() -> None:
    x = np.ones((5, 2, 2), np.int8)
    works = []
    for number in (1, 2):
        request = Request(
            f"r{number}", "replies", 1e12, "log_likelihood", {"model": "m", "version": 1, "samples": x}, "interactive"
        )
        works.append(Work(request, ("s", b"1")))
        works[-1].begin(ENGINE)
    assert served(filled(*works, work(3, 5))) == ["r1", "r2"]


def test_long_requests_get_their_share_of_the_time_and_no_more() -> None:
    short, long = work(1, 10**6), work(2, 10**6, priority="bulk")
    schedule = filled(long, short)
    took = {"r1": 0.0, "r2": 0.0}
    for step in range(1000):
        (one,) = schedule.next_step()
        seconds = 0.01 if one is short else 0.07
        took[one.request.id] += seconds
        schedule.took([one], seconds)
        assert step > 0 or one is short
    assert took["r2"] / sum(took.values()) == pytest.approx(BULK_SHARE, abs=0.01)
    schedule.remove(short)
    assert served(schedule) == ["r2"]


def test_what_waits_for_another_process_steps_aside() -> None:
    first, second = work(1, 32), work(2, 32)
    schedule = filled(first, second)
    schedule.step_aside(first)
    assert served(schedule) == ["r2"]


def test_models_in_memory_go_first_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    cold, warm = work(1, 32, version=1), work(2, 32, version=2)
    schedule, in_memory = filled(cold, warm), InMemory({("m", 2)})
    assert served(schedule, in_memory) == ["r2"]
    monkeypatch.setattr(schedule_module, "PASS_OVER_SECONDS", -1.0)
    assert served(schedule, in_memory) == ["r1"]
    monkeypatch.undo()
    assert served(filled(work(3, 32)), in_memory) == ["r3"]


def test_tiles_are_computed_at_once_where_that_changes_no_bit() -> None:
    schedule = filled(work(1, 16), work(2, 32), work(3, 17), work(4, 16), work(5, 300))
    assert served(schedule, InMemory()) == ["r1", "r2", "r4"]


def test_an_engine_holds_a_tenth_of_a_second_and_leaves_the_rest_to_others() -> None:
    schedule = Schedule()
    for seconds, most in ((1e-4, 64), (0.02, 5), (0.5, 2)):
        for number in range(100):
            answered = work(number, 1)
            answered.compute_seconds = seconds
            schedule.learn(answered)
        assert schedule.most("interactive") == most
    assert schedule.most("bulk") == 2


def test_an_empty_schedule_has_no_step() -> None:
    schedule = filled()
    assert schedule.next_step() == []
    one = work(1, 1)
    schedule.add(one)
    assert (len(schedule), schedule.count("interactive"), schedule.count("bulk")) == (1, 1, 0)
    schedule.remove(one)
    assert list(schedule) == []
