"""What the states of a path say about themselves, and whether it can be believed."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from zoo.estimators.chains import chain_average, r_hat
from zoo.estimators.multistate import MIN_OVERLAP
from zoo.estimators.weights import MIN_EFFECTIVE_SAMPLES

MAX_STATE_R_HAT = 1.05
"""Chains here are many and short: with e effective draws in half a chain R-hat is about 1 + 1 / (2 e) although all
chains agree, so the limit is wider than for few long chains."""


@dataclass(frozen=True)
class StateDiagnostics:
    """The chains at one state; ``derivative`` is d beta_f / dt there, with the error of its mean."""

    lambda_: float
    derivative: float
    standard_error: float
    effective_sample_size: float
    r_hat: float
    acceptance: float


def state_diagnostics(
    lambda_: float, derivative: Float64[np.ndarray, "chain draw"], acceptance: float
) -> StateDiagnostics:
    """The diagnostics of one state from d u / dt along its chains; one that never changes is known without error."""
    average = chain_average(derivative)
    known = average.standard_error is None
    return StateDiagnostics(
        lambda_=lambda_,
        derivative=average.value,
        standard_error=average.standard_error or 0.0,
        effective_sample_size=average.effective_sample_size or float(derivative.size),
        r_hat=1.0 if known else r_hat(derivative),
        acceptance=acceptance,
    )


def doubts_of_states(states: Iterable[StateDiagnostics]) -> tuple[str, ...]:
    """Why averages over the states are not to be trusted, if so."""
    rows = list(states)
    unmixed = [i for i, s in enumerate(rows) if not s.r_hat <= MAX_STATE_R_HAT]
    few = [i for i, s in enumerate(rows) if s.effective_sample_size < MIN_EFFECTIVE_SAMPLES]
    doubts: tuple[str, ...] = ()
    if unmixed:
        worst = max(rows[i].r_hat for i in unmixed)
        doubts += (f"R-hat is up to {worst:.3f} at states {_listed(unmixed)}: chains have not mixed; burn in longer",)
    if few:
        least = min(rows[i].effective_sample_size for i in few)
        doubts += (f"only {least:.0f} effective samples at states {_listed(few)}; draw more",)
    return doubts


def doubts_of_overlap(neighbours: Float64[np.ndarray, " pair"]) -> tuple[str, ...]:
    """Why reweighting between the states is not to be trusted, if so."""
    apart = [i for i, overlap in enumerate(neighbours) if overlap < MIN_OVERLAP]
    if not apart:
        return ()
    least = float(neighbours.min())
    return (f"overlap with the next state is down to {least:.2g} at states {_listed(apart)}; use more states",)


def _listed(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    return shown if len(numbers) <= 8 else f"{shown}, .. ({len(numbers)} in all)"
