"""Averages along Markov chains, with errors that know of the autocorrelation.

Effective sample size n / tau and R-hat after Vehtari, Gelman, Simpson, Carpenter, Buerkner, Bayesian Analysis 16, 667
(2021), as computed by arviz-stats.  Arrays are (chain, draw): draws of one chain are in the order they were made.
"""

from math import sqrt
from typing import Any

import numpy as np
import torch
from arviz_stats.base.array import array_stats
from jaxtyping import Float64

from zoo.estimators.weights import MIN_EFFECTIVE_SAMPLES
from zoo.specs.errors import InvalidValueError, NumericalError
from zoo.specs.estimate import Estimate

MAX_R_HAT = 1.01
"""Above this the chains have not mixed: they disagree by more than they should within one distribution."""

MIN_DRAWS = 4
"""Halves of a chain are compared, so each needs two draws."""

_STATISTICS: Any = array_stats  # a library without types

ChainArray = np.ndarray | torch.Tensor


def chain_average(values: ChainArray) -> Estimate:
    """<O> from ``values`` O of shape (chain, draw), in the unit of O.

    standard_error = std(O) / sqrt(ESS), with ESS the number of independent draws that the chains are worth.  Unreliable
    when ESS is below 100 or R-hat above 1.01; no error when the values never change.

    Raises:
        InvalidValueError: not two axes, or fewer than 4 draws.
        NumericalError: a value that is not finite.
    """
    array = _as_chains(values)
    if np.ptp(array) == 0:
        return _constant(array)
    ess = float(_STATISTICS.ess(array, chain_axis=0, draw_axis=1, method="mean"))
    doubts = _doubts(ess, r_hat(array))
    return Estimate(
        value=float(array.mean()),
        standard_error=float(array.std(ddof=1)) / sqrt(ess),
        num_samples=array.size,
        method="markov chain average",
        effective_sample_size=ess,
        reliable=not doubts,
        warnings=doubts,
    )


def chain_heat_capacity(energies: ChainArray, beta: float, num_sites: int) -> Estimate:
    """C / N = beta^2 var(E) / N, k_B = 1, from E of shape (chain, draw): the average of beta^2 (E - <E>)^2 / N."""
    array = _as_chains(energies)
    return chain_average(beta**2 * (array - array.mean()) ** 2 / num_sites)


def r_hat(values: ChainArray) -> float:
    """Rank-normalised split R-hat of ``values``, shape (chain, draw): 1 when the chains agree; at least 4 draws."""
    return float(_STATISTICS.rhat(_as_chains(values), chain_axis=0, draw_axis=1, method="rank"))


def _as_chains(values: ChainArray) -> Float64[np.ndarray, "chain draw"]:
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    if array.ndim != 2 or array.shape[0] == 0 or array.shape[1] < MIN_DRAWS:
        msg = f"values have shape {array.shape}; (chain, draw) with at least {MIN_DRAWS} draws was expected"
        raise InvalidValueError(msg)
    if not np.isfinite(array).all():
        msg = f"{int((~np.isfinite(array)).sum())} of {array.size} values of the chains are not finite"
        raise NumericalError(msg)
    return array.astype(np.float64)


def _constant(array: Float64[np.ndarray, "chain draw"]) -> Estimate:
    return Estimate(
        value=float(array[0, 0]),
        standard_error=None,
        num_samples=array.size,
        method="markov chain average",
        reliable=False,
        warnings=("the values never change along the chains, so their error cannot be known",),
    )


def _doubts(ess: float, r: float) -> tuple[str, ...]:
    doubts: tuple[str, ...] = ()
    if ess < MIN_EFFECTIVE_SAMPLES:
        doubts += (f"effective sample size {ess:.1f} is below {MIN_EFFECTIVE_SAMPLES}; run longer",)
    if not r <= MAX_R_HAT:
        doubts += (f"R-hat = {r:.3f} is above {MAX_R_HAT}: the chains have not mixed; discard more or run longer",)
    return doubts
