"""Integrals of exp(-u) over an interval or a rectangle, in logarithms, to a tolerance that is checked.

The domain is cut into cells.  Each cell has two Gauss-Legendre product rules: a coarse one on the cell, and a fine one
on its 2^d halves.  A cell is halved along every axis while the two disagree, in any of the integrals asked for, by more
than its share of 1e-12 of the total (or than the rounding of u and x, where u is so large or so steep that this is
more; above 1e-6 it is refused), or while its nodes are too far apart to exclude a peak between them that would matter.
What is returned is the sum of the fine rules, so its error is well below the disagreement.

Peaks: where u has a minimum among the nodes of a cell, and D is the second difference there, a parabola through evenly
spaced nodes is lower between them by at most D / 8; D / 2 is reckoned, and the first difference at the end of a cell.
More than 1 leaves the peak of exp(-u) unresolved, and the cell is halved unless even a peak of that height would be
e^-50 of the largest one.  This finds narrow peaks of a u that is itself smooth on the first cells.  A narrow feature of
u that no node has seen is not found by any rule: callers who know of such features name them as ``spots``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float64

from zoo.exact.cumulants import Cumulants
from zoo.specs.errors import NumericalError

RELATIVE_TOLERANCE = 1e-12
"""Largest disagreement of two successive refinements, relative to the integral."""

_NODES = {1: 16, 2: 20}  # of one axis of one cell
_FIRST_CELLS = {1: 32, 2: 8}  # along one axis
_MAX_CELLS = {1: 20_000, 2: 3_000}
_MAX_ROUNDS = 200
_LARGEST = 1e300  # stands for an infinite u, so that differences are numbers
_NEGLIGIBLE = 50.0  # e^-50 is 2e-22
_ROUNDING = 16 * float(np.finfo(np.float64).eps)
_MAX_ROUNDING = 1e-6

LineFunction = Callable[[Float64[np.ndarray, " point"]], Float64[np.ndarray, " point"]]
PlaneFunction = Callable[[Float64[np.ndarray, "point 2"]], Float64[np.ndarray, " point"]]


@dataclass(frozen=True)
class Spots:
    """Places where u varies on a short length: cells start no larger than 4 such lengths, or than their distance."""

    centers: Float64[np.ndarray, "spot axis"]
    lengths: Float64[np.ndarray, " spot"]


NO_SPOTS = Spots(np.zeros((0, 1)), np.zeros(0))


def line_cumulants(u: LineFunction, low: float, high: float) -> Cumulants:
    """Ln Z with mean and variance of u, for Z = integral of exp(-u(x)) dx from ``low`` to ``high``, both finite.

    ``u`` maps points, shape (point,), to reduced energies of that shape, +inf where the density vanishes.

    Raises:
        NumericalError: u is NaN or -inf somewhere, infinite everywhere, or the refinement does not converge.
    """
    return line_integrals(u, low, high, {})[0]


def line_means(u: LineFunction, low: float, high: float, observables: Mapping[str, LineFunction]) -> dict[str, float]:
    """The mean of each observable under exp(-u) / Z on the interval; steps are found by halving.

    Raises:
        NumericalError: as ``line_cumulants``, or an observable that is not finite.
    """
    return line_integrals(u, low, high, observables)[1]


def line_integrals(
    u: LineFunction, low: float, high: float, observables: Mapping[str, LineFunction], spots: Spots = NO_SPOTS
) -> tuple[Cumulants, dict[str, float]]:
    """What ``line_cumulants`` and ``line_means`` return, from one refinement."""
    functions = tuple(_on_points(f) for f in observables.values())
    cells = _refined(_Evaluation(_on_points(u), functions), (low,), (high,), spots)
    return cells.cumulants(), dict(zip(observables, cells.means(), strict=True))


def plane_cumulants(u: PlaneFunction, low: tuple[float, float], high: tuple[float, float]) -> Cumulants:
    """Ln Z with mean and variance of u, for Z = integral of exp(-u) over the rectangle from ``low`` to ``high``.

    ``u`` maps points, shape (point, 2), to reduced energies, shape (point,), +inf where the density vanishes.  Edges
    at which u jumps must be sides of the rectangle: along any other curve the refinement does not converge.

    Raises:
        NumericalError: u is NaN or -inf somewhere, infinite everywhere, or the refinement does not converge.
    """
    return plane_integrals(u, low, high, {})[0]


def plane_means(
    u: PlaneFunction, low: tuple[float, float], high: tuple[float, float], observables: Mapping[str, PlaneFunction]
) -> dict[str, float]:
    """The mean of each observable, a continuous function, under exp(-u) / Z on the rectangle.

    Raises:
        NumericalError: as ``plane_cumulants``, or an observable that is not finite.
    """
    return plane_integrals(u, low, high, observables)[1]


def plane_integrals(
    u: PlaneFunction,
    low: tuple[float, float],
    high: tuple[float, float],
    observables: Mapping[str, PlaneFunction],
    spots: Spots = NO_SPOTS,
) -> tuple[Cumulants, dict[str, float]]:
    """What ``plane_cumulants`` and ``plane_means`` return, from one refinement."""
    cells = _refined(_Evaluation(u, tuple(observables.values())), low, high, spots)
    return cells.cumulants(), dict(zip(observables, cells.means(), strict=True))


class _Function(Protocol):
    def __call__(self, x: Float64[np.ndarray, "point axis"], /) -> Float64[np.ndarray, " point"]: ...


def _on_points(f: LineFunction) -> _Function:
    """A function of numbers as one of points with a single coordinate."""
    return lambda x: f(x[:, 0])


class _Rule:
    """Gauss-Legendre nodes of the unit cell of d dimensions, with its 2^d halves."""

    def __init__(self, dimension: int) -> None:
        self.shape = (_NODES[dimension],) * dimension
        x, w = np.polynomial.legendre.leggauss(_NODES[dimension])
        self.nodes = np.array(list(product((x + 1) / 2, repeat=dimension)))  # (node, axis)
        self.weights = np.prod(list(product(w / 2, repeat=dimension)), axis=1)
        self.corners = np.array(list(product((0.0, 0.5), repeat=dimension)))  # (half, axis)
        self.fine_nodes = (self.corners[:, None] + self.nodes / 2).reshape(-1, dimension)
        self.fine_weights = np.tile(self.weights, len(self.corners)) / len(self.corners)


@dataclass(frozen=True)
class _Values:
    """u and the observables on the nodes of cells: shapes (cell, node) and (observable, cell, node)."""

    u: Float64[np.ndarray, "cell node"]
    observables: Float64[np.ndarray, "observable cell node"]

    def integrals(
        self, log_weights: Float64[np.ndarray, "cell node"], pivot: float
    ) -> tuple[Float64[np.ndarray, "integral cell"], Float64[np.ndarray, "integral cell"]]:
        """Integrals of exp(-u + pivot) times 1, d, d^2 (d = u - pivot) and the observables f; and those of |f|."""
        w = np.exp(pivot - self.u + log_weights)
        d = np.where(w > 0, self.u - pivot, 0.0)
        powers = np.stack([(w * d**k).sum(1) for k in range(3)])
        signed, absolute = (np.einsum("cn,fcn->fc", w, f) for f in (self.observables, np.abs(self.observables)))
        return np.concatenate([powers, signed]), np.concatenate([powers, absolute])

    def __getitem__(self, index: Bool[np.ndarray, " cell"]) -> "_Values":
        return _Values(self.u[index], self.observables[:, index])

    def join(self, other: "_Values") -> "_Values":
        """These cells, then the others."""
        return _Values(np.concatenate([self.u, other.u]), np.concatenate([self.observables, other.observables], axis=1))

    def halves(self, number: int) -> "_Values":
        """Values on the fine nodes of cells as values on the coarse nodes of their halves."""
        shape = (self.u.shape[0] * number, self.u.shape[1] // number)
        return _Values(self.u.reshape(shape), self.observables.reshape(len(self.observables), *shape))


@dataclass(frozen=True)
class _Cells:
    """Cells with a corner and a size each, and the values on their coarse and fine nodes."""

    rule: _Rule
    low: Float64[np.ndarray, "cell axis"]
    size: Float64[np.ndarray, "cell axis"]
    coarse: _Values
    fine: _Values

    @property
    def pivot(self) -> float:
        """The smallest u met so far."""
        return float(min(self.coarse.u.min(), self.fine.u.min()))

    def unresolved(self) -> Bool[np.ndarray, " cell"]:
        """Whether each cell has to be halved."""
        pivot = self.pivot
        volume = np.log(self.size).sum(1)[:, None]
        coarse, _ = self.coarse.integrals(volume + np.log(self.rule.weights), pivot)
        fine, absolute = self.fine.integrals(volume + np.log(self.rule.fine_weights), pivot)
        share = absolute.sum(1, keepdims=True) / len(self.low)
        allowed = RELATIVE_TOLERANCE / 2 * (share + absolute) + self.rounding() * (absolute + absolute[:1])
        disagree = (np.abs(coarse - fine) > allowed).any(0)
        return np.asarray(disagree | self._may_hide_a_peak(pivot))

    def rounding(self) -> Float64[np.ndarray, " cell"]:
        """Relative error of exp(-u) in each cell: u has 16 digits, and x, which moves u by about 1 along the cell."""
        digits_lost = (np.maximum(np.abs(self.low), np.abs(self.low + self.size)) / self.size).max(1)
        return np.asarray(_ROUNDING * (1 + abs(self.pivot) + digits_lost / 4))

    def _may_hide_a_peak(self, pivot: float) -> Bool[np.ndarray, " cell"]:
        u = np.minimum(self.coarse.u, _LARGEST).reshape(-1, *self.rule.shape)
        depth = np.zeros_like(u)
        for axis in range(1, u.ndim):
            step = np.diff(u, axis=axis)
            end = np.full_like(u.take([0], axis), np.inf)
            ahead, behind = np.concatenate([step, end], axis), np.concatenate([end, -step], axis)
            curved = np.where(np.isfinite(ahead + behind), (ahead + behind) / 2, np.minimum(ahead, behind))
            depth += np.where(np.minimum(ahead, behind) < 0, -np.inf, curved)  # -inf: the lower neighbour is asked
        hidden = (depth > 1) & (u - depth < pivot + _NEGLIGIBLE)
        return np.asarray(hidden.reshape(len(u), -1).any(1))

    def cumulants(self) -> Cumulants:
        """Of u, by the fine rule."""
        log_z, p = self._normalised()
        mean = float((p * np.where(p > 0, self.fine.u, 0.0)).sum())
        deviation = np.where(p > 0, self.fine.u - mean, 0.0)
        return Cumulants(log_z, mean, float((p * deviation**2).sum()))

    def mean_rounding(self) -> float:
        """The relative error of exp(-u), averaged over the cells with their probabilities."""
        _, p = self._normalised()
        return float(p.sum(1) @ self.rounding())

    def means(self) -> list[float]:
        """Of the observables, by the fine rule."""
        _, p = self._normalised()
        return [float((p * f).sum()) for f in self.fine.observables]

    def _normalised(self) -> tuple[float, Float64[np.ndarray, "cell node"]]:
        """Ln Z and the probability of each fine node."""
        log_terms = np.log(self.size).sum(1)[:, None] + np.log(self.rule.fine_weights) - self.fine.u
        largest = log_terms.max()
        terms = np.exp(log_terms - largest)
        return float(largest + np.log(terms.sum())), terms / terms.sum()


def _refined(evaluate: "_Evaluation", low: tuple[float, ...], high: tuple[float, ...], spots: Spots) -> _Cells:
    """Cells of the box on which the coarse and the fine rule agree."""
    dimension = len(low)
    rule = _Rule(dimension)
    first, size = _first_cells(low, high, rule, spots)
    cells = _Cells(rule, first, size, evaluate(first, size, rule.nodes), evaluate(first, size, rule.fine_nodes))
    for _ in range(_MAX_ROUNDS):
        split = cells.unresolved() if cells.pivot < np.inf else np.ones(len(cells.low), np.bool_)
        if not split.any():
            return _precise(cells)
        if len(cells.low) + (len(rule.corners) - 1) * split.sum() > _MAX_CELLS[dimension]:
            break
        cells = _halved(cells, split, evaluate)
    msg = (
        f"the integral of exp(-u) from {low} to {high} did not converge to {RELATIVE_TOLERANCE:g} within "
        f"{_MAX_CELLS[dimension]} cells: exp(-u) has too narrow a peak, vanishes everywhere, or jumps"
    )
    raise NumericalError(msg)


def _first_cells(
    low: tuple[float, ...], high: tuple[float, ...], rule: _Rule, spots: Spots
) -> tuple[Float64[np.ndarray, "cell axis"], Float64[np.ndarray, "cell axis"]]:
    """Corners and sizes of cells that fill the box: equal ones, halved as the spots ask."""
    start, extent = np.asarray(low, np.float64), np.subtract(high, low, dtype=np.float64)
    if not (np.isfinite(start).all() and np.isfinite(extent).all() and (extent > 0).all()):
        msg = f"integral asked from {low} to {high}; finite limits with low < high were expected"
        raise NumericalError(msg)
    dimension = len(low)
    number = _FIRST_CELLS[dimension]
    size = np.tile(extent / number, (number**dimension, 1))
    first = start + np.array(list(product(range(number), repeat=dimension))) * size
    for _ in range(_MAX_ROUNDS):
        large = np.zeros(len(first), np.bool_)
        for center, length in zip(spots.centers, spots.lengths, strict=True):
            distance = np.maximum(np.maximum(first - center, center - first - size), 0).max(1)
            large |= size.max(1) > np.maximum(4 * length, distance)
        if not large.any() or len(first) > _MAX_CELLS[dimension]:
            break
        corners, halves = _split(first[large], size[large], rule)
        first, size = np.concatenate([first[~large], corners]), np.concatenate([size[~large], halves])
    return first, size


def _split(
    low: Float64[np.ndarray, "cell axis"], size: Float64[np.ndarray, "cell axis"], rule: _Rule
) -> tuple[Float64[np.ndarray, "half axis"], Float64[np.ndarray, "half axis"]]:
    """Corners and sizes of the halves of cells."""
    corners = (low[:, None] + size[:, None] * rule.corners).reshape(-1, low.shape[1])
    return corners, np.repeat(size / 2, len(rule.corners), axis=0)


def _precise(cells: _Cells) -> _Cells:
    """The cells, in which u must be known well enough that exp(-u) has six digits."""
    if cells.mean_rounding() > _MAX_ROUNDING:
        msg = f"u, {cells.pivot:g} at its minimum, is so large or steep that 16 digits leave too few of exp(-u)"
        raise NumericalError(msg)
    return cells


@dataclass(frozen=True)
class _Evaluation:
    """u and the observables as functions of cells."""

    u: _Function
    observables: tuple[_Function, ...]

    def __call__(
        self,
        low: Float64[np.ndarray, "cell axis"],
        size: Float64[np.ndarray, "cell axis"],
        nodes: Float64[np.ndarray, "node axis"],
    ) -> _Values:
        x = (low[:, None] + size[:, None] * nodes).reshape(-1, low.shape[1])
        shape = (len(low), len(nodes))
        u = np.asarray(self.u(x), np.float64)
        observables = np.array([f(x) for f in self.observables], np.float64).reshape(len(self.observables), *shape)
        if np.isnan(u).any() or (u == -np.inf).any() or not np.isfinite(observables).all():
            msg = "the reduced energy is NaN or -inf, or an observable is not finite, inside the range of integration"
            raise NumericalError(msg)
        return _Values(u.reshape(shape), observables)


def _halved(cells: _Cells, split: Bool[np.ndarray, " cell"], evaluate: _Evaluation) -> _Cells:
    """The cells with those marked in ``split`` replaced by their halves, whose coarse nodes were the fine ones."""
    rule, keep = cells.rule, ~split
    low, size = _split(cells.low[split], cells.size[split], rule)
    return _Cells(
        rule,
        np.concatenate([cells.low[keep], low]),
        np.concatenate([cells.size[keep], size]),
        cells.coarse[keep].join(cells.fine[split].halves(len(rule.corners))),
        cells.fine[keep].join(evaluate(low, size, rule.fine_nodes)),
    )
