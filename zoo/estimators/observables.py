"""Averages over p from samples of q with weights: observables, energy and heat capacity, with error bars.

Self-normalised importance sampling: with v_i = w_i / sum_j w_j,

    <O>_p ~ sum_i v_i O_i,      standard_error^2 = n / (n - 1) sum_i v_i^2 (O_i - <O>)^2       (delta method).

The bias is of order 1 / n.  See Owen, Monte Carlo theory, methods and examples (2013), eq. 9.8.
"""

from math import sqrt

import numpy as np
from jaxtyping import Float64

from zoo.estimators.weights import (
    Vector,
    as_vector,
    doubts_of_weights,
    effective_sample_size,
    normalized_weights,
    pareto_k,
)
from zoo.specs.errors import InvalidValueError, NumericalError
from zoo.specs.estimate import Estimate


def importance_average(log_weights: Vector, values: Vector) -> Estimate:
    """<O> under the target, from ``values`` O(x_i) of shape (num_samples,), in the unit of O.

    Raises:
        InvalidValueError: shapes that do not agree.
        NumericalError: a value that is not finite, or weights refused by ``as_log_weights``.
    """
    weights, o = _paired(log_weights, values)
    mean = float(weights @ o)
    return _estimate(log_weights, mean, weights * (o - mean), "importance average")


def importance_energy(log_weights: Vector, energies: Vector, num_sites: int) -> Estimate:
    """<E> / N under the target, in the unit of energy, from E(x_i)."""
    _, energy = _paired(log_weights, energies)
    return importance_average(log_weights, energy / num_sites)


def importance_heat_capacity(log_weights: Vector, energies: Vector, beta: float, num_sites: int) -> Estimate:
    """C / N = beta^2 (<E^2> - <E>^2) / N under the target, k_B = 1, from E(x_i).

    The influence of sample i is v_i ((E_i - <E>)^2 - var E), which gives the error as for an average.
    """
    weights, energy = _paired(log_weights, energies)
    deviation = energy - weights @ energy
    variance = float(weights @ deviation**2)
    scale = beta**2 / num_sites
    return _estimate(
        log_weights, scale * variance, scale * weights * (deviation**2 - variance), "importance fluctuation"
    )


def _paired(
    log_weights: Vector, values: Vector
) -> tuple[Float64[np.ndarray, " sample"], Float64[np.ndarray, " sample"]]:
    """Normalised weights and values, one of each for a sample."""
    weights, array = normalized_weights(log_weights), as_vector(values, "values")
    if len(weights) != len(array):
        msg = f"{len(array)} values came with {len(weights)} log-weights; one value for each sample was expected"
        raise InvalidValueError(msg)
    if not np.isfinite(array).all():
        msg = f"values[{int(np.argmin(np.isfinite(array)))}] is not finite"
        raise NumericalError(msg)
    return weights, array


def _estimate(log_weights: Vector, value: float, influence: Float64[np.ndarray, " sample"], method: str) -> Estimate:
    """``value`` with the error sqrt(n / (n - 1) sum_i influence_i^2)."""
    n, ess, k = len(influence), effective_sample_size(log_weights), pareto_k(log_weights)
    doubts = doubts_of_weights(n, ess, k)
    return Estimate(
        value=value,
        standard_error=sqrt(n / (n - 1) * float(influence @ influence)) if n > 1 else None,
        num_samples=n,
        method=method,
        effective_sample_size=ess,
        pareto_k=k,
        reliable=not doubts,
        warnings=doubts,
    )
