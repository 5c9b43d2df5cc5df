"""Sums over the spins of any graph, one site after another: the transfer matrix of strips with arbitrary couplings.

Sites are taken in an order.  When site s comes, the array A(live spins) of the partial sum gets an axis for it,

    A'(s, live) = exp(b_s s + sum_{j live} K_sj s s_j) A(live),

and each spin whose last bond this was is summed over.  What has to be kept is the frontier: the spins that still have a
bond to come.  On an open strip of width w that is w spins, on one closed along its length 2 w, since the first row
waits for the last (the trace of the transfer matrix); at b = 0 one spin is held up and Z doubled.  Any coupling, field,
boundary and diagonal is the same to it.  Kramers and Wannier, Phys. Rev. 60, 252 (1941), site by site: Morgenstern and
Binder, Phys. Rev. Lett. 43, 1615 (1979).

All terms are positive, so nothing cancels.  The elements of A span at most exp(R),

    R = max over steps of sum_{i live} 2 (sum_j |K_ij| + |b_i|),

because the flip of one live spin changes any exponent by that much; R below 600 excludes underflow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from jaxtyping import Float64, Int
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import reverse_cuthill_mckee

from zoo.exact.cumulants import Cumulants
from zoo.exact.series import Array, Series, divided, mapped, scalars, summed

MAX_FRONTIER = 23
"""Most spins that are there at once: three arrays of 2^23 numbers are 200 megabytes."""

MAX_WORK = 2.0**28
"""Largest sum over sites of 2^(spins there), for each four bonds of a site: some fifteen seconds.  Four times as much
is as fast for at most ``_IN_CACHE`` spins."""

_MAX_LOG_RANGE = 600.0  # exp(-708) is the smallest normal float
_IN_CACHE = 17
_FIXED_TRIED = 64
_PARTNERS_AT_ONCE = 4  # bonds of a new site that are taken in one pass, 2^5 products

Order = Int[np.ndarray, " site"]


@dataclass(frozen=True)
class SpinGraph:
    """u(s) = -sum_bonds K_b s_i s_j - sum_i b_i s_i with each pair at most once and no K_b = 0."""

    bonds: Int[np.ndarray, "bond 2"]
    couplings: Float64[np.ndarray, " bond"]
    fields: Float64[np.ndarray, " site"]

    @classmethod
    def of(
        cls, bonds: Int[np.ndarray, "pair 2"], couplings: Float64[np.ndarray, " pair"], fields: Array
    ) -> "SpinGraph":
        """Bonds i != j of the same pair are added up, and those that come to 0 dropped."""
        n = len(fields)
        ends = np.sort(bonds, 1)
        keys, which = np.unique(ends[:, 0] * n + ends[:, 1], return_inverse=True)
        total = np.bincount(which, couplings, minlength=len(keys)).astype(np.float64)
        kept = total != 0
        return cls(np.stack([keys // n, keys % n], 1)[kept], total[kept], np.asarray(fields, dtype=np.float64))

    def with_fixed(self, site: int) -> "SpinGraph":
        """The graph of the other spins when ``site`` is +1: its couplings are fields, and it has no bond or field."""
        touching = (self.bonds == site).any(1)
        other = self.bonds[touching].sum(1) - site
        fields = self.fields + np.bincount(other, self.couplings[touching], minlength=len(self.fields))
        return SpinGraph(self.bonds[~touching], self.couplings[~touching], fields)


@dataclass(frozen=True)
class Plan:
    """An order of sites with what it takes: spins there at once, the work in array elements, and the range R."""

    order: Order
    frontier: int
    work: float
    log_range: float

    @property
    def is_feasible(self) -> bool:
        """Whether memory, time and range are within their bounds."""
        most = 4 * MAX_WORK if self.frontier <= _IN_CACHE else MAX_WORK
        return self.frontier <= MAX_FRONTIER and self.work <= most and self.log_range < _MAX_LOG_RANGE


def best_plan(graph: SpinGraph, orders: Sequence[Order] = ()) -> Plan:
    """The feasible plan of least work among ``orders``, the sites' own order, and reverse Cuthill-McKee's."""
    n = len(graph.fields)
    candidates = [np.arange(n), *orders]
    if 0 < len(graph.bonds) <= n * MAX_FRONTIER:  # denser graphs have no narrow order
        ones = np.ones(len(graph.bonds))
        matrix = csr_matrix((ones, graph.bonds.T), shape=(n, n))
        candidates.append(reverse_cuthill_mckee((matrix + matrix.T).tocsr(), symmetric_mode=True).astype(np.int64))
    return min((_plan(graph, order) for order in candidates), key=_preference)


def site_transfer_cumulants(graph: SpinGraph, orders: Sequence[Order] = ()) -> Cumulants:
    """Ln Z with mean and variance of u; the spins are taken in the best of ``orders`` and two others.

    Raises:
        ValueError: no plan is feasible: more than 23 spins at once, more work than ``MAX_WORK``, or a range of weights
            above e^600.
    """
    plan = best_plan(graph, orders)
    if not graph.fields.any():
        graph, plan = _with_one_up(graph, plan.order)
    if not plan.is_feasible:
        msg = (
            f"site by site, {len(graph.fields)} spins need {plan.frontier} of them at once, 2^{np.log2(plan.work):.1f} "
            f"steps and weights that span e^{plan.log_range:.0f}; at most {MAX_FRONTIER}, 2^{np.log2(MAX_WORK):.0f} "
            f"and e^{_MAX_LOG_RANGE:.0f} are done"
        )
        raise ValueError(msg)
    return _Frontier().over(graph, plan.order)


def _plan(graph: SpinGraph, order: Order) -> Plan:
    """What ``order`` takes; the spins kept after step t are t + 1 less those whose last bond has come."""
    n = len(order)
    position, last = _life(graph, order)
    kept = np.arange(1, n + 1) - np.cumsum(np.bincount(last, minlength=n))
    before = np.concatenate([[0], kept[:-1]])
    earlier = np.bincount(np.maximum(*position[graph.bonds.T]), minlength=n) if len(graph.bonds) else np.zeros(n)
    work = float((2.0 ** np.minimum(before + 1, 1000) * np.maximum(1, np.ceil(earlier / _PARTNERS_AT_ONCE))).sum())
    strength = np.abs(graph.fields)
    for end in (0, 1):
        strength = strength + np.bincount(graph.bonds[:, end], np.abs(graph.couplings), minlength=n)
    ranges = np.cumsum(np.bincount(position, strength) - np.bincount(last, strength, minlength=n))
    return Plan(order, int(before.max()) + 1, work, 2 * float(max(ranges.max(), strength.max())))


def _life(graph: SpinGraph, order: Order) -> tuple[Order, Order]:
    """For each site the step at which it comes, and that of its last bond (or its own)."""
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order))
    last = position.copy()
    for i, j in (graph.bonds.T, graph.bonds.T[::-1]):
        np.maximum.at(last, i, position[j])
    return position, last


def _with_one_up(graph: SpinGraph, order: Order) -> tuple[SpinGraph, Plan]:
    """The graph with the spin fixed that saves most, one of those with the longest life in ``order``.

    Without bonds or field, that spin is then summed over as a factor of 2.
    """
    position, last = _life(graph, order)
    longest = np.argsort(position - last, kind="stable")[:_FIXED_TRIED].tolist()
    choices = [(fixed, _plan(fixed, order)) for fixed in map(graph.with_fixed, longest)]
    return min(choices, key=lambda choice: _preference(choice[1]))


def _preference(plan: Plan) -> tuple[bool, float]:
    return not plan.is_feasible, plan.work


def _chunks(partners: list[int]) -> list[list[int]]:
    """``partners`` a few at a time, at least one chunk."""
    starts = range(0, max(1, len(partners)), _PARTNERS_AT_ONCE)
    return [partners[i : i + _PARTNERS_AT_ONCE] for i in starts]


class _Frontier:
    """A(live spins) as a series of flat arrays, the newest spin's axis first, index 0 for -1 and 1 for +1.

    Exponents are measured from their maxima, which are added up in the offset.
    """

    def __init__(self) -> None:
        self._live: list[int] = []
        self._series: Series = (np.ones(1), np.zeros(1), np.zeros(1))
        self._offset = 0.0
        self._log_scale = 0.0

    def over(self, graph: SpinGraph, order: Order) -> Cumulants:
        """The sum over all spins of ``graph``, which come in this order."""
        position, last = _life(graph, order)
        partners: list[dict[int, float]] = [{} for _ in order]
        for (i, j), coupling in zip(graph.bonds.tolist(), graph.couplings.tolist(), strict=True):
            later, earlier = (i, j) if position[i] > position[j] else (j, i)
            partners[later][earlier] = coupling
        for step, site in enumerate(order.tolist()):
            couplings = partners[site]
            leaving = {j for j in couplings if last[j] == step}
            chunks = _chunks([*leaving, *(j for j in couplings if j not in leaving)])
            self._add(site, float(graph.fields[site]), {j: couplings[j] for j in chunks[0]}, leaving)
            for chunk in chunks[1:]:
                self._join({j: couplings[j] for j in chunk})
                self._sum_over(leaving.intersection(chunk))
            if last[site] == step:
                self._sum_over({site})
            self._rescale()
        return summed(scalars(mapped(np.squeeze, self._series), self._log_scale), self._offset)

    def _add(self, site: int, field: float, couplings: dict[int, float], leaving: set[int]) -> None:
        """A'(s, live) = sum over ``leaving`` of exp(b s + sum_j K_j s s_j) A(live), for a new spin s."""
        live = sorted(couplings, key=self._live.index)
        source = self._split(live)
        shape = [2, *(n for axis, n in enumerate(source[0].shape) if not (axis % 2 and live[axis // 2] in leaving))]
        target = mapped(np.zeros_like, (np.empty(shape), np.empty(shape), np.empty(shape)))
        for spins, exponent in self._exponents([field, *(couplings[j] for j in live)]):
            taken = _index(spins[1:])
            # an axis of a spin that leaves is not there in the target
            given: list[int | slice] = [spins[0], slice(None)]
            for j, index in zip(live, spins[1:], strict=True):
                given += [slice(None)] if j in leaving else [index, slice(None)]
            _accumulate([a[tuple(given)] for a in target], [a[taken] for a in source], exponent)
        self._live = [site, *(j for j in self._live if j not in leaving.intersection(live))]
        self._series = mapped(np.ravel, target)

    def _join(self, couplings: dict[int, float]) -> None:
        """A(s, live) times exp(sum_j K_j s s_j), for s the newest spin."""
        live = sorted(couplings, key=self._live.index)
        arrays = self._split([self._live[0], *live])
        for spins, exponent in self._exponents([0.0, *(couplings[j] for j in live)]):
            _multiply([a[_index(spins)] for a in arrays], exponent)

    def _sum_over(self, sites: set[int]) -> None:
        for site in sites:
            self._series = mapped(lambda a: a.sum(1).ravel(), self._split([site]))
            self._live.remove(site)

    def _rescale(self) -> None:
        top = float(self._series[0].max())
        self._series = divided(self._series, top)
        self._log_scale += float(np.log(top))

    def _split(self, sites: list[int]) -> Series:
        """The arrays with an axis of 2 for each of ``sites``, in the order of their axes, and the others between."""
        edges = [-1, *(self._live.index(site) for site in sites), len(self._live)]
        gaps = [2 ** (b - a - 1) for a, b in pairwise(edges)]
        shape = [gaps[0], *(n for gap in gaps[1:] for n in (2, gap))]
        return mapped(lambda a: a.reshape(shape), self._series)

    def _exponents(self, couplings: list[float]) -> Iterator[tuple[tuple[int, ...], float]]:
        """The exponent b s + sum_j K_j s s_j less its maximum, for all directions; ``couplings`` starts with b."""
        top = sum(abs(coupling) for coupling in couplings)
        self._offset += top
        for spins in product((0, 1), repeat=len(couplings)):
            sign = 2 * spins[0] - 1
            neighbours = sum(k * (2 * s - 1) for k, s in zip(couplings[1:], spins[1:], strict=True))
            yield spins, sign * (couplings[0] + neighbours) - top


def _index(spins: tuple[int, ...]) -> tuple[int | slice, ...]:
    """The part of a split array in which the spins apart have these indices."""
    index: list[int | slice] = [slice(None)]
    for spin in spins:
        index += [spin, slice(None)]
    return tuple(index)


def _accumulate(target: list[Array], source: list[Array], x: float) -> None:
    """``target`` plus exp(t x) ``source``, with derivatives."""
    weight = np.exp(x)
    a = weight * source[0]
    b = weight * source[1]
    target[0] += a
    target[1] += b
    target[2] += weight * source[2]
    a *= x
    target[1] += a
    a *= x
    target[2] += a
    b *= 2 * x
    target[2] += b


def _multiply(target: list[Array], x: float) -> None:
    """``target`` times exp(t x), with derivatives, in place."""
    weight = np.exp(x)
    target[2] += 2 * x * target[1] + x * x * target[0]
    target[1] += x * target[0]
    for array in target:
        np.multiply(array, weight, out=array)
