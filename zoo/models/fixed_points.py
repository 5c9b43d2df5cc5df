"""Iterating x = g(x) from several starts, and where the even fixed point loses its stability."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float64
from scipy.optimize import brentq
from torch import Tensor
from torch.autograd.functional import jacobian

from zoo.core.random import RandomStream
from zoo.core.self_consistency import Progress, Solution, Solving
from zoo.models.pair_graph import PairGraph
from zoo.specs.models.fixed_point import FixedPointSpec

Update = Callable[[Float64[Tensor, " number"]], Float64[Tensor, " number"]]

_ITERATIONS_PER_PROGRESS = 32
_NEARLY_EVEN = 1e-4
_EQUAL = 1e-12  # relative difference of free energies that rounding and the tolerance leave between equals


@final
@dataclass(frozen=True)
class Limits:
    """How an iteration goes and when it ends."""

    damping: float
    max_iterations: int
    tolerance: float

    @classmethod
    def of(cls, spec: FixedPointSpec) -> "Limits":
        """Those of ``spec``."""
        return cls(spec.damping, spec.max_iterations, spec.tolerance)


@final
@dataclass(frozen=True)
class FixedPoint:
    """What an iteration ended with: values x with max |g(x) - x| = ``residual``."""

    values: Float64[Tensor, " number"]
    iterations: int
    residual: float
    converged: bool


def iterated(
    update: Update, start: Float64[Tensor, " number"], limits: Limits
) -> Generator[tuple[int, float], None, FixedPoint]:
    """The end of x <- damping x + (1 - damping) g(x); (iterations, residual) of every 32nd iteration on the way."""
    x, residual = start, float("inf")
    for iteration in range(1, limits.max_iterations + 1):
        new = update(x)
        residual = float((new - x).abs().max()) if len(x) else 0.0
        if residual <= limits.tolerance:
            return FixedPoint(new, iteration, residual, converged=True)
        x = torch.lerp(new, x, limits.damping)
        if iteration % _ITERATIONS_PER_PROGRESS == 0:
            yield iteration, residual
    return FixedPoint(x, limits.max_iterations, residual, converged=False)


def lowest_solution(
    update: Update, starts: list[Tensor], limits: Limits, solution_of: Callable[[FixedPoint, int], Solution]
) -> Solving:
    """The solution of lowest beta_f among those that converged, the first of equals; else the one closest to it."""
    found: list[Solution] = []
    for index, start in enumerate(starts):
        iterating = iterated(update, start, limits)
        before = index * limits.max_iterations
        while True:
            try:
                iterations, residual = next(iterating)
            except StopIteration as end:
                found.append(solution_of(end.value, index))
                break
            yield Progress(before + iterations, len(starts) * limits.max_iterations, residual)
    converged = [solution for solution in found if solution.converged]
    if not converged:
        return min(found, key=lambda solution: solution.residual)
    lowest = min(solution.beta_f for solution in converged)
    return next(s for s in converged if s.beta_f <= lowest + _EQUAL * max(1.0, abs(lowest)))


def starting_spins(graph: PairGraph, num_random: int, rng: RandomStream) -> Iterator[Float64[Tensor, " site"]]:
    """Magnetisations to start from, named in ``Solution.start``.

    All +1; those that satisfy the bonds of a tree; nearly 0, but not so much that an unstable fixed point there would
    be taken for a stable one; and random spins.
    """
    random = torch.where(rng.uniforms(1 + num_random, graph.num_sites) < 0.5, -1.0, 1.0).double()
    yield torch.ones(graph.num_sites, dtype=torch.float64)
    yield graph.tree_spins()
    yield _NEARLY_EVEN * random[0]
    yield from random[1:]


def largest_eigenvalue(update: Update, point: Float64[Tensor, " number"]) -> float:
    """Largest real part of an eigenvalue of the Jacobian of g at ``point``.

    A fixed point is unstable under damped iteration, with enough damping, where it is above 1.
    """
    matrix: Tensor = jacobian(update, point)  # type: ignore[no-untyped-call]
    return float(torch.linalg.eigvals(matrix).real.max())


def critical_beta(growth: Callable[[float], float], low: float, high: float) -> float:
    """The beta between ``low`` and ``high`` at which ``growth``, the largest eigenvalue, is 1.

    Raises:
        ValueError: it is above 1 at both ends, or at none.
    """
    beta = brentq(lambda b: growth(b) - 1, low, high, xtol=1e-12)
    return float(beta)
