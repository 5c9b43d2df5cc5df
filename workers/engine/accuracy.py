"""Sampling until an estimate is as exact as was asked for, or the time or the samples that are allowed are used up."""

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Any, Literal, Protocol

from zoo.estimators.running_weights import RunningWeights, samples_for
from zoo.estimators.weights import Vector

Part = dict[str, Any]


@dataclass(frozen=True)
class Accuracy:
    """The standard error of beta_f that is asked for, in nats, and what may be spent on it."""

    target_standard_error: float
    max_seconds: float
    max_samples: int


@dataclass(frozen=True)
class Spent:
    """Why sampling ended, and what it took."""

    ended: Literal["reached", "time", "samples"]
    seconds: float


class DrawsRows(Protocol):
    """What draws the rows of a request."""

    def __call__(self, start: int, stop: int) -> Iterator[Vector]:
        """The log-weights of the rows from ``start`` to ``stop``, tile by tile."""


def drawn_until(draw: DrawsRows, num_samples: int, method: str, wish: Accuracy | None) -> Generator[Part, None, Spent]:
    """Progress parts with the estimate so far; at first ``num_samples``, then as many more as ``wish`` needs.

    The errors decide how many, and nothing else but the time: with the same numbers the same samples are drawn.
    """
    running, began, wanted = RunningWeights(), time.monotonic(), num_samples
    while True:
        for log_weights in draw(running.num_samples, wanted):
            running.add(log_weights)
            yield {"progress": _progress(running, wanted, method, wish)}
            spent = time.monotonic() - began
            if wish is not None and spent >= wish.max_seconds and running.num_samples < wanted:
                return Spent("time", spent)
        error, spent = running.standard_error(method), time.monotonic() - began
        if wish is None or error <= wish.target_standard_error:
            return Spent("reached", spent)
        if wanted >= wish.max_samples or spent >= wish.max_seconds:
            return Spent("samples" if wanted >= wish.max_samples else "time", spent)
        wanted = min(wish.max_samples, samples_for(wanted, error, wish.target_standard_error))


def what_was_missed(wish: Accuracy, spent: Spent, num_samples: int, error: float | None) -> tuple[str, ...]:
    """That the error is larger than asked, with what would help; nothing where it is not."""
    if spent.ended == "reached":
        return ()
    had = f"{num_samples} samples in {spent.seconds:.2g} s"
    message = f"the standard error is {_number(error)} after {had}, and {wish.target_standard_error:g} was asked for"
    if error is None or not isfinite(error):
        return (f"{message}; the weights do not tell how many samples it takes: train the model further",)
    factor = (error / wish.target_standard_error) ** 2
    if spent.ended == "samples":
        return (f"{message}; it takes about {ceil(factor * num_samples)} samples, and {num_samples} are allowed here",)
    return (
        f"{message}; it takes about {factor * spent.seconds:.2g} s: allow more with max_seconds and Prefer: wait=N",
    )


def _progress(running: RunningWeights, wanted: int, method: str, wish: Accuracy | None) -> Part:
    value, error = running.beta_f(method), running.standard_error(method)
    drawn = running.num_samples / wanted
    fraction = drawn if wish is None else min(drawn, (wish.target_standard_error / error) ** 2 if error > 0 else 1.0)
    return {
        "num_samples": running.num_samples,
        "fraction": fraction,
        "beta_f": value if isfinite(value) else None,
        "standard_error": error if isfinite(error) else None,
    }


def _number(error: float | None) -> str:
    return "unknown" if error is None else f"{error:.3g}"
