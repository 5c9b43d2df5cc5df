"""Transfer matrices of Ising chains and strips: any coupling, field and boundary, up to width 14.

Kramers and Wannier, Phys. Rev. 60, 252 (1941); for one chain, Ising, Z. Phys. 31, 253 (1925).  With s, s' the spins of
two neighbouring rows, K = beta J and b = beta h, the matrix of ``row_transfer`` is

    T = D^(1/2) V D^(1/2),      V(s, s') = exp(K sum_i s_i s'_i),      D(s) = exp(K sum_<ij> s_i s_j + b sum_i s_i).

T commutes with rotation and reflection of a row (and with the flip of all spins at b = 0): of 16384 rows at width 14,
687 have to be followed around a torus.  Long tori are faster by the spectrum of T (``torus_spectrum``), used where no
terms cancel.  For the triangular lattice see ``triangular_strip``.
"""

import numpy as np

from zoo.exact.cumulants import Cumulants
from zoo.exact.row_transfer import MAX_LOG_RANGE, RowTransfer
from zoo.exact.rows import orbits, row_bonds, row_states
from zoo.exact.series import Array, Scaled, scalars, summed
from zoo.exact.torus_spectrum import torus_trace

MAX_WIDTH = 14
"""Largest width: 2^14 states of a row."""

_MAX_DENSE_WIDTH = 6  # up to here T itself is raised to its power, by squaring
_MAX_ORBIT_LENGTH = 40  # longer tori are faster by their spectrum


def strip_applies(width: int, coupling_times_beta: float, field_times_beta: float) -> bool:
    """Whether the width is at most 14, and the elements of T span less than e^600, so that none underflows."""
    log_range = width * (4 * abs(coupling_times_beta) + 2 * abs(field_times_beta))
    return 1 <= width <= MAX_WIDTH and log_range < MAX_LOG_RANGE


def strip_cumulants(
    width: int, length: int, coupling_times_beta: float, field_times_beta: float, *, periodic: bool
) -> Cumulants:
    """Ln Z with mean and variance of u = beta E on a ``width`` x ``length`` lattice; a chain has width 1.

    Both directions are periodic, or neither.  A periodic side of 2 counts each bond twice, a side of 1 has no bond.
    Cost: open, length 2^w; periodic, that times the number of orbits of a row, about 2^w / 2w, and for lengths above
    40 not growing any more, unless K < 0 and the length is odd.  On two cores the worst, width 14, takes seconds to a
    minute when periodic, a second for a length of 1000 when open.

    Raises:
        ValueError: a width or couplings for which ``strip_applies`` is false, or a length below 1.
    """
    if length < 1 or not strip_applies(width, coupling_times_beta, field_times_beta):
        msg = (
            f"a strip of width {width} and length {length} was asked for at K = {coupling_times_beta}, "
            f"b = {field_times_beta}; the width may be 1 to {MAX_WIDTH}, the length at least 1, and "
            f"width (4|K| + 2|b|) at most {MAX_LOG_RANGE:g}"
        )
        raise ValueError(msg)
    strip = _strip(width, coupling_times_beta, field_times_beta, periodic=periodic)
    if length == 1:
        terms = strip.isolated_row()
    elif width <= _MAX_DENSE_WIDTH:
        terms = strip.by_squaring(length)
    elif not periodic:
        terms = strip.row_by_row(length)
    elif length > _MAX_ORBIT_LENGTH and (coupling_times_beta >= 0 or length % 2 == 0):
        terms = _by_spectrum(width, length, coupling_times_beta, field_times_beta, strip.row_offset)
    else:
        rows = orbits(width, with_reflection=True, with_flip=field_times_beta == 0)
        terms = strip.by_orbits(*rows, length)
    return summed(terms, offset=strip.offset(length))


def _strip(width: int, K: float, b: float, *, periodic: bool) -> RowTransfer:
    """T with its columns in two halves."""
    spins = row_states(width)
    row_exponent = K * row_bonds(spins, periodic=periodic) + b * spins.sum(1)
    return RowTransfer(row_exponent, (_kernel(width - width // 2, K), _kernel(width // 2, K)), periodic=periodic)


def _by_spectrum(width: int, length: int, K: float, b: float, row_offset: float) -> Scaled:
    """Tr T^M of a periodic strip from the eigenvalues of T."""
    trace = torus_trace(width, length, K, b, row_offset)
    return scalars(trace.series, trace.log_scale)


def _kernel(width: int, K: float) -> Array:
    """K sum_i s_i s'_i for all pairs of rows of ``width`` spins, possibly none."""
    spins = row_states(width)
    return np.asarray(K * (spins @ spins.T))
