"""Sums over all configurations of at most 24 spins: the reference that needs no derivation.

Z = sum_s exp(-beta E(s)), block by block, relative to the largest term so far.
"""

from collections.abc import Callable
from math import exp, inf, log

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from zoo.exact.cumulants import Cumulants

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
    if not 1 <= num_spins <= MAX_SPINS:
        msg = f"enumeration of {num_spins} spins was asked for; 1 to {MAX_SPINS} can be enumerated"
        raise ValueError(msg)
    low = min(num_spins, _BLOCK_SPINS)
    block = torch.empty(2**low, num_spins)
    block[:, :low] = _all_spins(low)
    total = _RunningSum()
    for high in _all_spins(num_spins - low):
        block[:, low:] = high
        total.add(beta * energy(block).to(torch.float64))
    return total.cumulants()


class _RunningSum:
    """sum_k exp(-u_k) (1, d_k, d_k^2) exp(pivot) with d = u + pivot, for the largest -u met so far as the pivot."""

    def __init__(self) -> None:
        self._pivot = -inf
        self._moments = (0.0, 0.0, 0.0)

    def add(self, u: Float64[Tensor, " batch"]) -> None:
        """The terms of one block."""
        self._move_pivot(max(self._pivot, float((-u).max())))
        d = u + self._pivot
        weight = torch.exp(-d)
        new = (weight.sum(), (weight * d).sum(), (weight * d * d).sum())
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


def _all_spins(num_spins: int) -> Float[Tensor, "state {num_spins}"]:
    """All configurations of ``num_spins`` spins, one of no spins for 0."""
    return (2 * (torch.arange(2**num_spins)[:, None] >> torch.arange(num_spins) & 1) - 1).to(torch.float32)
