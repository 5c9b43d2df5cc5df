"""Naive mean field: independent sites, by self-consistency or trained."""

from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from zoo.core.random import RandomStream
from zoo.core.self_consistency import SelfConsistent, Solution, Solving
from zoo.core.spaces import Space
from zoo.core.targets import PairInteractions, ThermodynamicState
from zoo.models.fixed_points import FixedPoint, Limits, largest_eigenvalue, lowest_solution, starting_spins
from zoo.models.independent_sites import IndependentNetwork
from zoo.models.pair_graph import PairGraph, pairwise_target
from zoo.models.site_network import Sweep
from zoo.models.site_values import SpinValues
from zoo.nn.conditioning import Features, Modulation
from zoo.nn.weights import generator_of
from zoo.specs.models.mean_field import MeanFieldSpec

_FIRST_FIELD, _SPREAD = 0.1, 0.01
_STARTING_MAGNETIZATION = 0.9


@final
class MeanField(IndependentNetwork):
    """q(s) = prod_i sigmoid(s_i x_i), one field x_i for each site; conditions scale and shift it.

    Among products it is at its best the one of lowest variational free energy.  It knows no correlation, so it is good
    where every spin has many neighbours, and a baseline elsewhere.  Fields start small and up, so that training finds
    one of two equal phases instead of staying between them.

    Source: Weiss, J. Phys. Theor. Appl. 6, 661 (1907).
    """

    def __init__(self, spec: MeanFieldSpec, space: Space, seed: int) -> None:
        generator = generator_of(seed)
        super().__init__(spec, space, generator, SpinValues(quotient=False))
        self.field = nn.Parameter(_FIRST_FIELD + _SPREAD * torch.randn(space.num_sites, generator=generator))
        if self.encoder is not None:
            self.modulation = Modulation(space.num_sites)

    def forward(
        self, inputs: Float[Tensor, "batch site channel"], features: Features = None
    ) -> Float[Tensor, "batch site parameter"]:
        """The fields, whatever the inputs."""
        fields = self._fields(features)
        return fields.expand(max(len(inputs), len(fields)), -1).unsqueeze(2)

    def sweep(self, batch: int, features: Features = None) -> Sweep:
        """The same fields, site by site."""
        return _MeanFieldSweep(self, batch, self._fields(features))

    def _fields(self, features: Features) -> Float[Tensor, "row site"]:
        if features is None:
            return self.field.unsqueeze(0)
        scale, shift = self.modulation(features)
        modulated: Tensor = self.field * scale + shift
        return modulated


class _MeanFieldSweep(Sweep):
    def __init__(self, network: MeanField, batch: int, fields: Float[Tensor, "row site"]) -> None:
        super().__init__(network, batch)
        self._fields = fields.detach().t()

    def advance(self, site: int) -> None:
        self.outputs[site, 0] = self._fields[site]


@final
class MeanFieldEquations(SelfConsistent):
    """m_i = tanh(beta (sum_j J_ij m_j + h_i)): where beta F(m) = beta E(m) - S(m) of a product measure is stationary.

    E(m) = -sum_{i<j} J_ij m_i m_j - sum_i h_i m_i and S is the entropy, so every m gives a bound on -ln Z.
    """

    def __init__(self, spec: MeanFieldSpec) -> None:
        self.spec = spec

    def solve(self, state: ThermodynamicState, rng: RandomStream) -> Solving:
        """The fixed point of lowest beta F; its bound holds whether it has converged or not."""
        interactions = pairwise_target(state).interactions
        graph = PairGraph.of(interactions)
        equations = Magnetizations(interactions, state.beta)
        spins = starting_spins(graph, self.spec.random_starts, rng)
        starts = [_STARTING_MAGNETIZATION * s for s in spins]

        def solution(point: FixedPoint, start: int) -> Solution:
            return equations.solution(point, start, is_tree=graph.is_forest)

        return (yield from lowest_solution(equations.updated, starts, Limits.of(self.spec), solution))

    def weights(self, solution: Solution) -> dict[str, Tensor]:
        """The fields x_i = 2 artanh m_i of the family's model."""
        return {"network.field": solution.values.float()}

    def growth(self, state: ThermodynamicState) -> float:
        """Largest eigenvalue of the iteration's Jacobian at m = 0: above 1 the even solution is unstable.

        Without fields m = 0 is a fixed point, and this is beta times the largest eigenvalue of J: 4 beta J on the
        square lattice.
        """
        equations = Magnetizations(pairwise_target(state).interactions, state.beta)
        return largest_eigenvalue(equations.updated, torch.zeros(state.target.space.num_sites, dtype=torch.float64))


@final
class Magnetizations:
    """The equations for the magnetisations at one beta."""

    def __init__(self, interactions: PairInteractions, beta: float) -> None:
        self._interactions = interactions
        self._beta = beta

    def updated(self, m: Float64[Tensor, " site"]) -> Float64[Tensor, " site"]:
        """tanh(beta (sum_j J_ij m_j + h_i))."""
        return torch.tanh(self._beta * (self._of_neighbours(m) + self._interactions.fields))

    def solution(self, point: FixedPoint, start: int, *, is_tree: bool) -> Solution:
        """Free energy and energy of the product whose magnetisations are g(m), the fields x as ``values``."""
        half = self._beta * (self._of_neighbours(point.values) + self._interactions.fields)
        m = torch.tanh(half)
        energies = -m * (self._of_neighbours(m) / 2 + self._interactions.fields)
        entropies = half.abs() + torch.log1p(torch.exp(-2 * half.abs())) - half * m
        size = float(self._beta * energies.abs().sum() + entropies.abs().sum())
        return Solution(
            beta=self._beta,
            beta_f=float(self._beta * energies.sum() - entropies.sum()),
            rounding=max(1.0, size) * torch.finfo(torch.float64).eps,
            energy=float(energies.sum()),
            converged=point.converged,
            is_tree=is_tree,
            iterations=point.iterations,
            residual=point.residual,
            start=start,
            magnetizations=m,
            values=2 * half,
        )

    def _of_neighbours(self, m: Float64[Tensor, " site"]) -> Float64[Tensor, " site"]:
        """sum_j J_ij m_j; a site that has fewer neighbours than others meets zeros."""
        padded = torch.cat([m, m.new_zeros(1)])
        return (self._interactions.couplings * padded[self._interactions.neighbours]).sum(1)
