"""The Bethe approximation: belief propagation on the graph of coupled pairs."""

from typing import final

import torch
from jaxtyping import Float64
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.self_consistency import FreeEnergyApproximation, Solution, Solving
from zoo.core.targets import ThermodynamicState
from zoo.models.fixed_points import FixedPoint, Limits, largest_eigenvalue, lowest_solution, starting_spins
from zoo.models.pair_graph import PairGraph, pairwise_target
from zoo.specs.estimate import Estimate
from zoo.specs.models.bethe import BetheSpec

_EVEN = 2  # the number of the even start
_ROUNDING = 1e-14  # of messages, in units of the terms of beta_f


@final
class Bethe(FreeEnergyApproximation):
    """-ln Z of the Bethe approximation, stationary at a fixed point of belief propagation.

    With K = beta J and b = beta h, the message u_ij from i to j is the field on s_j that i brings about:

        h_ij = b_i + sum_{k != j} u_ki,      u_ij = atanh(tanh K_ij tanh h_ij),
        beta_f = -sum_i ln Z_i + sum_(ij) ln Z_ij,
        Z_i = sum_s e^(b_i s) prod_k cosh(K_ki s + h_ki) / cosh h_ki,
        Z_ij = sum_ss' e^(K_ij s s' + h_ij s + h_ji s') / (4 cosh h_ij cosh h_ji).

    It is the exact -ln Z where the pairs form no loop.  Elsewhere it is neither exact nor a bound, and there can be
    several fixed points or none that is reached.  Good on sparse graphs and at high temperature.

    Source: Yedidia, Freeman, Weiss, IEEE Trans. Inf. Theory 51, 2282 (2005); in this form Mezard and Montanari,
    Information, Physics, and Computation (Oxford, 2009), ch. 14.
    """

    def __init__(self, spec: BetheSpec) -> None:
        self.spec = spec

    def solve(self, state: ThermodynamicState, rng: RandomStream) -> Solving:
        """The fixed point of lowest beta_f; on a forest the only one, after as many iterations as it is long."""
        graph = PairGraph.of(pairwise_target(state).interactions)
        messages = Messages(graph, state.beta)
        if graph.is_forest:
            starts = [torch.zeros(messages.number, dtype=torch.float64)]
            limits = Limits(damping=0.0, max_iterations=graph.longest_path + 1, tolerance=0.0)
        else:
            starts = [messages.from_spins(s) for s in starting_spins(graph, self.spec.random_starts, rng)]
            limits = Limits.of(self.spec)
        first = _EVEN if graph.is_forest else 0
        return (
            yield from lowest_solution(
                messages.updated, starts, limits, lambda point, start: messages.solution(point, first + start)
            )
        )

    def weights(self, solution: Solution) -> dict[str, Tensor]:
        """All of the solution."""
        return solution.tensors()

    def estimate(self, solution: Solution) -> Estimate:
        """beta_f: with the error of rounding where there is no loop, else without an error, and not reliable."""
        doubts: list[str] = []
        if not solution.is_tree:
            doubts.append("the coupled pairs form loops, where the Bethe free energy is neither exact nor a bound")
        if not solution.converged:
            doubts.append(
                f"belief propagation did not converge: after {solution.iterations} iterations from start "
                f"{solution.start_name!r} messages still change by {solution.residual:.3g}; a larger damping or more "
                "iterations may help, or there is no stable fixed point"
            )
        return Estimate(
            value=solution.beta_f,
            standard_error=None if doubts else solution.rounding,
            num_samples=0,
            method="bethe",
            reliable=not doubts,
            warnings=tuple(doubts),
        )

    def growth(self, state: ThermodynamicState) -> float:
        """Largest eigenvalue of the iteration's Jacobian at messages 0: above 1 the even solution is unstable.

        Without fields messages 0 are a fixed point; on the square lattice the eigenvalue is 3 tanh K.
        """
        messages = Messages(PairGraph.of(pairwise_target(state).interactions), state.beta)
        return largest_eigenvalue(messages.updated, torch.zeros(messages.number, dtype=torch.float64))


@final
class Messages:
    """The messages of a graph at one beta: those along the edges, then those against them."""

    def __init__(self, graph: PairGraph, beta: float) -> None:
        self._graph = graph
        self._beta = beta
        self._source, self._goal = torch.cat([graph.ends, graph.ends.flip(0)], 1)
        self._couplings = beta * graph.couplings
        self._both = self._couplings.repeat(2)
        self._fields = beta * graph.fields

    @property
    def number(self) -> int:
        """Two for each edge."""
        return len(self._both)

    def from_spins(self, spins: Float64[Tensor, " site"]) -> Float64[Tensor, " message"]:
        """What spins of these values send: K s."""
        return self._both * spins[self._source]

    def updated(self, u: Float64[Tensor, " message"]) -> Float64[Tensor, " message"]:
        """u_ij = atanh(tanh K tanh h_ij) = (ln cosh(h_ij + K) - ln cosh(h_ij - K)) / 2, all at once."""
        cavity = self._cavity(u)
        return (_log_2cosh(cavity + self._both) - _log_2cosh(cavity - self._both)) / 2

    def solution(self, point: FixedPoint, start: int) -> Solution:
        """Free energy, energy and magnetisations at messages ``point.values``.

        All are functions of the h_ij alone, in which beta_f is stationary at a fixed point.  On a forest messages are
        right after as many iterations as it is long; what still changes then is rounding.
        """
        total = self._total(self.updated(point.values))
        cavity = self._cavity(point.values)
        here, there = cavity.chunk(2)
        parallel, opposite = _log_2cosh(here + there), _log_2cosh(here - there)
        correlation = torch.tanh(self._couplings + (parallel - opposite) / 2)
        magnetizations = torch.tanh(total)
        norm = (_log_2cosh(cavity + self._both) + _log_2cosh(cavity - self._both)) / 2 - _log_2cosh(cavity)
        sites = _log_2cosh(total).index_add(0, self._goal, norm)
        pairs = torch.logaddexp(self._couplings + parallel, opposite - self._couplings)
        pairs = pairs - _log_2cosh(here) - _log_2cosh(there)
        size = float(sites.abs().sum() + pairs.abs().sum())
        return Solution(
            beta=self._beta,
            beta_f=float(pairs.sum() - sites.sum()),
            rounding=max(1.0, size) * torch.finfo(torch.float64).eps,
            energy=-float(self._graph.couplings @ correlation + self._graph.fields @ magnetizations),
            converged=point.converged or (self._graph.is_forest and point.residual <= _ROUNDING * (1 + size)),
            is_tree=self._graph.is_forest,
            iterations=point.iterations,
            residual=point.residual,
            start=start,
            magnetizations=magnetizations,
            values=point.values,
        )

    def _total(self, u: Float64[Tensor, " message"]) -> Float64[Tensor, " site"]:
        """b_i + sum_k u_ki."""
        return self._fields.index_add(0, self._goal, u)

    def _cavity(self, u: Float64[Tensor, " message"]) -> Float64[Tensor, " message"]:
        """h_ij of each message u_ij."""
        return self._total(u)[self._source] - u.roll(self.number // 2)


def _log_2cosh(x: Tensor) -> Tensor:
    """Ln 2 cosh x, without overflow."""
    return x.abs() + torch.log1p(torch.exp(-2 * x.abs()))
