"""Sampling until an error is reached: no more than it takes, never longer than allowed, and the truth about it."""

from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest
import torch

from tests.workers.tiny_models import TinyRegistry
from workers.engine.accuracy import Accuracy, DrawsRows, Spent, drawn_until, what_was_missed
from workers.engine.models import WarmModels
from workers.engine.operations import Engine
from zoo.estimators.weights import Vector

CPU = torch.device("cpu")
LOOSE = {"max_seconds": 1e6, "max_samples": 10**8}


def normal_draws(spread: float, tile: int = 500) -> tuple[list[np.ndarray], DrawsRows]:
    """Rows of a request whose log-weights are normal numbers, each with a number of its own; and what was drawn."""
    drawn: list[np.ndarray] = []

    def draw(start: int, stop: int) -> Iterator[Vector]:
        for first in range(start, stop, tile):
            rows = np.random.default_rng(7).normal(0, spread, min(first + tile, stop))[first:]
            drawn.append(rows)
            yield rows

    return drawn, draw


def outcome(
    draw: DrawsRows, number: int, wish: Accuracy | None, method: str = "importance"
) -> tuple[list[dict[str, float]], Spent]:
    parts, drawing = [], drawn_until(draw, number, method, wish)
    while True:
        try:
            parts.append(next(drawing)["progress"])
        except StopIteration as end:
            return parts, end.value


@pytest.mark.parametrize("target", [0.02, 0.01, 0.004])
@pytest.mark.parametrize("method", ["importance", "variational"])
def test_an_error_is_reached_and_hardly_more(target: float, method: str) -> None:
    drawn, draw = normal_draws(1.0)
    parts, spent = outcome(draw, 1000, Accuracy(target, **LOOSE), method)  # type: ignore[arg-type]
    assert spent.ended == "reached"
    assert 0.9 * target < parts[-1]["standard_error"] <= target
    assert parts[-1]["num_samples"] == sum(map(len, drawn))
    assert [part["num_samples"] for part in parts] == sorted({part["num_samples"] for part in parts})
    assert all(0 < part["fraction"] <= 1 for part in parts)


def test_the_number_of_samples_goes_with_the_inverse_square_of_the_error() -> None:
    numbers = []
    for target in (0.02, 0.01, 0.005):
        drawn, draw = normal_draws(1.0)
        outcome(draw, 500, Accuracy(target, **LOOSE))  # type: ignore[arg-type]
        numbers.append(sum(map(len, drawn)))
    assert numbers[1] / numbers[0] == pytest.approx(4, rel=0.2)
    assert numbers[2] / numbers[1] == pytest.approx(4, rel=0.2)


def test_without_a_wish_the_number_is_the_one_asked_for() -> None:
    drawn, draw = normal_draws(3.0)
    parts, spent = outcome(draw, 1700, None)
    assert spent.ended == "reached"
    assert sum(map(len, drawn)) == parts[-1]["num_samples"] == 1700
    assert [part["fraction"] for part in parts] == [500 / 1700, 1000 / 1700, 1500 / 1700, 1]


def test_no_more_samples_than_are_allowed() -> None:
    drawn, draw = normal_draws(1.0)
    _, spent = outcome(draw, 1000, Accuracy(1e-4, 1e6, 3000))
    assert spent.ended == "samples"
    assert sum(map(len, drawn)) == 3000


def test_no_longer_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count()
    monkeypatch.setattr("workers.engine.accuracy.time.monotonic", lambda: float(next(ticks)))
    drawn, draw = normal_draws(1.0)
    _, spent = outcome(draw, 1000, Accuracy(1e-4, 12.0, 10**8))
    assert spent.ended == "time"
    assert spent.seconds == 12
    assert sum(map(len, drawn)) < 10_000


def test_weights_that_are_all_zero_end_with_the_samples() -> None:
    def draw(start: int, stop: int) -> Iterator[Vector]:
        yield np.full(stop - start, -np.inf)

    parts, spent = outcome(draw, 100, Accuracy(0.1, 1e6, 5000))
    assert spent.ended == "samples"
    assert parts[-1]["beta_f"] is None
    assert parts[-1]["standard_error"] is None
    assert "train the model further" in what_was_missed(Accuracy(0.1, 1e6, 5000), spent, 5000, None)[0]


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        ("time", "0.004 after 1000 samples in 2 s, and 0.001 was asked for; it takes about 32 s: allow more"),
        ("samples", "0.004 after 1000 samples in 2 s, and 0.001 was asked for; it takes about 16000 samples, and 1000"),
    ],
)
def test_what_was_missed_is_said_with_what_it_takes(ended: str, words: str) -> None:
    wish = Accuracy(0.001, 2.0, 1000)
    (told,) = what_was_missed(wish, Spent(ended, 2.0), 1000, 0.004)  # type: ignore[arg-type]
    assert words in told
    assert what_was_missed(wish, Spent("reached", 2.0), 1000, 0.0009) == ()


def test_an_engine_goes_on_from_the_samples_that_were_asked_for(registry: TinyRegistry) -> None:
    registry.publish("made")
    engine = Engine(WarmModels(registry.versions, 4, CPU), CPU)
    asked = {"model": "made", "version": 1, "seed": 3, "n": 600, "method": "importance", "condition": {}}
    wish = {"accuracy": {"target_standard_error": 0.08, **LOOSE}}
    *_, plain = [part for part in engine.run("free_energy", asked | {"exact_seconds": 0}) if part]
    parts = [part for part in engine.run("free_energy", asked | wish | {"exact_seconds": 0}) if part]
    last = parts[-1]
    assert last["target_reached"]
    assert last["estimate"]["standard_error"] <= 0.08 < plain["estimate"]["standard_error"]
    assert last["estimate"]["num_samples"] > 600
    at_first = next(part["progress"] for part in parts if part["progress"]["num_samples"] == 600)
    assert at_first["beta_f"] == pytest.approx(plain["estimate"]["value"], rel=1e-12)
    assert "target_reached" not in plain
    again = [part for part in engine.run("free_energy", asked | wish | {"exact_seconds": 0}) if part]
    assert again[-1]["estimate"] == last["estimate"]
    assert parts[-2]["progress"]["standard_error"] == pytest.approx(last["estimate"]["standard_error"], rel=1e-9)
