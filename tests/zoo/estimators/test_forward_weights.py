"""Weights on samples of the target: what they say of a model that lacks a part of it, and of one that does not."""

import numpy as np
import pytest

from zoo.estimators.weights import effective_sample_size, forward_effective_sample_fraction, unseen_fraction
from zoo.specs.errors import NumericalError
from zoo.specs.estimate import ForwardCheck

TARGET = np.array([0.30, 0.15, 0.05, 0.30, 0.15, 0.05])  # two modes of three states


def log_weights(of: np.ndarray, model: np.ndarray, seed: int, n: int) -> np.ndarray:
    """Ln p - ln q of ``n`` samples of the distribution ``of``, up to the logarithm of a constant."""
    x = np.random.default_rng(seed).choice(len(of), p=of, size=n)
    return np.asarray(np.log(TARGET[x]) - np.log(model[x]) + 3.0)


def checked(model: np.ndarray, seed: int = 1) -> ForwardCheck:
    forward, reverse = log_weights(TARGET, model, seed, 2000), log_weights(model, model, seed + 1, 10_000)
    return ForwardCheck(
        forward_effective_sample_fraction=forward_effective_sample_fraction(forward),
        num_forward_samples=len(forward),
        unseen_fraction=unseen_fraction(forward, reverse),
        effective_sample_fraction=effective_sample_size(reverse) / len(reverse),
        num_samples=len(reverse),
        sampler="direct",
    )


def with_second_mode(mass: float) -> np.ndarray:
    """A model that has the shape of both modes, and gives the second one ``mass``."""
    return np.concatenate([2 * (1 - mass) * TARGET[:3], 2 * mass * TARGET[3:]])


def test_of_a_perfect_model_it_is_one() -> None:
    found = checked(TARGET)
    assert found.forward_effective_sample_fraction == pytest.approx(1.0, abs=1e-12)
    assert found.unseen_fraction == 0
    assert found.doubt is None


def test_it_is_the_limit_of_the_fraction_of_the_models_own_samples() -> None:
    model = np.array([0.2, 0.2, 0.1, 0.2, 0.2, 0.1])
    exact = 1 / float(np.sum(TARGET**2 / model))
    forward = forward_effective_sample_fraction(log_weights(TARGET, model, 5, 200_000))
    own = effective_sample_size(log_weights(model, model, 6, 200_000)) / 200_000
    assert forward == pytest.approx(exact, rel=0.01)
    assert own == pytest.approx(exact, rel=0.01)


def test_a_missing_mode_makes_it_vanish_while_the_models_own_samples_see_nothing() -> None:
    found = checked(with_second_mode(1e-12))
    assert found.effective_sample_fraction == pytest.approx(1.0)
    assert found.forward_effective_sample_fraction < 1e-10
    assert found.unseen_fraction == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 2000))
    assert found.doubt is not None
    assert "2000 Monte Carlo samples" in found.doubt
    assert "10000 samples of the model" in found.doubt
    assert "chains have not converged" in found.doubt


@pytest.mark.parametrize("mass", [0.5, 0.2, 0.05, 0.01])
def test_a_mode_that_the_model_draws_too_rarely_but_draws_is_no_missing_one(mass: float) -> None:
    assert all(checked(with_second_mode(mass), seed).doubt is None for seed in range(1, 21))


def test_a_rare_outlier_alone_is_no_missing_mode() -> None:
    evidence = checked(with_second_mode(1e-12)).model_dump()
    assert ForwardCheck.model_validate(evidence | {"unseen_fraction": 0.001}).doubt is None
    assert ForwardCheck.model_validate(evidence | {"forward_effective_sample_fraction": 0.2}).doubt is None


def test_what_the_model_cannot_draw_at_all_gives_zero() -> None:
    assert forward_effective_sample_fraction([0.0, 0.0, np.inf]) == 0
    assert unseen_fraction([0.0, 0.0, np.inf, np.inf], [0.0, 0.1]) == 0.5


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_weights_that_no_sample_of_the_target_has_are_refused(bad: float) -> None:
    with pytest.raises(NumericalError, match="1 of 3 log-weights"):
        forward_effective_sample_fraction([0.0, 0.1, bad])


def test_only_ratios_of_weights_count() -> None:
    lw = log_weights(TARGET, with_second_mode(0.2), 9, 500)
    assert forward_effective_sample_fraction(lw - 5000) == pytest.approx(forward_effective_sample_fraction(lw))
