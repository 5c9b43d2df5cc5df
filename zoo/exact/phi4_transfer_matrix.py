"""Scalar field with quartic interaction on chains and narrow lattices, by a truncated transfer matrix.

A row of w sites, phi = (phi_1 .. phi_w), and the next one, phi', are joined by

    T(phi, phi') = exp(-V(phi) / 2 - sum_i (phi_i - phi'_i)^2 - V(phi') / 2),
    V(phi) = sum_i [m^2 phi_i^2 + g phi_i^4] + mu sum_i (phi_i - phi_(i+1))^2,

Z = tr T^L.  The sum in V goes around the row; mu counts its bonds: 1, or 2 for a row that is itself a 2 x 2 square,
whose ring of four sites has only double bonds.  A row of 2 is a ring of 2 with its bond counted twice, and L = 2 counts
the bonds between its rows twice, both by themselves.

Basis.  V is split into single sites and the rest, V = sum_i W(phi_i) - ln R(phi), with any share s of the lateral bonds
in W = m^2 phi^2 + g phi^4 + 2 s mu phi^2.  The single-site kernel, on an even grid (the trapezoidal rule, which for
functions as smooth as these has no error left), is diagonalised,

    t(x, y) = exp(-W(x) / 2 - (x - y)^2 - W(y) / 2) = sum_a l_a u_a(x) u_a(y),      l_0 > l_1 > .. > 0.

T = R^(1/2) (t x .. x t) R^(1/2) then has the non-zero spectrum of the matrix

    M_ab = prod_i sqrt(l_(a_i) l_(b_i)) int d phi R(phi) prod_i u_(a_i)(phi_i) u_(b_i)(phi_i),

a, b = lists of w levels.  It is cut down to lists with prod_i l_(a_i) / l_0 >= epsilon.  T is positive, so by Cauchy's
interlacing every eigenvalue, and Z, rises towards the exact one as epsilon falls; epsilon is divided by 10 until
ln Z does not change by 1e-9 any more.  phi -> -phi leaves two blocks, of an even or odd sum of levels.

R is a product around the ring of r(x, y) = exp(-mu (x - y)^2 + s mu (x^2 + y^2)) = sum_k q_k(x) q_k(y), so an element
of M is the trace of a product of w small matrices, done as one product of the two halves of the ring.

Moments of S_4 = sum phi^4 come from T exp(-delta S_4): a factor exp(-delta phi^4) at each site of R, in the same basis.
Every array is carried with its first two derivatives in delta.  With <k| the eigenvectors of M at delta = 0,

    d tr M^L = L sum_k l_k^(L-1) M'_kk,
    d^2 tr M^L = L sum_k l_k^(L-1) M''_kk + L sum_kl (M'_kl)^2 sum_(j=0)^(L-2) l_k^j l_l^(L-2-j).
"""

from dataclasses import dataclass
from math import comb, inf, log, log10, prod, sqrt

import numpy as np
from jaxtyping import Float64, Int

from zoo.exact.cumulants import Cumulants

MAX_ROW = 4
"""Most sites of a row: they form a ring."""
MAX_STATES = 3000
"""Most lists of levels that are kept."""
MAX_TABLE = 2**25
"""Most numbers in the table of one half of a row: some seconds, and with the derivatives a gigabyte."""
MAX_POINTS = 1200
"""Most points of the grid of one site."""

SHARE = 0.5
"""s: half of the lateral bonds' phi^2 in the single-site weight converges fastest, but for deep wells."""

_DEPTH = 45.0  # the grid ends where the potential is this far above its minimum: e^-45 = 3e-20
_MAX_LATERAL = 300.0  # of the exponent s mu 2 phi^2 at the end of the grid
_STEP = 0.4  # in units of 1 / sqrt(curvature): the trapezoidal error of a Gaussian is then e^-123
_LARGEST_CUT, _SMALLEST_CUT = 1e-5, 1e-12  # epsilon
_RANK_CUT = 1e-13  # of the ring's bond
_DEEP = 2.0  # m^4 / 4 g from which s = 0 converges faster: the wells of W are then where those of the field are
_HOPELESS = 1e3
_SMALLEST = 1e-300  # of an eigenvalue, relative to the largest
_TOLERANCE = 1e-9  # change of ln Z by the last refinement; each step leaves a 10th to a 100th of the error

Array = Float64[np.ndarray, "..."]
States = Int[np.ndarray, " state"]


@dataclass(frozen=True)
class Phi4Moments:
    """Of exp(-S) with N sites: ln Z, mean and variance of S_4 = sum phi^4, and the mean of phi^2 at a site."""

    log_z: float
    quartic: float
    quartic_variance: float
    phi_squared: float

    def cumulants(self, sites: int, coupling: float) -> Cumulants:
        """Ln Z with mean and variance of S.

        Z(t) = int exp(-t S) = t^(-N/2) Z(1) at coupling g / t, by phi -> phi / sqrt(t); so <S> = N / 2 - g <S_4> and
        var S = N / 2 - 2 g <S_4> + g^2 var S_4.
        """
        quartic = coupling * self.quartic
        variance = sites / 2 - 2 * quartic + coupling**2 * self.quartic_variance
        return Cumulants(self.log_z, sites / 2 - quartic, variance)


def row_of(shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Sites w of a row, its bond count mu, and the number L of rows; None for a lattice that is too wide.

    Sides of 1 have no bonds and are dropped; the longest side is L.
    """
    *sides, length = sorted(side for side in shape if side > 1) or [1]
    if not sides:
        return 1, 0, length
    if sides == [2, 2]:
        return 4, 2, length
    return (sides[0], 1, length) if len(sides) == 1 and sides[0] <= MAX_ROW else None


def phi4_moments(
    mass_squared: float, coupling: float, shape: tuple[int, ...], share: float | None = None
) -> Phi4Moments:
    """Ln Z and moments of exp(-S) at beta = 1, on a lattice that ``row_of`` covers; coupling > 0.

    The result does not depend on ``share``, s above, but for the truncation; None chooses it by the depth of the wells.

    Raises:
        ValueError: a lattice that is too wide, or no convergence within 1200 grid points and 3000 states.
    """
    row = row_of(shape)
    if row is None or coupling <= 0:
        msg = f"a transfer matrix for shape {shape}, coupling {coupling:g}: rows of at most {MAX_ROW} sites are covered"
        raise ValueError(msg)
    width, bonds, length = row
    if share is None:
        share = 0.0 if mass_squared < -2 * sqrt(_DEEP * coupling) else SHARE
    site = _Site(mass_squared, coupling, bonds, share)
    allowed = _TOLERANCE * max(1.0, prod(shape) / 100)
    log_trace, mean, variance, squared = (float(a) for a in _converged(site, width, length, allowed).moments(length))
    log_z = log_trace + length * width * (site.log_largest - site.lowest + site.log_bond)
    return Phi4Moments(log_z, mean, variance, squared / width)


def _converged(site: "_Site", width: int, length: int, allowed: float) -> "_Ring":
    """The ring with so many levels that more of them change ln Z by at most ``allowed``."""
    ring, cut = _Ring(site, width, _LARGEST_CUT), _LARGEST_CUT
    previous, change = ring.log_trace(length), inf
    while cut > _SMALLEST_CUT:
        cut /= 10
        finer = _Ring(site, width, cut)
        if finer.number == ring.number:
            continue  # the same lists of levels: that nothing changes says nothing
        found = finer.log_trace(length)
        before, change = change, abs(found - previous)
        if change <= allowed:
            return finer
        steps = round(log10(cut / _SMALLEST_CUT))
        if change * (change / before) ** steps > _HOPELESS * allowed:
            break  # at the rate of this step, the last one would still be far from the tolerance
        ring, previous = finer, found
    msg = f"the transfer matrix did not converge to {_TOLERANCE:g} in ln Z"
    raise ValueError(msg)


class _Site:
    """The levels of one site: l_a, u_a on the grid, relative to l_0, and the bond of the ring in its low rank."""

    def __init__(self, mass_squared: float, coupling: float, bonds: int, share: float) -> None:
        half = _half_grid(mass_squared, coupling, bonds)
        share = min(share, _MAX_LATERAL / max(_MAX_LATERAL, 2 * bonds * float(half[-1]) ** 2))
        step = 2 * half[0]
        weight = half**2 * (mass_squared + coupling * half**2 + 2 * share * bonds)
        self.lowest = float(weight.min())
        self.well = float(half[np.argmin(weight)])
        root = np.exp((self.lowest - weight) / 2)
        near, far = (step * root[:, None] * np.exp(-((half[:, None] - s * half) ** 2)) * root for s in (1, -1))
        levels = [np.linalg.eigh(near + sign * far) for sign in (1, -1)]
        values = np.concatenate([level for level, _ in levels])
        order = np.argsort(-values)
        vectors = np.concatenate(
            [np.concatenate([sign * u[::-1], u]) / sqrt(2) for sign, (_, u) in zip((1, -1), levels, strict=True)],
            axis=1,
        )
        self.log_largest = log(values.max())
        kept = order[values[order] > _SMALLEST_CUT * values.max()]
        self.log_levels = np.log(values[kept]) - self.log_largest
        self.odd = kept >= len(half)
        self.grid = np.concatenate([-half[::-1], half])
        self.waves = vectors[:, kept] * np.exp(self.log_levels / 2)  # sqrt(l_a) u_a
        self.log_bond, self.bond = self._low_rank_bond(bonds, share)

    def _low_rank_bond(self, bonds: int, share: float) -> tuple[float, Float64[np.ndarray, "point rank"]]:
        """The c and q_k(x) of r(x, y) = e^c sum_k q_k(x) q_k(y); e^c is the largest eigenvalue of r with the density.

        Between deep wells r is far above the range of floats, and without e^c the elements of M are about 1.  What is
        left out is small against the density sum_a l_a u_a^2, the largest that r is used with.
        """
        x, density = self.grid, np.maximum((self.waves**2).sum(1), 1e-300)
        exponent = -bonds * ((x[:, None] - x) ** 2 - share * (x[:, None] ** 2 + x**2))
        root = np.sqrt(density)
        values, vectors = np.linalg.eigh(root[:, None] * np.exp(exponent) * root)
        kept = values > _RANK_CUT * values[-1]
        scaled = np.sqrt(values[kept] / values[-1])
        return log(values[-1]), np.asarray(vectors[:, kept] * scaled / root[:, None])

    def matrices(self, levels: int, insert: Float64[np.ndarray, " point"]) -> Float64[np.ndarray, "a b k l"]:
        """sum_x f(x) sqrt(l_a) u_a(x) sqrt(l_b) u_b(x) q_k(x) q_l(x) for f = ``insert`` and the first levels."""
        pairs = (self.waves[:, :levels, None] * self.bond[:, None, :]).reshape(len(self.grid), -1)  # (x, a k)
        rank = self.bond.shape[1]
        product = (insert[:, None] * pairs).T @ pairs
        return np.asarray(product.reshape(levels, rank, levels, rank).transpose(0, 2, 1, 3))


def field_extent(mass_squared: float, coupling: float, depth: float) -> float:
    """The phi > 0 beyond which m^2 phi^2 + g phi^4 is more than ``depth`` above its minimum; g > 0."""
    m = mass_squared
    if m < 0:
        return sqrt((-m + 2 * sqrt(coupling * depth)) / (2 * coupling))
    return sqrt(2 * depth / (m + sqrt(m * m + 4 * coupling * depth)))


def _half_grid(mass_squared: float, coupling: float, bonds: int) -> Float64[np.ndarray, " point"]:
    """The positive points of a symmetric even grid, fine and wide enough for exp(-S) at one site."""
    m, extent = mass_squared, field_extent(mass_squared, coupling, _DEPTH)
    curvature = max(2 * m, -4 * m) + 10 * sqrt(coupling) + 4 * (1 + bonds)
    points = int(np.ceil(extent * sqrt(curvature) / _STEP))
    if 2 * points > MAX_POINTS:
        msg = (
            f"the field of one site needs {2 * points:.3g} grid points, and {MAX_POINTS} are allowed: at mass_squared "
            f"{m:g} and coupling {coupling:g} it extends to {extent:.3g}"
        )
        raise ValueError(msg)
    return np.asarray(extent * (np.arange(points) + 0.5) / points)


class _Ring:
    """M of a ring of ``width`` sites, in the lists of levels above ``cut``.

    Products of the small matrices over the first and the second half of the ring are tabulated for all pairs of lists
    of levels of a half.  M does not change when the ring is turned or reflected, so one row for each orbit is computed.
    """

    def __init__(self, site: _Site, width: int, cut: float) -> None:
        lists = _lists(site.log_levels, width, log(cut))
        if len(lists) > MAX_STATES:
            msg = (
                f"the transfer matrix needs more than {MAX_STATES} states to converge to {_TOLERANCE:g} in ln Z: the "
                "field is correlated over too long a distance, or too strongly within a row"
            )
            raise ValueError(msg)
        self.number = len(lists)
        self._width, self._site, self._levels = width, site, 1 + int(lists.max())
        first = width - width // 2
        self._left, self._left_of = np.unique(lists[:, :first], axis=0, return_inverse=True)
        # (A B)^T = B A for these symmetric matrices: the second half is tabulated from its end, as the first one is
        self._right, self._right_of = np.unique(lists[:, : first - 1 : -1], axis=0, return_inverse=True)
        table = (max(len(self._left), len(self._right)) * site.bond.shape[1]) ** 2
        if table > MAX_TABLE:
            msg = (
                f"the transfer matrix needs a table of {table:.1e} numbers to converge to {_TOLERANCE:g} in ln Z, and "
                f"{MAX_TABLE:.1e} are allowed: the field of one row is correlated too strongly"
            )
            raise ValueError(msg)
        self._images = _images(lists)
        odd = site.odd[lists].sum(1) % 2 == 1
        self._sectors = [np.flatnonzero(side) for side in (~odd, odd) if side.any()]

    def log_trace(self, length: int) -> float:
        """Ln tr M^L."""
        a, b = self._tables(np.ones_like(self._site.grid), 0)
        spectra = [np.linalg.eigvalsh(self._elements([(1, a[0], b[0])], sector)) for sector in self._sectors]
        values = np.concatenate(spectra)
        largest = values.max()
        return float(np.log(np.exp(length * np.log(_relative(values, largest))).sum()) + length * np.log(largest))

    def moments(self, length: int) -> Float64[np.ndarray, "4"]:
        """Ln tr M^L, the mean and variance of the lattice's sum of phi^4, and the mean of a row's sum of phi^2.

        phi^4 is measured from its value c in the wells, so that the variance keeps its digits where these are deep.
        """
        x, c4 = self._site.grid, self._site.well**4
        a, b = self._tables(c4 - x**4, 2)
        c, d = self._tables(x * x, 1)
        orders = (
            [(1, a[0], b[0])],
            [(1, a[1], b[0]), (1, a[0], b[1])],
            [(1, a[2], b[0]), (2, a[1], b[1]), (1, a[0], b[2])],
            [(1, c[1], b[0]), (1, a[0], d[1])],
        )
        blocks = [_Block.of([self._elements(terms, sector) for terms in orders]) for sector in self._sectors]
        largest = max(float(block.values.max()) for block in blocks)
        z0, z1, z2, squared = np.sum([block.traces(length, largest) for block in blocks], axis=0)
        mean = -z1 / z0
        quartic = mean + length * self._width * c4
        return np.array([log(z0) + length * log(largest), quartic, z2 / z0 - mean**2, squared / z0])

    def _tables(self, exponent: Float64[np.ndarray, " point"], order: int) -> tuple[list[Array], list[Array]]:
        """Products over the halves, with a factor exp(delta f) at each site, and their first derivatives in delta."""
        series = [self._site.matrices(self._levels, exponent**k) for k in range(order + 1)]
        left = _products(series, self._left)
        return left, left if np.array_equal(self._left, self._right) else _products(series, self._right)

    def _elements(self, terms: list[tuple[int, Array, Array]], sector: States) -> Float64[np.ndarray, "state state"]:
        """Sum over ``terms`` (c, A, B) of c tr(A B), between the states of ``sector``."""
        place = np.full(len(self._left_of), -1)
        place[sector] = np.arange(len(sector))
        images = place[self._images[:, sector]]  # an image of a list has the same parity
        left_of, right_of = self._left_of[sector], self._right_of[sector]
        found = np.empty((len(sector), len(sector)))
        for state in np.flatnonzero((images >= np.arange(len(sector))).all(0)):  # the first of its orbit
            product = sum(c * (a[left_of[state]] @ b[right_of[state]].T) for c, a, b in terms)
            row = np.asarray(product)[left_of, right_of]
            for image in images:
                found[image[state], image] = row
        return found


@dataclass(frozen=True)
class _Block:
    """The spectrum of one block of M, and in its eigenvectors M', diag M'' and diag of M with phi^2."""

    values: Float64[np.ndarray, " state"]
    first: Float64[np.ndarray, "state state"]
    second: Float64[np.ndarray, " state"]
    squared: Float64[np.ndarray, " state"]

    @classmethod
    def of(cls, elements: list[Float64[np.ndarray, "state state"]]) -> "_Block":
        """From M and the others in the basis of lists."""
        m, first, second, squared = elements
        values, v = np.linalg.eigh(m)
        second, squared = (np.einsum("ij,ij->j", v, a @ v) for a in (second, squared))
        return cls(values, v.T @ first @ v, second, squared)

    def traces(self, length: int, largest: float) -> Float64[np.ndarray, "4"]:
        """Tr M^L with its first two derivatives, and tr M^(L-1) M_squared; all divided by largest^L."""
        values = _relative(self.values, largest)
        power = np.exp((length - 1) * np.log(values)) / largest
        pairs = _pair_sum(values, length - 1) / largest**2
        slope = power @ np.diag(self.first)
        curvature = power @ self.second + (self.first**2 * pairs).sum()
        return np.array([largest * (power @ values), length * slope, length * curvature, power @ self.squared])


def _relative(values: Float64[np.ndarray, " state"], largest: float) -> Float64[np.ndarray, " state"]:
    """``values`` / ``largest``; what rounding left at or below 0 is made as small as a float may be."""
    return np.maximum(values / largest, _SMALLEST)


def _pair_sum(values: Float64[np.ndarray, " state"], terms: int) -> Float64[np.ndarray, "state state"]:
    """sum_(j=0)^(n-1) x^j y^(n-1-j) for all pairs of values, n terms.

    X^(n-1) (1 - r^n) / (1 - r) with X the larger of the pair and r the ratio of the smaller to it.
    """
    if terms == 0:
        return np.zeros((len(values), len(values)))
    larger, smaller = np.maximum.outer(values, values), np.minimum.outer(values, values)
    gap = np.minimum((larger - smaller) / larger, 1 - 1e-16)
    ratio = np.where(gap > 0, -np.expm1(terms * np.log1p(-gap)) / np.where(gap > 0, gap, 1.0), float(terms))
    return np.asarray(np.exp((terms - 1) * np.log(larger)) * ratio)


def _lists(log_levels: Float64[np.ndarray, " level"], width: int, log_cut: float) -> Int[np.ndarray, "state site"]:
    """All lists of ``width`` levels whose logarithms, none positive, sum to at least ``log_cut``."""
    lists, total = np.zeros((1, 0), np.int64), np.zeros(1)
    for _ in range(width):
        sums = total[:, None] + log_levels
        state, level = np.nonzero(sums >= log_cut)
        lists, total = np.column_stack([lists[state], level]), sums[state, level]
        if len(lists) > MAX_STATES:
            break  # more sites make more lists: the caller counts them
    return lists


def _images(lists: Int[np.ndarray, "state site"]) -> Int[np.ndarray, "image state"]:
    """For each rotation and reflection of the ring, the index of the image of each list."""
    width = lists.shape[1]
    base = (1 + int(lists.max())) ** np.arange(width)
    number = lists @ base
    order = np.argsort(number)
    turned = [np.roll(line, shift, 1) for line in (lists, lists[:, ::-1]) for shift in range(width)]
    return np.stack([order[np.searchsorted(number[order], image @ base)] for image in turned])


def _products(
    series: list[Array], lists: Int[np.ndarray, "list site"]
) -> list[Float64[np.ndarray, "list list element"]]:
    """The product of matrices along a half ring for each pair of lists, with derivatives; the unit for no site.

    By Leibniz's rule, (AB)' = A'B + AB' and (AB)'' = A''B + 2A'B' + AB''.
    """
    number, rank = len(lists), series[0].shape[2]
    if lists.shape[1] == 0:
        return [np.eye(rank).reshape(1, 1, -1) * (order == 0) for order in range(len(series))]
    first, *rest = ([np.asarray(m[np.ix_(levels, levels)]) for m in series] for levels in lists.T)
    result = first
    for here in rest:
        result = [
            np.asarray(sum(comb(n, j) * np.matmul(result[n - j], here[j]) for j in range(n + 1)))
            for n in range(len(series))
        ]
    return [a.reshape(number, number, -1) for a in result]
