"""Sums over all configurations of at most 24 spins: the reference that needs no derivation.

Z = sum_s exp(-beta E(s)), block by block, relative to the largest term so far.  An energy over pairs is listed faster
than one that is a black box: with the spins in two halves a and b,

    u(a, b) = u_a + u_b - a^T K_ab b,

which is one matrix product of 2^12 x 12 by 12 x 2^12 for 24 spins.
"""

from collections.abc import Callable
from math import exp, inf, log

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from zoo.exact.cumulants import Cumulants
from zoo.exact.rows import row_states

MAX_SPINS = 24
"""Largest number of spins: 2^24 configurations take seconds."""

_BLOCK_SPINS = 17  # 2^17 configurations, some ten megabytes, at a time

Energy = Callable[[Float[Tensor, "batch site"]], Float[Tensor, " batch"]]


def enumeration_cumulants(energy: Energy, num_spins: int, beta: float) -> Cumulants:
    """Ln Z with mean and variance of u = beta E over all 2^n configurations of n = ``num_spins`` spins.

    ``energy`` maps float32 spins -1/+1, shape (batch, num_spins), to energies, shape (batch,).

    Raises:
        ValueError: fewer than 1 or more than 24 spins.
    """
    _require_few(num_spins)
    low = min(num_spins, _BLOCK_SPINS)
    block = torch.empty(2**low, num_spins)
    block[:, :low] = _all_spins(low)
    total = _RunningSum()
    for high in _all_spins(num_spins - low):
        block[:, low:] = high
        total.add((beta * energy(block).to(torch.float64)).numpy())
    return total.cumulants()


def pair_enumeration_cumulants(
    couplings: Float64[np.ndarray, "site site"], fields: Float64[np.ndarray, " site"]
) -> Cumulants:
    """Ln Z with mean and variance of u(s) = -1/2 s^T K s - b^T s over all 2^n spins: K = beta J symmetric, b = beta h.

    K_ij is the coupling of one pair; the diagonal of K is ignored.  About a second for 24 spins.

    Raises:
        ValueError: fewer than 1 or more than 24 spins.
    """
    n = len(fields)
    _require_few(n)
    half = n // 2
    a, b = row_states(half), row_states(n - half)
    u_a = _pair_energies(a, couplings[:half, :half], fields[:half])
    u_b = _pair_energies(b, couplings[half:, half:], fields[half:])
    field_of_b = b @ couplings[half:, :half]
    rows = max(1, 2**_BLOCK_SPINS // len(a))
    total = _RunningSum()
    for i in range(0, len(b), rows):
        block = slice(i, i + rows)
        total.add((u_b[block, None] + u_a - field_of_b[block] @ a.T).ravel())
    return total.cumulants()


def coupling_matrix(
    bonds: Int[np.ndarray, "bond 2"], couplings: Float64[np.ndarray, " bond"], num_sites: int
) -> Float64[np.ndarray, "site site"]:
    """K, symmetric with zero diagonal, from one coupling for each bond; bonds of the same pair are added up."""
    matrix = np.zeros((num_sites, num_sites))
    np.add.at(matrix, (bonds[:, 0], bonds[:, 1]), couplings)
    return matrix + matrix.T


class _RunningSum:
    """sum_k exp(-u_k) (1, d_k, d_k^2) exp(pivot) with d = u + pivot, for the largest -u met so far as the pivot."""

    def __init__(self) -> None:
        self._pivot = -inf
        self._moments = (0.0, 0.0, 0.0)

    def add(self, u: Float64[np.ndarray, " batch"]) -> None:
        """The terms of one block."""
        self._move_pivot(max(self._pivot, -float(u.min())))
        d = u + self._pivot
        weight = np.exp(-d)
        weighted = weight * d
        new = (weight.sum(), weighted.sum(), np.vdot(weighted, d))
        m0, m1, m2 = (old + float(term) for old, term in zip(self._moments, new, strict=True))
        self._moments = (m0, m1, m2)

    def cumulants(self) -> Cumulants:
        """Of everything added."""
        m0, m1, m2 = self._moments
        return Cumulants(self._pivot + log(m0), m1 / m0 - self._pivot, m2 / m0 - (m1 / m0) ** 2)

    def _move_pivot(self, pivot: float) -> None:
        """The same sums, relative to a pivot that is ``shift`` larger."""
        m0, m1, m2 = self._moments
        if m0 > 0:
            shift = pivot - self._pivot
            scale = exp(-shift)
            self._moments = (scale * m0, scale * (m1 + shift * m0), scale * (m2 + 2 * shift * m1 + shift**2 * m0))
        self._pivot = pivot


def _require_few(num_spins: int) -> None:
    if not 1 <= num_spins <= MAX_SPINS:
        msg = f"enumeration of {num_spins} spins was asked for; 1 to {MAX_SPINS} can be enumerated"
        raise ValueError(msg)


def _pair_energies(
    spins: Float64[np.ndarray, "state site"],
    couplings: Float64[np.ndarray, "site site"],
    fields: Float64[np.ndarray, " site"],
) -> Float64[np.ndarray, " state"]:
    """-1/2 s^T K s - b^T s without the diagonal of K."""
    pairs = np.triu(couplings, 1)
    return np.asarray(-((spins @ pairs) * spins).sum(1) - spins @ fields)


def _all_spins(num_spins: int) -> Float[Tensor, "state {num_spins}"]:
    """All configurations of ``num_spins`` spins, one of no spins for 0."""
    return torch.from_numpy(row_states(num_spins)).to(torch.float32)
