"""What a search for a free energy is to do, how far it is, and how it is run to its end."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeVar

from zoo.core.random import RandomStream
from zoo.core.targets import Target
from zoo.references.path import BuildChains
from zoo.specs.errors import InvalidValueError, LimitExceededError
from zoo.specs.samplers import ChainLength

Method = Literal["thermodynamic_integration", "mbar", "ais"]

MAX_SAMPLES = 100_000_000
"""Most samples of all states together: their slopes are kept in memory."""


class Part(IntEnum):
    """Parts of a run's stream of random numbers."""

    PILOT = 0
    PLACING = 1
    START = 2
    WARM_UP = 3
    DRAWS = 4


@dataclass(frozen=True)
class ReferencePlan:
    """How a free energy is to be found: the estimator, the number of states with both ends, and the chains at each."""

    method: Method
    num_states: int
    length: ChainLength

    def __post_init__(self) -> None:
        if self.num_states < 3:
            msg = f"num_states is {self.num_states}; a path has at least 3 states, both ends among them"
            raise InvalidValueError(msg)
        samples = self.num_states * self.length.num_chains * self.length.num_draws
        if samples > MAX_SAMPLES:
            msg = f"num_states x num_chains x num_draws is {samples}; at most {MAX_SAMPLES} samples are kept"
            raise LimitExceededError(msg)

    @property
    def num_rows(self) -> int:
        """Chains of all states together."""
        return self.num_states * self.length.num_chains


@dataclass(frozen=True)
class Progress:
    """How far a run is: the share of its work that is done, and what it is at."""

    fraction: float
    stage: str


ResultT = TypeVar("ResultT")
Steps = Generator[Progress, None, ResultT]
"""Something that tells its progress, step by step, and returns a result."""


@dataclass(frozen=True)
class Run:
    """What every part of a run needs."""

    target: Target
    beta: float
    plan: ReferencePlan
    build: BuildChains
    rng: RandomStream


@dataclass
class Work:
    """Chain steps done, of all that there are to do."""

    total: int
    done: int = 0

    def spent(self, steps: int, stage: str) -> Progress:
        """The progress after ``steps`` more."""
        self.done += steps
        return self.now(stage)

    def now(self, stage: str) -> Progress:
        """The progress as it is."""
        return Progress(min(1.0, self.done / self.total), stage)


def completed(steps: Steps[ResultT], on_progress: Callable[[Progress], None] = lambda _: None) -> ResultT:
    """The result of ``steps``, each progress handed to ``on_progress``, which may raise to stop."""
    while True:
        try:
            progress = next(steps)
        except StopIteration as end:
            result: ResultT = end.value
            return result
        on_progress(progress)
