"""Exact references are found aside: the engine can give one up, which ends its process, and answers are remembered."""

import time
from typing import Any

import psutil
import pytest

from workers.engine.references import MOST_PROCESSES, References
from zoo.specs.errors import NoExactReferenceError
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.ising import IsingSpec

SPEC = IsingSpec(shape=(4, 4), beta=0.44)
SLOW = IsingSpec(lattice="triangular", shape=(14, 400), beta=0.4, J=-1.0, h=0.1)


@pytest.fixture(scope="module")
def references() -> References:
    found = References()
    found.prepare()
    return found


def answer(found: References, spec: TargetSpec) -> dict[str, Any]:
    (part,) = [part for part in found.find(spec) if part is not None]
    return part


def solving() -> list[psutil.Process]:
    """The processes that the fork server has started; this process may have others below it, of other tests."""
    servers = [
        child for child in psutil.Process().children() if "multiprocessing.forkserver" in " ".join(command(child))
    ]
    return [process for server in servers for process in server.children()]


def command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:  # it has just ended
        return []


def children() -> int:
    """How many of them are alive: one that was killed may wait a while to be forgotten."""
    return sum(is_alive(process) for process in solving())


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def children_become(number: int) -> bool:
    """Whether so many are left within a few seconds; a process that was ended needs a moment on a busy machine."""
    ends_at = time.monotonic() + 10
    while children() != number and time.monotonic() < ends_at:
        time.sleep(0.05)
    return children() == number


def test_the_answer_is_that_of_the_target(references: References) -> None:
    told = answer(references, SPEC)
    assert told["method"] == "Kaufman 1949"
    assert told["beta_f"] == pytest.approx(-15.504726538718161, abs=1e-12)


def test_a_second_question_is_answered_from_memory(references: References) -> None:
    answer(references, SPEC)
    assert list(references.find(SPEC)) == [answer(references, SPEC)]


def test_who_gives_up_ends_the_computation_and_others_are_served(references: References) -> None:
    answer(references, SPEC)
    before = children()
    work = references.find(SLOW)
    assert [next(work) for _ in range(5)] == [None] * 5
    assert children() == before + 1
    started = time.monotonic()
    assert answer(references, IsingSpec(shape=(6, 6), beta=0.3))["method"] == "Kaufman 1949"
    work.close()
    assert time.monotonic() - started < 5
    assert children_become(before)


def test_what_is_not_solved_says_so_each_time(references: References) -> None:
    for _ in range(2):
        with pytest.raises(NoExactReferenceError, match="thermodynamic_integration or mbar"):
            answer(references, IsingSpec(shape=(5, 5, 5)))


def test_a_process_that_dies_is_a_fault_and_no_answer(references: References) -> None:
    work = references.find(SLOW)
    assert next(work) is None
    for process in solving():
        process.kill()
    with pytest.raises(EOFError):
        list(work)


def test_several_are_searched_for_beside_other_work(references: References) -> None:
    unsolved = IsingSpec(shape=(5, 5, 5), beta=0.2)
    specs = [IsingSpec(shape=(4, 4), beta=0.31), unsolved, IsingSpec(shape=(4, 4), beta=0.32)]
    before = children()
    with references.search(specs, seconds=20.0) as search:
        assert set(search.remaining()) <= {None}
    first, second, third = search.answers
    assert first is not None
    assert third is not None
    assert first["beta_f"] > third["beta_f"]
    assert second is None
    assert children_become(before)
    with references.search([specs[2], specs[0]], seconds=0.0) as remembered:
        assert remembered.finished()
    assert remembered.answers == [third, first]


def test_no_look_at_a_reference_takes_time_and_few_are_solved_at_once(references: References) -> None:
    slow = [SLOW.model_copy(update={"beta": beta}) for beta in (0.41, 0.42, 0.43)]
    before, finding = children(), [references.find(spec) for spec in slow]
    for each in finding:
        next(each)
    assert children() == before + MOST_PROCESSES
    started = time.monotonic()
    for _ in range(100):
        assert [next(each) for each in finding] == [None] * 3
    assert time.monotonic() - started < 1, "an engine has other work meanwhile"
    finding[0].close()
    next(finding[2])
    assert children() == before + MOST_PROCESSES
    for each in finding:
        each.close()
    assert children_become(before)


def test_a_search_ends_when_its_time_is_over(references: References) -> None:
    before, started = children(), time.monotonic()
    with references.search([SLOW], seconds=0.3) as search:
        assert children() == before + 1
        list(search.remaining())
    assert time.monotonic() - started < 3
    assert search.answers == [None]
    assert children_become(before)
