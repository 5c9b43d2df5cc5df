"""The trace of a transfer matrix of a torus from its spectrum, for tori that are much longer than wide.

T commutes with the rotation R of a row, so it splits into sectors of momentum 2 pi k / w, each about 2^w / w wide.
With |a, k> = n_a^(-1/2) sum_r exp(2 pi i k r / w) R^r |a>, for one row a of each class of n_a rows, k n_a / w whole,

    T_k(a, b) = sqrt(n_a n_b) / w  sum_{t < w} exp(2 pi i k t / w) T(a, R^t b),

and sectors k and w - k have the same spectrum.  With T_k = V diag(l) V^+ and dots for derivatives in t of the weights
exp(-t u), A = V^+ T. V and B = V^+ T.. V (Daleckii and Krein, AMS Transl. 47, 1 (1965)):

    tr T^M = sum_a l_a^M,      d/dt = M sum_a l_a^(M-1) A_aa
    d^2/dt^2 = M sum_a l_a^(M-1) B_aa + M sum_ab |A_ab|^2 (l_a^(M-1) - l_b^(M-1)) / (l_a - l_b)

On the triangular lattice, with V = exp(K sum_i s_i (s'_i + s'_{i+1})), T is not symmetric but T^T = T R: with
q = 2 pi k / w,  T_k^+ = exp(iq) T_k, so exp(iq/2) T_k is Hermitian.  With its levels l,

    tr T^M = sum_k exp(-iqM/2) sum_a l_a^M,      and sectors k and w - k together have the factor 2 cos(qM/2).

Where l^M or the cosine can be negative (for the square lattice K < 0 and M odd) terms cancel and digits are lost; the
result says how many.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex128, Float64

from zoo.exact.rows import orbits, rotated, row_bonds, row_states
from zoo.exact.series import Series

Matrix = Complex128[np.ndarray, "class class"]


@dataclass(frozen=True)
class TraceDerivatives:
    """Tr T^M exp(-log_scale) with its first and second derivative in t; exponents of T measured from their maxima.

    ``cancellation`` is the sum of |terms| over the modulus of the sum: by so much the relative error is larger than
    rounding.
    """

    values: Float64[np.ndarray, "3"]
    log_scale: float
    cancellation: float

    @property
    def series(self) -> Series:
        """The three values."""
        z0, z1, z2 = (np.asarray(value) for value in self.values)
        return z0, z1, z2


def torus_trace(
    width: int, length: int, K: float, b: float, row_offset: float, *, triangular: bool = False
) -> TraceDerivatives:
    """Tr T^M for M = ``length`` >= 2, with ``row_offset`` taken from the exponent of D and |K| w from that of V.

    On the triangular lattice 2 |K| w is taken from the exponent of V.
    """
    sectors = _Sectors(width, K, b, row_offset, bonds_up=2 if triangular else 1)
    spectra = [(_multiplicity(k, width, length, triangular), *sectors.diagonalized(k)) for k in range(width // 2 + 1)]
    top = max(float(np.abs(levels).max()) for _, levels, _, _ in spectra)
    terms = [
        multiplicity * _sector_trace(levels / top, first / top, second / top, length)
        for multiplicity, levels, first, second in spectra
    ]
    values = np.sum(terms, axis=0)
    moduli = sum(abs(multiplicity) * (np.abs(levels / top) ** length).sum() for multiplicity, levels, _, _ in spectra)
    with np.errstate(divide="ignore"):
        return TraceDerivatives(values, length * float(np.log(top)), float(moduli / np.abs(values[0])))


def _multiplicity(k: int, width: int, length: int, triangular: bool) -> float:  # noqa: FBT001 - a lattice
    """The factor of sector k together with w - k: 2, or 1 where they are one; times the cosine of its phase."""
    sectors = 1 if k in (0, width / 2) else 2
    return sectors * float(np.cos(np.pi * (k * length % (2 * width)) / width)) if triangular else sectors


class _Sectors:
    """T and its derivatives in each sector of momentum."""

    def __init__(self, width: int, K: float, b: float, row_offset: float, *, bonds_up: int) -> None:
        self._width = width
        self._rows, self._sizes = orbits(width, with_reflection=False, with_flip=False)
        spins = row_states(width)[self._rows]
        exponent = K * row_bonds(spins, periodic=True) + b * spins.sum(1) - row_offset
        self._half_exponents = exponent / 2
        self._bonds_up = bonds_up
        number = bonds_up * width
        y = (
            K * (number - 2.0 * np.arange(number + 1)) - abs(K) * number
        )  # exponent of V for each number of unequal pairs
        self._table = np.stack([np.exp(y), y * np.exp(y), y * y * np.exp(y)])

    def diagonalized(self, k: int) -> tuple[Float64[np.ndarray, " level"], Matrix, Float64[np.ndarray, " level"]]:
        """Levels l of sector ``k``, with A and the diagonal of B in their basis."""
        matrix, first, second = self._series(k)
        levels, vectors = np.linalg.eigh(matrix)
        adjoint = vectors.conj().T
        return levels, adjoint @ first @ vectors, np.einsum("la,al->l", adjoint, second @ vectors).real

    def _series(self, k: int) -> tuple[Matrix, Matrix, Matrix]:
        """T_k with its derivatives: weights exp(x), x exp(x), x^2 exp(x) with x = (d_a + d_b) / 2 + y."""
        width = self._width
        allowed = k * self._sizes % width == 0
        rows, sizes, half = self._rows[allowed], self._sizes[allowed], self._half_exponents[allowed]
        sums = np.zeros((3, len(rows), len(rows)), dtype=np.complex128)
        for t in range(width):
            turns = [t, (t + 1) % width][: self._bonds_up]
            unequal = sum(np.bitwise_count(rows[:, None] ^ rotated(rows, width, turn)[None, :]) for turn in turns)
            phase = t + (self._bonds_up - 1) / 2  # half a step for the factor that makes T_k Hermitian
            sums += np.exp(2j * np.pi * k * phase / width) * self._table[:, unequal]
        d = half[:, None] + half[None, :]
        scale = np.sqrt(sizes[:, None] * sizes[None, :]) / width * np.exp(d)
        s0, s1, s2 = scale * sums
        return s0, d * s0 + s1, d * d * s0 + 2 * d * s1 + s2


def _sector_trace(
    levels: Float64[np.ndarray, " level"], first: Matrix, second: Float64[np.ndarray, " level"], M: int
) -> Float64[np.ndarray, "3"]:
    """Tr T^M and its derivatives from one sector, levels of modulus at most 1."""
    powers = levels ** (M - 1)
    curvature = powers @ second + np.sum(np.abs(first) ** 2 * _divided_differences(levels, M - 1))
    return np.array([powers @ levels, M * (powers @ np.diag(first).real), M * curvature])


def _divided_differences(levels: Float64[np.ndarray, " level"], n: int) -> Float64[np.ndarray, "level level"]:
    """(l_a^n - l_b^n) / (l_a - l_b), and n l_a^(n-1) where they are equal.

    With r the smaller over the larger it is larger^(n-1) (1 - r^n) / (1 - r), and 1 - r^n is -expm1(n ln r) for r > 0.
    """
    a, b = np.broadcast_arrays(levels[:, None], levels[None, :])
    larger = np.where(np.abs(a) >= np.abs(b), a, b)
    r = np.divide(np.where(np.abs(a) >= np.abs(b), b, a), larger, out=np.zeros(a.shape), where=larger != 0)
    positive = r > 0
    log_r = np.log(r, out=np.zeros(a.shape), where=positive)
    numerator = np.where(positive, -np.expm1(n * log_r), 1 - r**n)
    ratio = np.divide(numerator, 1 - r, out=np.full(a.shape, float(n)), where=r != 1)
    return np.asarray(larger ** (n - 1) * ratio)
