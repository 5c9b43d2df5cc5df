"""Sums over the spins of any graph, one site after another: the transfer matrix of strips with arbitrary couplings.

Sites are taken in an order.  When site s comes, the array A(live spins) of the partial sum gets an axis for it,

    A'(s, live) = exp(b_s s + sum_{j live} K_sj s s_j) A(live),

and each spin whose last bond this was is summed over.  What has to be kept is the frontier: the spins that still have a
bond to come.  On an open strip of width w that is w spins, on one closed along its length 2 w, since the first row
waits for the last (the trace of the transfer matrix).  Any coupling, field, boundary and diagonal is the same to it.
Kramers and Wannier, Phys. Rev. 60, 252 (1941), site by site: Morgenstern and Binder, Phys. Rev. Lett. 43, 1615 (1979).

A frontier that is too wide is narrowed by fixing spins that are live for long: for each of their states they are fields
on their neighbours, and the parts add up.  At b = 0 the first of them is held up and Z doubled.

A is kept as its logarithm with mean and variance of the exponent (``log_weights``), so nothing overflows, underflows or
cancels, however cold the spins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import log

import numpy as np
from jaxtyping import Float64, Int
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import reverse_cuthill_mckee

from zoo.exact.cumulants import Cumulants
from zoo.exact.log_weights import MAX_EXPONENT, LogWeights, added
from zoo.exact.series import Array

MAX_FRONTIER = 23
"""Most spins that are there at once: some ten arrays of 2^22 to 2^23 numbers, a gigabyte."""

MAX_WORK = 2.0**33.5
"""Largest sum over parts and sites of 2^(spins there): some four to five minutes."""

MAX_BONDS_PER_SITE = 40
"""So many bonds for each site are too many for any order."""

_IN_CACHE = 17  # a wider frontier is narrowed by fixing spins
_FIXED_TRIED = 64

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

    def with_fixed(self, sites: list[int], values: Sequence[float]) -> tuple["SpinGraph", float]:
        """The graph with ``values`` for some spins, which now have no bond and no field; and what they add to -u.

        Their bonds are fields on the others.  As free spins of the new graph they count a factor of 2 each.
        """
        s = np.zeros(len(self.fields))
        s[sites] = values
        (i, j), open_ended = self.bonds.T, s == 0
        fields = self.fields * open_ended
        for one, other in ((i, j), (j, i)):
            fields += np.bincount(other, self.couplings * s[one] * open_ended[other], minlength=len(s))
        kept = open_ended[i] & open_ended[j]
        constant = float(self.couplings @ (s[i] * s[j]) + self.fields @ s)
        return SpinGraph(self.bonds[kept], self.couplings[kept], fields), constant

    @property
    def strength(self) -> float:
        """The largest |u|, a bound: sum of all |K| and |b|."""
        return float(np.abs(self.couplings).sum() + np.abs(self.fields).sum())


@dataclass(frozen=True)
class Plan:
    """An order of sites, the spins fixed before, and what it takes: spins there at once, work in array elements."""

    order: Order
    fixed: tuple[int, ...]
    frontier: int
    work: float

    @property
    def is_feasible(self) -> bool:
        """Whether memory and time are within their bounds."""
        return self.frontier <= MAX_FRONTIER and self.work <= MAX_WORK


def best_plan(graph: SpinGraph, orders: Sequence[Order] = ()) -> Plan:
    """The plan of least work among ``orders``, the sites' own order, and reverse Cuthill-McKee's."""
    n = len(graph.fields)
    candidates = [np.arange(n), *orders]
    if 0 < len(graph.bonds) <= n * MAX_BONDS_PER_SITE:  # denser graphs have no narrow order
        ones = np.ones(len(graph.bonds))
        matrix = csr_matrix((ones, graph.bonds.T), shape=(n, n))
        candidates.append(reverse_cuthill_mckee((matrix + matrix.T).tocsr(), symmetric_mode=True).astype(np.int64))
    plans = [_narrowed(graph, _plan(graph, order, ())) for order in candidates]
    return min(plans, key=lambda plan: (not plan.is_feasible, plan.work))


def site_transfer_cumulants(graph: SpinGraph, orders: Sequence[Order] = ()) -> Cumulants:
    """Ln Z with mean and variance of u; the spins are taken in the best of ``orders`` and two others.

    Raises:
        ValueError: no plan is feasible: more work than ``MAX_WORK``, or more than 23 spins at once; or couplings and
            fields that add up to more than 1e100.
    """
    plan = best_plan(graph, orders)
    if not plan.is_feasible:
        msg = (
            f"site by site, {len(graph.fields)} spins take 2^{np.log2(plan.work):.1f} steps with {plan.frontier} spins "
            f"at once, and at most 2^{np.log2(MAX_WORK):g} steps and {MAX_FRONTIER} spins are done"
        )
        raise ValueError(msg)
    if not graph.strength < MAX_EXPONENT:
        msg = f"beta times couplings and fields add up to {graph.strength:g}, of at most {MAX_EXPONENT:g}"
        raise ValueError(msg)
    sites = list(plan.fixed)
    one_up = not graph.fields.any()
    parts = []
    for values in product((1.0, -1.0), repeat=len(sites) - one_up):
        part, constant = graph.with_fixed(sites, [1.0] * one_up + list(values))
        found = _Frontier().over(part, plan.order)
        parts.append(Cumulants(found.log_z + constant, found.mean - constant, found.variance))
    both = mixture(parts)
    return Cumulants(both.log_z + (one_up - len(sites)) * log(2), both.mean, both.variance)


def mixture(parts: Sequence[Cumulants]) -> Cumulants:
    """The cumulants of a sum of partition functions: sum_k p_k (v_k + (m_k - m)^2) is its variance, p_k = Z_k / Z."""
    log_z, mean, variance = np.array([(part.log_z, part.mean, part.variance) for part in parts]).T
    top = float(log_z.max())
    p = np.exp(log_z - top)
    total = float(p.sum())
    p /= total
    shift = mean - mean[p.argmax()]
    apart = float(p @ shift)
    spread = float(p @ (variance + (shift - apart) ** 2))
    return Cumulants(top + log(total), float(mean[p.argmax()]) + apart, spread)


def _plan(graph: SpinGraph, order: Order, fixed: tuple[int, ...]) -> Plan:
    """What ``order`` takes; the spins kept after step t are t + 1 less those whose last bond has come."""
    n = len(order)
    free, _ = graph.with_fixed(list(fixed), [1.0] * len(fixed))
    _, last = _life(free, order)
    kept = np.arange(1, n + 1) - np.cumsum(np.bincount(last, minlength=n))
    before = np.concatenate([[0], kept[:-1]])
    parts = 2.0 ** (len(fixed) - (len(fixed) > 0 and not graph.fields.any()))
    work = parts * float((2.0 ** np.minimum(before + 1, 1000)).sum())
    return Plan(order, fixed, int(before.max()) + 1, work)


def _life(graph: SpinGraph, order: Order) -> tuple[Order, Order]:
    """For each site the step at which it comes, and that of its last bond (or its own)."""
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order))
    last = position.copy()
    for i, j in (graph.bonds.T, graph.bonds.T[::-1]):
        np.maximum.at(last, i, position[j])
    return position, last


def _narrowed(graph: SpinGraph, plan: Plan) -> Plan:
    """The plan with spins fixed: one without field, and as many as a wide frontier calls for while that is feasible."""
    if not graph.fields.any():
        plan = _with_one_more_fixed(graph, plan)
    while plan.frontier > _IN_CACHE and plan.work <= MAX_WORK:
        narrower = _with_one_more_fixed(graph, plan)
        if plan.is_feasible and not narrower.is_feasible:
            break
        plan = narrower
    return plan


def _with_one_more_fixed(graph: SpinGraph, plan: Plan) -> Plan:
    """The plan with that spin fixed too that saves most, one of those with the longest life."""
    free, _ = graph.with_fixed(list(plan.fixed), [1.0] * len(plan.fixed))
    position, last = _life(free, plan.order)
    longest = [site for site in np.argsort(position - last, kind="stable").tolist() if site not in plan.fixed]
    choices = (_plan(graph, plan.order, (*plan.fixed, site)) for site in longest[:_FIXED_TRIED])
    return min(choices, key=lambda choice: choice.work)


class _Frontier:
    """For each state of the live spins: ln of the sum over the others of exp(-u), with mean and variance of -u.

    Flat arrays, the newest spin's axis first, index 0 for -1 and 1 for +1.
    """

    def __init__(self) -> None:
        self._live: list[int] = []
        self._sums: LogWeights = (np.zeros(1), np.zeros(1), np.zeros(1))

    def over(self, graph: SpinGraph, order: Order) -> Cumulants:
        """The sum over all spins of ``graph``, which come in this order."""
        position, last = _life(graph, order)
        partners: list[dict[int, float]] = [{} for _ in order]
        for (i, j), coupling in zip(graph.bonds.tolist(), graph.couplings.tolist(), strict=True):
            later, earlier = (i, j) if position[i] > position[j] else (j, i)
            partners[later][earlier] = coupling
        for step, site in enumerate(order.tolist()):
            couplings = partners[site]
            self._add(site, float(graph.fields[site]), couplings)
            for j in [*couplings, site]:
                if last[j] == step:
                    self._sum_over(j)
        log_z, mean, variance = (float(a.item()) for a in self._sums)
        return Cumulants(log_z, -mean, variance)

    def _add(self, site: int, field: float, couplings: dict[int, float]) -> None:
        """A new spin s with the weight exp(b s + sum_j K_j s s_j)."""
        local = np.full(2 ** len(self._live), field)
        for j, coupling in couplings.items():
            apart = self._split(local, j)
            apart[:, 0] -= coupling
            apart[:, 1] += coupling
        log, mean, variance = self._sums
        self._live.insert(0, site)
        self._sums = (
            np.concatenate([log - local, log + local]),
            np.concatenate([mean - local, mean + local]),
            np.concatenate([variance, variance]),
        )

    def _sum_over(self, site: int) -> None:
        x, y, z = (self._split(a, site) for a in self._sums)
        x, y, z = added((x[:, 0], y[:, 0], z[:, 0]), (x[:, 1], y[:, 1], z[:, 1]))
        self._sums = x.ravel(), y.ravel(), z.ravel()
        self._live.remove(site)

    def _split(self, array: Array, site: int) -> Array:
        """``array`` with an axis of 2 for ``site``, and those before and after it as one each."""
        return array.reshape(2 ** self._live.index(site), 2, -1)
