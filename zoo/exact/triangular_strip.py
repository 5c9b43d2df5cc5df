"""Strips of the triangular Ising lattice: any coupling, field and boundary, up to width 14.

The lattice is the square one with the diagonals from (r, c) to (r + 1, c + 1): Wannier, Phys. Rev. 79, 357 (1950).
Between two rows there are the bonds K sum_i s_i (s'_i + s'_{i+1}), so the transfer matrix is not symmetric.  Strips are
done site by site (``site_transfer``), where all terms are positive, while that is fast: all open ones, and tori up to a
width of about 9.  Wider tori go by the spectrum of the transfer matrix (``torus_spectrum``) where its terms do not
cancel.  A strip of width 1 is a chain, whose bonds are double when periodic: the diagonal leads to the next site too.
"""

from math import log2

import numpy as np

from zoo.core.lattices import lattice_bonds
from zoo.exact.cumulants import Cumulants
from zoo.exact.row_transfer import MAX_LOG_RANGE
from zoo.exact.rows import row_bonds, row_states
from zoo.exact.series import scalars, summed
from zoo.exact.site_transfer import SpinGraph, best_plan, site_transfer_cumulants
from zoo.exact.torus_spectrum import torus_trace
from zoo.exact.transfer_matrix import MAX_WIDTH, strip_cumulants

_MAX_CANCELLATION = 1e4  # twelve digits are left
_FAST = 25.0  # log2 of the work that takes less than a second site by site


def triangular_strip_cumulants(width: int, length: int, K: float, b: float, *, periodic: bool) -> Cumulants:
    """Ln Z with mean and variance of u = -K sum_<ij> s_i s_j - b sum_i s_i on ``width`` x ``length`` triangles.

    Both directions are periodic, or neither.  The worst, a torus of width 14, takes about a minute by the spectrum and
    up to four minutes site by site.

    Raises:
        ValueError: a width above 14, or one that would be done site by site (an open strip, or a torus in which terms
            cancel or whose weights span e^600) and is too much for it: an open strip of width 14 and length 30000, or a
            torus of about 13 x 13.
    """
    if width == 1:
        return strip_cumulants(1, length, 2 * K if periodic else K, b, periodic=periodic)
    if not 1 <= width <= MAX_WIDTH:
        msg = f"a triangular strip of width {width} at K = {K:g}, b = {b:g}; the width may be 1 to {MAX_WIDTH}"
        raise ValueError(msg)
    bonds = lattice_bonds((length, width), periodic=periodic, triangular=True).numpy()
    graph = SpinGraph.of(bonds, np.full(len(bonds), K), np.full(length * width, b))
    plan = best_plan(graph)
    fast_site_by_site = not periodic or (plan.is_feasible and log2(plan.work) < _FAST)
    if not fast_site_by_site and width * (6 * abs(K) + 2 * abs(b)) <= MAX_LOG_RANGE:
        return _by_spectrum(width, length, K, b) or site_transfer_cumulants(graph)
    return site_transfer_cumulants(graph)


def _by_spectrum(width: int, length: int, K: float, b: float) -> Cumulants | None:
    """The torus from the eigenvalues of its transfer matrix, unless too many digits cancel."""
    spins = row_states(width)
    row_offset = float((K * row_bonds(spins, periodic=True) + b * spins.sum(1)).max())
    trace = torus_trace(width, length, K, b, row_offset, triangular=True)
    if not trace.cancellation < _MAX_CANCELLATION:
        return None
    return summed(scalars(trace.series, trace.log_scale), length * (row_offset + 2 * width * abs(K)))
