"""The density of states of a small Potts model: how many configurations have how many equal neighbours.

    Z = sum_k g(k) e^(K k),      g(k) = number of configurations with k bonds of equal values,

counted over all q^N configurations; one count serves all temperatures.
"""

from functools import lru_cache
from math import log, prod

import numpy as np
from jaxtyping import Int, UInt8

from zoo.core.lattices import lattice_bonds
from zoo.exact.cumulants import Cumulants, cumulants_of_levels

MAX_CONFIGURATIONS = 2**24
"""Most configurations that are counted: some seconds."""

_AT_ONCE = 2**18


def potts_enumeration_cumulants(shape: tuple[int, ...], q: int, K: float, *, periodic: bool) -> Cumulants:
    """Ln Z with mean and variance of u = -K sum_<ij> delta(s_i, s_j) over all q^N configurations.

    Raises:
        ValueError: more than 2^24 configurations.
    """
    counts = density_of_states(shape, q, periodic=periodic)
    occupied = np.flatnonzero(counts)
    return cumulants_of_levels(-K * occupied, np.log(counts[occupied]))


@lru_cache(maxsize=16)
def density_of_states(shape: tuple[int, ...], q: int, *, periodic: bool) -> Int[np.ndarray, " equal"]:
    """g(k) for k = 0 .. number of bonds, on a lattice of any dimension.

    Raises:
        ValueError: more than 2^24 configurations.
    """
    n = prod(shape)
    if n * log(q) > log(MAX_CONFIGURATIONS) + 1e-9:
        msg = f"enumeration of {q}^{n} configurations was asked for; at most {MAX_CONFIGURATIONS} are listed"
        raise ValueError(msg)
    bonds = lattice_bonds(shape, periodic=periodic).numpy()
    half = n // 2
    first, second = _all_values(half, q), _all_values(n - half, q)
    across = bonds[(bonds < half).any(1) & (bonds >= half).any(1)]
    equal_first = _equal(first, bonds[(bonds < half).all(1)])
    equal_second = _equal(second, bonds[(bonds >= half).all(1)] - half)
    rows = max(1, _AT_ONCE // len(first))
    counts = np.zeros(len(bonds) + 1, dtype=np.int64)
    for start in range(0, len(second), rows):
        block = slice(start, start + rows)
        equal = equal_second[block, None] + equal_first
        for i, j in np.sort(across, 1):
            equal += second[block, j - half, None] == first[:, i]
        counts += np.bincount(equal.ravel(), minlength=len(counts))
    return counts


def _all_values(n: int, q: int) -> UInt8[np.ndarray, "state site"]:
    """All configurations of n sites, one of no sites for 0."""
    return (np.arange(q**n)[:, None] // q ** np.arange(n) % q).astype(np.uint8)


def _equal(values: UInt8[np.ndarray, "state site"], bonds: Int[np.ndarray, "bond 2"]) -> UInt8[np.ndarray, " state"]:
    """How many bonds join equal values, at most 24 sites with 6 bonds each."""
    return np.asarray((values[:, bonds[:, 0]] == values[:, bonds[:, 1]]).sum(1), dtype=np.uint8)
