"""Oracles for chains on small discrete systems: exact averages, exact transition matrices, and calibrated errors."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from math import sqrt
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64, Integer, Num
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import chi2
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.spaces import DiscreteSpace
from zoo.core.targets import Target
from zoo.estimators.chains import chain_average
from zoo.samplers.base import Chains, ChainSamples, RunPlan
from zoo.samplers.local_updates import LocalUpdates

NUM_SEEDS = 200

Observable = Callable[[Num[Tensor, "batch *event"]], Float64[Tensor, " batch"]]


def space_of(target: Target) -> DiscreteSpace:
    assert isinstance(target.space, DiscreteSpace)
    return target.space


def order_parameter(target: Target) -> Observable:
    """|m| of spins, the share of the commonest value of other variables."""
    values = space_of(target).from_indices(torch.arange(space_of(target).num_values))

    def order(x: Num[Tensor, "batch *event"]) -> Float64[Tensor, " batch"]:
        share = torch.stack([(x.flatten(1) == value).double().mean(1) for value in values]).amax(0)
        return 2 * share - 1 if len(values) == 2 else share

    return order


def index_of(target: Target, configurations: Num[Tensor, "batch *event"]) -> Int64[Tensor, " batch"]:
    """The number of each configuration in the order of ``enumerate``."""
    q = space_of(target).num_values
    lowest = int(space_of(target).from_indices(torch.tensor(0)))
    gap = int(space_of(target).from_indices(torch.tensor(1))) - lowest if q > 1 else 1
    digits = (configurations.flatten(1).to(torch.int64) - lowest) // gap
    return (digits * q ** torch.arange(digits.shape[1])).sum(1)


def boltzmann(target: Target, beta: float) -> Float64[Tensor, " state"]:
    """p of every state by enumeration."""
    return torch.softmax(-beta * target.energy(space_of(target).enumerate()), 0)


# ---- calibrated errors


@dataclass(frozen=True)
class Calibration:
    """Mean and standard deviation of z = (value - exact) / standard error over independent runs."""

    mean: float
    deviation: float
    num_runs: int

    @property
    def is_good(self) -> bool:
        """Mean within 4 standard errors of 0, standard deviation in 0.85 .. 1.15."""
        return abs(self.mean) < 4 / sqrt(self.num_runs) and 0.85 < self.deviation < 1.15


def calibration(
    chains: Chains[Any], plan: RunPlan, observables: dict[str, Observable], num_chains: int = 8
) -> dict[str, Calibration]:
    """The calibration of each observable over ``NUM_SEEDS`` runs, each from its own seed; exact by enumeration."""
    target = chains.target
    assert isinstance(chains.beta, float)
    p, states = boltzmann(target, chains.beta), space_of(target).enumerate()
    exact = {name: float(p @ observable(states).double()) for name, observable in observables.items()}
    z: dict[str, list[float]] = {name: [] for name in observables}
    for seed in range(NUM_SEEDS):
        drawn = chains.run(num_chains, plan, RandomStream(seed)).configurations
        for name, observable in observables.items():
            average = chain_average(observable(drawn.flatten(0, 1)).reshape(drawn.shape[:2]))
            z[name].append((average.value - exact[name]) / float(average.standard_error or np.nan))
    return {name: Calibration(float(np.mean(s)), float(np.std(s, ddof=1)), len(s)) for name, s in z.items()}


def energy_and_order(target: Target) -> dict[str, Observable]:
    return {"energy": target.energy, "order": order_parameter(target)}


def chi_square_p_value(indices: Int64[Tensor, " sample"], p: Float64[Tensor, " state"]) -> float:
    """Of the counts of independent states against ``p``; states of less than 5 expected are pooled."""
    expected = p.numpy() * len(indices)
    counts = np.bincount(indices.numpy(), minlength=len(p))
    rare = expected < 5
    observed = np.r_[counts[~rare], counts[rare].sum()]
    expected = np.r_[expected[~rare], max(expected[rare].sum(), 1e-12)]
    statistic = float(((observed - expected) ** 2 / expected).sum())
    return float(chi2.sf(statistic, max(1, int((expected > 1e-9).sum()) - 1)))


def last_states(chains: Chains[Any], drawn: ChainSamples) -> Int64[Tensor, " chain"]:
    return index_of(chains.target, drawn.configurations[:, -1])


# ---- exact transition matrices of single-site updates


def transition_matrix(chains: LocalUpdates, part: int) -> Float64[Tensor, "state state"]:
    """P(s -> s') of the update of one sublattice, for all states, exactly as the code decides.

    Which value a site gets is a step function of the last random word, so the number of words that lead to it is found
    by bisection.
    """
    states = space_of(chains.target).enumerate()
    rule, where = chains.rule, chains.rule.sites.parts[part]
    start = chains.state_at(states).values
    offered = [torch.from_numpy(after) for after in _outcomes(chains, part, start)]
    values = space_of(chains.target).from_indices(torch.arange(space_of(chains.target).num_values))
    matrix = torch.zeros(len(states), len(states), dtype=torch.float64)
    rows, raster = torch.arange(len(states)), rule.sites.order[where]
    for choice in product(range(len(values)), repeat=len(raster)):
        probability = torch.stack([offered[v][i] for i, v in enumerate(choice)]).prod(0)
        after = states.flatten(1).clone()
        for site, v in zip(raster, choice, strict=True):
            after[:, site] = values[v]
        matrix.index_put_((rows, index_of(chains.target, after)), probability, accumulate=True)
    return matrix


def _outcomes(
    chains: LocalUpdates, part: int, start: Num[np.ndarray, "site state"]
) -> list[Float64[np.ndarray, "some state"]]:
    """For each value the probability that each site of the part gets it, in each state."""
    q = space_of(chains.target).num_values
    values = space_of(chains.target).from_indices(torch.arange(q)).numpy()
    proposals = q - 1 if chains.rule.words_per_site == 2 else 1
    first = [(2 * k + 1) * 2**31 // proposals for k in range(proposals)]
    return list(np.mean([_shares(_Update(chains, part, start, word), values) for word in first], axis=0))


@dataclass(frozen=True)
class _Update:
    """What the sites of a part become as a function of the last word; the word before it, if any, is ``first``."""

    chains: LocalUpdates
    part: int
    start: Num[np.ndarray, "site state"]
    first: int

    def __call__(self, word: Int64[np.ndarray, "some state"]) -> Num[np.ndarray, "some state"]:
        rule = self.chains.rule
        block = np.empty((len(self.start) + 1, self.start.shape[1]), rule.dtype)
        block[:-1], block[-1] = self.start, rule.outside
        words = np.full((rule.words_per_site, *word.shape), self.first, np.uint32)
        words[-1] = word
        rule.update(block, self.part, slice(None), words)
        return block[rule.sites.parts[self.part]]


@dataclass(frozen=True)
class _Beyond:
    """Whether a word has come as far as ``bound``, on the way from what word 0 gives to what the last one gives."""

    update: _Update
    sign: Int64[np.ndarray, "some state"]
    bound: Int64[np.ndarray, "some state"]

    def __call__(self, word: Int64[np.ndarray, "some state"]) -> Bool[np.ndarray, "some state"]:
        return np.asarray(self.sign * self.update(word) >= self.bound)


def _shares(update: _Update, values: Integer[np.ndarray, " value"]) -> list[Float64[np.ndarray, "some state"]]:
    """The share of the words that lead to each value: they are an interval, since what comes out rises or falls."""
    shape = update.start[update.chains.rule.sites.parts[update.part]].shape
    sign = np.where(update(np.full(shape, 2**32 - 1)) >= update(np.zeros(shape, np.int64)), 1, -1)
    shares = []
    for value in values:
        begin = _first_word(_Beyond(update, sign, sign * value), shape)
        end = _first_word(_Beyond(update, sign, sign * value + 1), shape)
        shares.append((end - begin) / 2.0**32)
    return shares


def _first_word(
    holds: Callable[[Int64[np.ndarray, "some state"]], Bool[np.ndarray, "some state"]], shape: tuple[int, ...]
) -> Int64[np.ndarray, "some state"]:
    """The smallest word for which a condition that never turns false again holds; 2^32 where it never does."""
    low, high = np.zeros(shape, np.int64), np.full(shape, 2**32, np.int64)
    while bool((low < high).any()):
        middle = (low + high) // 2
        true = holds(np.minimum(middle, 2**32 - 1)) & (middle < 2**32)
        low, high = np.where(true | (low == high), low, middle + 1), np.where(true, middle, high)
    return low


# ---- exact transition matrices of cluster updates


def cluster_matrix(
    target: Target, bonds: list[tuple[int, int]], activation: float, *, single: bool
) -> Float64[Tensor, "state state"]:
    """P(s -> s') by summing over all subsets of ``bonds``: all clusters redrawn, or a ``single`` one changed."""
    space = space_of(target)
    q, n = space.num_values, space.num_sites
    digits = torch.arange(q**n)[:, None] // q ** torch.arange(n) % q
    matrix = torch.zeros(q**n, q**n, dtype=torch.float64)
    for row, digit in enumerate(digits.tolist()):
        equal = [(i, j) for i, j in bonds if digit[i] == digit[j]]
        for active in product((False, True), repeat=len(equal)):
            weight = float(np.prod([activation if a else 1 - activation for a in active]))
            label = _components(n, [bond for bond, a in zip(equal, active, strict=True) if a])
            for after, share in _changed(digit, label, q) if single else _redrawn(label, q):
                matrix[row, sum(v * q**i for i, v in enumerate(after))] += weight * share
    return matrix


def _components(num_sites: int, bonds: list[tuple[int, int]]) -> list[int]:
    rows, columns = [i for i, _ in bonds], [j for _, j in bonds]
    graph = csr_array((np.ones(len(bonds)), (rows, columns)), shape=(num_sites, num_sites))
    return [int(c) for c in connected_components(graph, directed=False)[1]]


def _redrawn(label: list[int], q: int) -> list[tuple[list[int], float]]:
    count = max(label) + 1
    return [([values[c] for c in label], q**-count) for values in product(range(q), repeat=count)]


def _changed(digit: list[int], label: list[int], q: int) -> list[tuple[list[int], float]]:
    share = 1 / len(label) / (q - 1)
    return [
        ([(v + rise) % q if c == label[site] else v for v, c in zip(digit, label, strict=True)], share)
        for site in range(len(label))
        for rise in range(1, q)
    ]
