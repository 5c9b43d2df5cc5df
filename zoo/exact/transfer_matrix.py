"""Transfer matrices of Ising chains and strips: any coupling, field and boundary, up to width 14.

Kramers and Wannier, Phys. Rev. 60, 252 (1941); for one chain, Ising, Z. Phys. 31, 253 (1925).  With s, s' the spins of
two neighbouring rows, K = beta J and b = beta h, the matrix of ``row_transfer`` is

    T = D^(1/2) V D^(1/2),      V(s, s') = exp(K sum_i s_i s'_i),      D(s) = exp(K sum_<ij> s_i s_j + b sum_i s_i).

T commutes with rotation and reflection of a row (and with the flip of all spins at b = 0): of 16384 rows at width 14,
687 have to be followed around a torus.  Long tori are faster by the spectrum of T (``torus_spectrum``), used where no
terms cancel.  For the triangular lattice see ``triangular_strip``.
"""

import numpy as np

from zoo.core.lattices import lattice_bonds
from zoo.exact.cumulants import Cumulants
from zoo.exact.log_weights import MAX_EXPONENT, cumulants_of, weights_of
from zoo.exact.row_transfer import MAX_LOG_RANGE, RowTransfer
from zoo.exact.rows import orbits, row_bonds, row_states
from zoo.exact.series import Array, scalars, summed
from zoo.exact.site_transfer import SpinGraph, site_transfer_cumulants
from zoo.exact.torus_spectrum import torus_trace

MAX_WIDTH = 14
"""Largest width: 2^14 states of a row."""

MAX_ORBIT_OPERATIONS = 2.4e12
"""Most multiplications of a torus orbit by orbit, some three minutes: 6 for each element of kernel and vector."""

_MAX_DENSE_WIDTH = 6  # up to here T itself is raised to its power, by squaring
_MAX_ORBIT_LENGTH = 40  # longer tori are faster by their spectrum
_MAX_CANCELLATION = 1e4  # twelve digits are left


def strip_applies(width: int, coupling_times_beta: float, field_times_beta: float) -> bool:
    """Whether rows can be done as a whole: a width of at most 14, and elements of T that span less than e^600."""
    log_range = width * (4 * abs(coupling_times_beta) + 2 * abs(field_times_beta))
    return 1 <= width <= MAX_WIDTH and log_range < MAX_LOG_RANGE


def strip_cumulants(
    width: int, length: int, coupling_times_beta: float, field_times_beta: float, *, periodic: bool
) -> Cumulants:
    """Ln Z with mean and variance of u = beta E on a ``width`` x ``length`` lattice; a chain has width 1.

    Both directions are periodic, or neither.  A periodic side of 2 counts each bond twice, a side of 1 has no bond.
    Up to width 6 the cost grows as log(length), at any temperature.  From 7 on: open, as length 2^w; periodic, as that
    times the number of orbits of a row, about 2^w / 2w, and for lengths above 40 not growing any more, unless terms
    cancel (K < 0, an odd length, low temperature).  The worst, width 14, takes up to a minute when periodic and a
    second for a length of 1000 when open; where terms cancel up to four minutes, for a length of some hundred.
    Where elements of T would span e^600 the strip is done site by site, which takes up to four minutes.

    Raises:
        ValueError: a width above 14 or a length below 1; a torus where terms cancel that is too long; a torus so cold
            that it is done site by site, and too wide for that; an exponent above 1e100.
    """
    K, b = coupling_times_beta, field_times_beta
    if length < 1 or not 1 <= width <= MAX_WIDTH or not width * length * (2 * abs(K) + abs(b)) < MAX_EXPONENT:
        msg = (
            f"a strip of width {width} and length {length} was asked for at K = {K}, b = {b}; the width may be 1 to "
            f"{MAX_WIDTH}, the length at least 1, and width length (2|K| + |b|) at most {MAX_EXPONENT:g}"
        )
        raise ValueError(msg)
    spins = row_states(width)
    if length == 1:
        return cumulants_of(weights_of(K * row_bonds(spins, periodic=periodic) + b * spins.sum(1)))
    if width <= _MAX_DENSE_WIDTH:
        return _strip(width, K, b, periodic=periodic).by_squaring(length)
    if not strip_applies(width, K, b):
        bonds = lattice_bonds((length, width), periodic=periodic).numpy()
        return site_transfer_cumulants(SpinGraph.of(bonds, np.full(len(bonds), K), np.full(length * width, b)))
    strip = _strip(width, K, b, periodic=periodic)
    if not periodic:
        return summed(strip.row_by_row(length), strip.offset(length))
    return _torus(strip, width, length, K, b)


def _torus(strip: RowTransfer, width: int, length: int, K: float, b: float) -> Cumulants:
    """Tr T^M by the eigenvalues of T or orbit by orbit, whichever is faster and keeps the digits."""
    if length > _MAX_ORBIT_LENGTH:
        trace = torus_trace(width, length, K, b, strip.row_offset)
        if trace.cancellation < _MAX_CANCELLATION:
            return summed(scalars(trace.series, trace.log_scale), strip.offset(length))
    rows = orbits(width, with_reflection=True, with_flip=b == 0)
    operations = (
        len(rows[0]) * (length - length // 2) * 2.0**width * 6 * (2 ** (width // 2) + 2 ** (width - width // 2))
    )
    if operations > MAX_ORBIT_OPERATIONS:
        msg = (
            f"a frustrated torus of width {width} and length {length} at K = {K:g}, b = {b:g}, where the eigenvalues "
            f"of the transfer matrix cancel, takes {operations:.1e} multiplications, of at most "
            f"{MAX_ORBIT_OPERATIONS:.0e}"
        )
        raise ValueError(msg)
    return summed(strip.by_orbits(*rows, length), strip.offset(length))


def _strip(width: int, K: float, b: float, *, periodic: bool) -> RowTransfer:
    """T with its columns in two halves."""
    spins = row_states(width)
    row_exponent = K * row_bonds(spins, periodic=periodic) + b * spins.sum(1)
    return RowTransfer(row_exponent, (_kernel(width - width // 2, K), _kernel(width // 2, K)), periodic=periodic)


def _kernel(width: int, K: float) -> Array:
    """K sum_i s_i s'_i for all pairs of rows of ``width`` spins, possibly none."""
    spins = row_states(width)
    return np.asarray(K * (spins @ spins.T))
