"""Exact references are found aside: the engine can give one up, and what was begun is there for the next who asks."""

import threading
import time
from typing import Any

import pytest

from workers.engine import references
from workers.engine.references import References
from zoo.specs.errors import NoExactReferenceError
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.ising import IsingSpec

SPEC = IsingSpec(shape=(4, 4), beta=0.44)


class SlowSolver:
    """Solves when it is let go, and counts."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.calls = 0

    def __call__(self, spec: TargetSpec) -> dict[str, Any]:
        self.calls += 1
        assert self.may_end.wait(10)
        return {"beta_f": -1.0}


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> SlowSolver:
    solver = SlowSolver()
    monkeypatch.setattr(references, "_solve", solver)
    return solver


def answer(found: References, spec: TargetSpec) -> dict[str, Any]:
    (part,) = [part for part in found.find(spec) if part is not None]
    return part


def test_the_answer_is_that_of_the_target() -> None:
    told = answer(References(), SPEC)
    assert told["method"] == "Kaufman 1949"
    assert told["beta_f"] == pytest.approx(-15.504726538718161, abs=1e-12)


def test_while_it_is_solved_there_is_a_moment_to_give_up(slow: SlowSolver) -> None:
    found = References()
    work = found.find(SPEC)
    started = time.monotonic()
    assert [next(work) for _ in range(3)] == [None, None, None]
    assert time.monotonic() - started < 2
    work.close()
    slow.may_end.set()
    assert answer(found, SPEC) == {"beta_f": -1.0}
    assert slow.calls == 1  # what the first one began was kept


def test_who_gives_up_in_the_queue_costs_nothing(slow: SlowSolver) -> None:
    found = References()
    first, second = found.find(SPEC), found.find(IsingSpec(shape=(6, 6), beta=0.44))
    assert next(first) is None
    assert next(second) is None
    second.close()
    slow.may_end.set()
    assert [part for part in first if part is not None] == [{"beta_f": -1.0}]
    assert slow.calls == 1


def test_what_is_not_solved_says_so_each_time() -> None:
    found = References()
    for _ in range(2):
        with pytest.raises(NoExactReferenceError, match="thermodynamic_integration or mbar"):
            answer(found, IsingSpec(shape=(5, 5, 5)))
