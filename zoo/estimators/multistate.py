"""Multistate reweighting of chains (MBAR): Shirts and Chodera, J. Chem. Phys. 129, 124105 (2008), solved by pymbar.

With N_j samples from each of K states, reduced energies u_k and f_k = -ln Z_k, the estimates satisfy

    sum_n W_nk = 1,      W_nk = exp(f_k - u_k(x_n)) / sum_j N_j exp(f_j - u_j(x_n))            (their eqs. 11 and 9).

Their error formula holds for independent samples.  Here errors come from the same equations linearised about their
solution: with h_k = sum_n W_nk - 1 and A_kl = dh_k / df_l = delta_kl - N_l sum_n W_nk W_nl,

    delta f = -A^-1 sum_n (W_n - <W_n>),

the variance of the sum measured between blocks of the chains, which are independent whatever the autocorrelation within
(Geyer 1994; batch means).  f_0 = 0 is fixed, and A is taken without its first row and column.
"""

import logging
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import expit, logsumexp

from zoo.specs.errors import InvalidValueError, NumericalError

MIN_OVERLAP = 0.03
"""Smallest overlap of neighbouring states that is trusted; at most it is 1/2.  Klimovich, Shirts, Mobley, J. Comput.
Aided Mol. Des. 29, 397 (2015)."""

MAX_ELEMENTS = 8_000_000
"""Samples times states that are solved for at once; of more, every m-th draw is used."""

_MIN_BLOCKS = 32  # to measure a variance between them
_TOLERANCE = 1e-6  # of sum_n W_nk about 1
_STRIDE = 16  # of the samples that are solved for first, to start near the solution
_LARGEST = 1e300  # an energy that overflows has weight zero, and so has this

ReducedEnergies = Float64[np.ndarray, "state sampled chain draw"]


@dataclass(frozen=True)
class Multistate:
    """f_k - f_0 in nats with their errors.

    ``neighbour_overlap`` is int p_k p_k+1 / (p_k + p_k+1), for each state and the next: 1/2 when they are the same, 0
    when they have nothing in common.
    """

    beta_f: Float64[np.ndarray, " state"]
    standard_errors: Float64[np.ndarray, " state"]
    neighbour_overlap: Float64[np.ndarray, " pair"]


def thinned(
    num_states: int, samples: Float64[np.ndarray, "state chain draw"]
) -> Float64[np.ndarray, "state chain some"]:
    """Every m-th draw of ``samples``, with the smallest m that leaves at most 8 million energies at ``num_states``."""
    fewer: Float64[np.ndarray, "state chain some"] = samples[
        :, :, :: max(1, -(-samples.size * num_states // MAX_ELEMENTS))
    ]
    return fewer


def multistate_beta_f(reduced_energies: ReducedEnergies, guess: Float64[np.ndarray, " state"]) -> Multistate:
    """Free energies of all states from ``reduced_energies`` [k, j, c, d] = u_k of draw d of chain c at state j.

    ``guess`` of f_k is where the solver starts, within some nats where possible.

    Raises:
        InvalidValueError: shapes that do not agree.
        NumericalError: NaN, or no solution: states without any overlap.
    """
    k = len(reduced_energies)
    if reduced_energies.ndim != 4 or reduced_energies.shape[1] != k or guess.shape != (k,):
        msg = f"reduced energies of shape {reduced_energies.shape} came with {guess.shape} free energies"
        raise InvalidValueError(msg)
    if np.isnan(reduced_energies).any():
        msg = "reduced energies hold NaN"
        raise NumericalError(msg)
    u = np.minimum(reduced_energies.reshape(k, -1), _LARGEST)
    counts = np.full(k, u.shape[1] // k)
    few = u[:, ::_STRIDE]
    f = _solved(u, counts, _solved(few, np.bincount(_state_of_sample(counts)[::_STRIDE]), guess))
    log_denominator = logsumexp(f[:, None] - u, axis=0) + np.log(counts[0])
    weights = np.exp(f[:, None] - u - log_denominator)
    gap = float(np.abs(weights.sum(1) - 1).max())
    if not gap < _TOLERANCE:
        msg = f"the multistate equations were not solved: sum_n W_nk is off 1 by {gap:.1e}; use more states or samples"
        raise NumericalError(msg)
    errors = _errors(weights.reshape(reduced_energies.shape), np.eye(k) - counts[0] * weights @ weights.T)
    return Multistate(f - f[0], errors, _neighbour_overlap(reduced_energies.reshape(k, k, -1), f))


def _solved(
    u: Float64[np.ndarray, "state sample"], counts: Int64[np.ndarray, " state"], guess: Float64[np.ndarray, " state"]
) -> Float64[np.ndarray, " state"]:
    """f_k by Newton's method and self-consistent iteration, whichever is nearer.

    The other solvers of pymbar hand its own options to scipy, which warns of them.
    """
    options = {"min_sc_iter": 0, "maxiter": 500}
    protocol = ({"method": "adaptive", "tol": 1e-9, "options": options, "continuation": None},)
    f, _ = _solvers().solve_mbar(u, counts, guess - guess[0], protocol)
    return np.asarray(f, dtype=np.float64)


def _state_of_sample(counts: Int64[np.ndarray, " state"]) -> Int64[np.ndarray, " sample"]:
    return np.repeat(np.arange(len(counts)), counts)


def _neighbour_overlap(
    u: Float64[np.ndarray, "state sampled sample"], f: Float64[np.ndarray, " state"]
) -> Float64[np.ndarray, " pair"]:
    """<p_k+1 / (p_k + p_k+1)> over the samples of state k."""
    k = np.arange(len(f) - 1)
    log_ratio = (f[1:] - f[:-1])[:, None] - (u[k + 1, k] - u[k, k])
    overlap: Float64[np.ndarray, " pair"] = expit(log_ratio).mean(1)
    return overlap


def _errors(
    weights: Float64[np.ndarray, "state sampled chain draw"], jacobian: Float64[np.ndarray, "state state"]
) -> Float64[np.ndarray, " state"]:
    """Standard errors of f_k - f_0 from the scatter of sum_n W_n between blocks."""
    k, _, chains, draws = weights.shape
    per_chain = min(draws, -(-_MIN_BLOCKS // chains))
    used = draws // per_chain * per_chain
    blocks = weights[..., :used].reshape(k, k, chains * per_chain, -1).sum(-1) * (draws / used)
    deviation = blocks - blocks.mean(-1, keepdims=True)
    number = deviation.shape[-1]
    influence = np.linalg.solve(jacobian[1:, 1:], deviation[1:].reshape(k - 1, -1))
    return np.concatenate([[0.0], np.sqrt((influence**2).sum(-1) * number / max(1, number - 1))])


def _solvers() -> Any:  # noqa: ANN401 - a library without types
    """The solvers of pymbar, which at its import logs advice on installing others."""
    logging.getLogger("pymbar").setLevel(logging.ERROR)
    return import_module("pymbar.mbar_solvers")
