"""Bars and stripes against the list of all pictures."""

from math import inf, log

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from zoo.core.random import RandomStream
from zoo.exact.bars_and_stripes import num_patterns, patterns
from zoo.specs.targets.bars_and_stripes import BarsAndStripesSpec
from zoo.targets.bars_and_stripes import BarsAndStripes

SHAPES = [(1, 1), (1, 4), (4, 1), (2, 2), (2, 3), (3, 3), (4, 4), (3, 4)]

every_shape = pytest.mark.parametrize("shape", SHAPES)


def target(shape: tuple[int, int]) -> BarsAndStripes:
    return BarsAndStripes(BarsAndStripesSpec(shape=shape))


def is_pattern(picture: np.ndarray) -> bool:
    """The definition, word by word."""
    rows = all(len(set(row)) == 1 for row in picture.tolist())
    columns = all(len(set(column)) == 1 for column in picture.T.tolist())
    return rows or columns


@every_shape
def test_energies_are_zero_on_patterns_and_infinite_elsewhere(shape: tuple[int, int]) -> None:
    x = target(shape).space.enumerate()
    energy = target(shape).energy(x)
    assert energy.tolist() == [0.0 if is_pattern(picture) else inf for picture in x.numpy()]


@every_shape
def test_the_count_is_that_of_all_pictures(shape: tuple[int, int]) -> None:
    system = target(shape)
    x = system.space.enumerate()
    number = int((system.energy(x) == 0).sum())
    assert number == num_patterns(shape)
    for beta in (0.1, 1.0, 50.0):
        reference = system.exact_reference(beta)
        assert reference.beta_f == pytest.approx(-float(torch.logsumexp(-beta * system.energy(x), 0)), abs=1e-12)
        assert reference.observables["entropy"] == pytest.approx(log(number))


@every_shape
def test_the_numbering_lists_every_pattern_once(shape: tuple[int, int]) -> None:
    system, number = target(shape), num_patterns(shape)
    listed = patterns(np.arange(number), shape)
    assert len({picture.tobytes() for picture in listed}) == number
    assert bool((system.energy(torch.from_numpy(listed)) == 0).all())


@every_shape
def test_exact_means_are_those_of_the_list(shape: tuple[int, int]) -> None:
    system = target(shape)
    observed = system.observables(torch.from_numpy(patterns(np.arange(num_patterns(shape)), shape)))
    exact = system.exact_reference(1.0).observables
    for name, values in observed.items():
        assert float(values.mean()) == pytest.approx(exact[name], abs=1e-12)


def test_draws_are_even_over_the_patterns() -> None:
    """Chi-squared over 30 patterns from 30,000 draws: by chance below 0.001 once in a thousand seeds."""
    drawn = target((4, 4)).draw(30_000, 1.0, RandomStream(2))
    assert drawn.dtype == torch.uint8
    _, counts = np.unique(drawn.numpy().reshape(30_000, -1), axis=0, return_counts=True)
    assert len(counts) == 30
    assert chisquare(counts).pvalue > 0.001
    rows_and_columns_alike = np.concatenate([counts[:15], 2 * counts[15:]])
    scaled = rows_and_columns_alike * (30_000 / rows_and_columns_alike.sum())
    assert chisquare(scaled).pvalue < 1e-6  # the test sees a bias of a factor 2


def test_the_largest_shape_is_drawn_without_overflow() -> None:
    system = target((32, 32))
    drawn = system.draw(2000, 1.0, RandomStream(3))
    assert bool((system.energy(drawn) == 0).all())
    of_rows = system.observables(drawn)["row_uniform"]
    assert abs(float(of_rows.mean()) - 0.5) < 4 * 0.5 / 2000**0.5
    assert abs(float(drawn.double().mean()) - 0.5) < 4 * 0.5 / (2000 * 32) ** 0.5


@every_shape
@pytest.mark.parametrize("image", ["complement", "shift rows", "shift columns", "flip", "transpose"])
def test_every_claimed_symmetry_holds_on_all_pictures(shape: tuple[int, int], image: str) -> None:
    system = target(shape)
    x = system.space.enumerate()
    if image == "transpose" and shape[0] != shape[1]:
        image = "flip"
    images = {
        "complement": 1 - x,
        "shift rows": x.roll(1, 1),
        "shift columns": x.roll(1, 2),
        "flip": x.flip(1).flip(2),
        "transpose": x.transpose(1, 2).reshape(x.shape),
    }
    assert torch.equal(system.energy(x), system.energy(images[image]))
    assert system.symmetries == {"z2", "lattice_translation", "lattice_point_group"}
