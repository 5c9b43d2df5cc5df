"""Mixtures of independent bits, fitted by expectation-maximisation: the baseline for densities of pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8
from scipy.special import logsumexp

MAX_STEPS = 200
PSEUDO_COUNT = 0.5


@dataclass(frozen=True)
class Mixture:
    """p(x) = sum_k ``weights``_k prod_i p_ki^x_i (1 - p_ki)^(1 - x_i), after ``steps`` of the fit."""

    weights: Float64[np.ndarray, " component"]
    probabilities: Float64[np.ndarray, "component site"]
    steps: int


def mixture_log_prob(mixture: Mixture, x: UInt8[np.ndarray, "sample *event"]) -> Float64[np.ndarray, " sample"]:
    """Ln p(x) in nats."""
    return np.asarray(logsumexp(_joint(mixture, x), axis=1))


def fitted_mixture(
    x: UInt8[np.ndarray, "sample *event"],
    held_out: UInt8[np.ndarray, "held_out *event"],
    components: Sequence[int],
    seed: int,
) -> Mixture:
    """The mixture, of several numbers of components and steps of the fit, under which ``held_out`` is most likely."""
    best: Mixture | None = None
    highest = -np.inf
    for count in components:
        mixture = _start(x, count, seed)
        for _ in range(MAX_STEPS):
            mixture = _step(mixture, x)
            likelihood = float(mixture_log_prob(mixture, held_out).mean())
            if likelihood > highest:
                best, highest = mixture, likelihood
    if best is None:
        msg = "no number of components was given"
        raise ValueError(msg)
    return best


def _start(x: UInt8[np.ndarray, "sample *event"], count: int, seed: int) -> Mixture:
    """Components around randomly chosen pictures."""
    chosen = np.random.default_rng(seed).choice(len(x), count, replace=False)
    return Mixture(np.full(count, 1 / count), 0.25 + 0.5 * x[chosen].reshape(count, -1), 0)


def _step(mixture: Mixture, x: UInt8[np.ndarray, "sample *event"]) -> Mixture:
    """One step of expectation-maximisation, with PSEUDO_COUNT of each value of each pixel in each component."""
    joint = _joint(mixture, x)
    responsibility = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    mass = responsibility.sum(0)
    ones = responsibility.T @ x.reshape(len(x), -1)
    probabilities = (ones + PSEUDO_COUNT) / (mass[:, None] + 2 * PSEUDO_COUNT)
    return Mixture(mass / len(x), probabilities, mixture.steps + 1)


def _joint(mixture: Mixture, x: UInt8[np.ndarray, "sample *event"]) -> Float64[np.ndarray, "sample component"]:
    bits = x.reshape(len(x), -1).astype(np.float64)
    log_one, log_zero = np.log(mixture.probabilities), np.log1p(-mixture.probabilities)
    return np.asarray(bits @ log_one.T + (1 - bits) @ log_zero.T + np.log(mixture.weights + 1e-300))
