"""Bitstrings against the explicit table of their probabilities."""

from math import inf

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import chisquare

from zoo.core.random import RandomStream
from zoo.exact.random_circuit import drawn_strings, string_probabilities
from zoo.specs.targets.bitstrings import BitstringsSpec
from zoo.targets.bitstrings import Bitstrings

SPEC = BitstringsSpec(qubits=4, depth=6, seed=5)


def test_the_energy_is_minus_the_logarithm_of_the_probability_of_the_string() -> None:
    system = Bitstrings(SPEC)
    p = string_probabilities(4, 6, 5)
    for string in ([0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 1], [1, 1, 1, 0]):
        index = sum(bit << i for i, bit in enumerate(string))
        for dtype in (torch.uint8, torch.float32, torch.float64):
            assert float(system.energy(torch.tensor([string], dtype=dtype))) == pytest.approx(-np.log(p[index]))


@pytest.mark.parametrize("beta", [0.2, 1.0, 1.7, 300.0])
def test_the_reference_is_the_sum_over_all_strings(beta: float) -> None:
    system = Bitstrings(SPEC)
    x = system.space.enumerate()
    energy = system.energy(x)
    log_weight = -beta * energy
    log_z = float(torch.logsumexp(log_weight, 0))
    weight = (log_weight - log_z).exp()
    exact = system.exact_reference(beta)
    assert exact.beta_f == pytest.approx(-log_z, abs=1e-11)
    for name, values in system.observables(x).items():
        assert exact.observables[name] == pytest.approx(float(weight @ values), abs=1e-11)
    entropy = -float(torch.special.xlogy(weight, weight).sum())
    assert exact.observables["entropy"] == pytest.approx(entropy, abs=1e-9)
    variance = float(weight @ energy**2) - float(weight @ energy) ** 2
    assert exact.observables["heat_capacity"] == pytest.approx(beta**2 * variance, abs=1e-6)


def test_at_beta_one_nothing_is_left_to_normalise() -> None:
    exact = Bitstrings(SPEC).exact_reference(1.0)
    p = string_probabilities(4, 6, 5)
    assert abs(exact.beta_f) < 1e-14
    assert exact.observables["linear_cross_entropy"] == pytest.approx(16 * float(p @ p) - 1)
    assert exact.observables["entropy"] == pytest.approx(exact.observables["energy"])


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_draws_have_the_probabilities(beta: float) -> None:
    """Chi-squared over 16 strings from 50,000 draws; at another temperature it fails."""
    system, number = Bitstrings(SPEC), 50_000
    drawn = system.draw(number, beta, RandomStream(11)).numpy()
    counts = np.bincount(drawn @ 2 ** np.arange(4), minlength=16)
    weight = string_probabilities(4, 6, 5) ** beta
    expected = number * weight / weight.sum()
    assert chisquare(counts, expected).pvalue > 0.001
    other = string_probabilities(4, 6, 5) ** (1.2 * beta)
    assert chisquare(counts, number * other / other.sum()).pvalue < 1e-6


def test_impossible_strings_have_infinite_energy_and_are_never_drawn() -> None:
    p = np.array([0.0, 0.5, 0.0, 0.5])
    pairs = np.stack([np.array([0.0, 0.25, 0.5, 0.75, 1 - 2.0**-24]), np.zeros(5)], 1).astype(np.float32)
    strings = drawn_strings(p, 1.0, pairs) @ np.array([1, 2])
    assert strings.tolist() == [1, 1, 3, 3, 3]
    system = Bitstrings(SPEC)
    system._table = torch.tensor([0.0, *[1 / 15] * 15], dtype=torch.float64)
    assert float(system.energy(torch.zeros(1, 4))) == inf


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"qubits": 1, "depth": 1}, "greater than or equal to 2"),
        ({"qubits": 21, "depth": 1}, "less than or equal to 20"),
        ({"qubits": 4, "depth": 1001}, "less than or equal to 1000"),
        ({"qubits": 20, "depth": 32}, "depth is at most 31 with 20 qubits"),
        ({"qubits": 4, "depth": 1, "seed": -1}, "greater than or equal to 0"),
        ({"qubits": 4.5, "depth": 1}, "valid integer"),
    ],
)
def test_parameters_outside_their_range_are_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        BitstringsSpec.model_validate(fields)
    assert BitstringsSpec(qubits=20, depth=31).space.event_shape == (20,)
