"""Strips of the Potts model by transfer matrix: any coupling and boundary, rows of at most 16384 states.

With s, s' the values of two neighbouring rows and K = beta J, the matrix of ``row_transfer`` is

    T = D^(1/2) V D^(1/2),      V(s, s') = exp(K sum_i delta(s_i, s'_i)),      D(s) = exp(K sum_<ij> delta(s_i, s_j)).

T commutes with rotation and reflection of a row and with the q! permutations of the values, so few rows have to be
followed around a torus: 46 of 2187 for q = 3 and width 7.
"""

from functools import lru_cache
from math import log

import numpy as np
from jaxtyping import Float64, Int

from zoo.exact.cumulants import Cumulants
from zoo.exact.log_weights import MAX_EXPONENT, cumulants_of, weights_of
from zoo.exact.row_transfer import MAX_LOG_RANGE, RowTransfer
from zoo.exact.series import summed

MAX_ROW_STATES = 2**14
"""Largest q^width."""

MAX_OPERATIONS = 2e12
"""Most multiplications of a torus, some three minutes: 6 for each element of a kernel and of a vector."""

_MAX_DENSE_STATES = 128  # up to here T itself is raised to its power, by squaring

Rows = Int[np.ndarray, "state width"]


def potts_strip_cumulants(width: int, length: int, q: int, K: float, *, periodic: bool) -> Cumulants:
    """Ln Z with mean and variance of u = -K sum_<ij> delta(s_i, s_j) on a ``width`` x ``length`` lattice.

    Both directions are periodic, or neither.  A periodic side of 2 counts each bond twice, a side of 1 has no bond.

    Raises:
        ValueError: q^width above 16384; or above 128, and 2 width |K| above 600 or a torus of more than
            ``MAX_OPERATIONS``; or 2 width length |K| above 1e100.
    """
    is_narrow = width * log(q) <= log(_MAX_DENSE_STATES) + 1e-9
    if width * log(q) > log(MAX_ROW_STATES) + 1e-9 or (2 * width * abs(K) > MAX_LOG_RANGE and not is_narrow):
        msg = (
            f"a transfer matrix takes rows of at most {MAX_ROW_STATES} states and, above {_MAX_DENSE_STATES} of them, "
            f"2 side beta |J| of at most {MAX_LOG_RANGE:g}; q^side is {q}^{width} at beta J = {K:g}"
        )
        raise ValueError(msg)
    if not 2 * width * length * abs(K) < MAX_EXPONENT:
        msg = f"2 sites beta |J| is {2 * width * length * abs(K):g}, of at most {MAX_EXPONENT:g}"
        raise ValueError(msg)
    values = np.arange(q**width)[:, None] // q ** np.arange(width) % q
    row_exponent = K * _row_bonds(values, periodic=periodic)
    if length == 1:
        return cumulants_of(weights_of(row_exponent))
    parts = (width - width // 2, width // 2)
    strip = RowTransfer(row_exponent, (_kernel(parts[0], q, K), _kernel(parts[1], q, K)), periodic=periodic)
    if is_narrow:
        return strip.by_squaring(length)
    if not periodic:
        return summed(strip.row_by_row(length), strip.offset(length))
    rows = potts_orbits(width, q)
    _require_few_operations(len(rows[0]) * (length - length // 2) * q**width * 6 * (q ** parts[0] + q ** parts[1]))
    return summed(strip.by_orbits(*rows, length), strip.offset(length))


@lru_cache(maxsize=16)
def potts_orbits(width: int, q: int) -> tuple[Int[np.ndarray, " orbit"], Int[np.ndarray, " orbit"]]:
    """One row of each class under rotation, reflection and permutation of the values; and the class sizes.

    The first of a class is the smallest of its images, each with its values renamed in the order of appearance.
    """
    place = q ** np.arange(width)
    values = np.arange(q**width)[:, None] // place % q
    images = [np.roll(row, steps, 1) for row in (values, values[:, ::-1]) for steps in range(width)]
    smallest = np.min([_renamed(image, q) @ place for image in images], axis=0)
    return np.unique(smallest, return_counts=True)


def _renamed(values: Rows, q: int) -> Rows:
    """Each row with its values renamed 0, 1, 2 .. in the order of appearance."""
    states = np.arange(len(values))
    names = np.full((len(values), q), -1)
    known = np.zeros(len(values), dtype=np.int64)
    renamed = np.empty_like(values)
    for site in range(values.shape[1]):
        new = names[states, values[:, site]] < 0
        names[states[new], values[new, site]] = known[new]
        known += new
        renamed[:, site] = names[states, values[:, site]]
    return renamed


def _row_bonds(values: Rows, *, periodic: bool) -> Float64[np.ndarray, " state"]:
    """sum_<ij> delta(s_i, s_j) along each row; a periodic row of 2 counts its bond twice, a row of 1 has none."""
    if values.shape[1] == 1:
        return np.zeros(len(values))
    neighbours = np.roll(values, -1, 1) if periodic else values[:, 1:]
    return np.asarray((values[:, : neighbours.shape[1]] == neighbours).sum(1), dtype=np.float64)


def _kernel(width: int, q: int, K: float) -> Float64[np.ndarray, "state state"]:
    """K sum_i delta(s_i, s'_i) for all pairs of rows of ``width`` sites, possibly none."""
    values = np.arange(q**width)[:, None] // q ** np.arange(width) % q
    return np.asarray(K * (values[:, None] == values).sum(2), dtype=np.float64)


def _require_few_operations(operations: float) -> None:
    if operations > MAX_OPERATIONS:
        msg = (
            f"the transfer matrix of this torus takes {operations:.1e} multiplications, of at most {MAX_OPERATIONS:.0e}"
        )
        raise ValueError(msg)
