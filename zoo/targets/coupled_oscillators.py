"""Chains and rings of harmonic oscillators, with or without their momenta."""

from math import sqrt
from typing import final

import torch
from jaxtyping import Float, Float64, Num
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.spaces import ContinuousSpace, PhaseSpace, Reals
from zoo.core.targets import ContinuousTarget, HasDirectSampling, HasExactFreeEnergy
from zoo.exact.oscillators import exact_reference, mode_vectors, normal_modes
from zoo.exact.temperatures import require_temperature
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.coupled_oscillators import CoupledOscillatorsSpec
from zoo.targets.gaussian import row_by_row


@final
class CoupledOscillators(ContinuousTarget, HasExactFreeEnergy, HasDirectSampling):
    """E(x) = sum_i 1/2 k0 x_i^2 + sum_bonds 1/2 k1 (x_i - x_j)^2, with momenta + sum_i 1/2 p_i^2; masses 1.

    Bonds join neighbours; on a ring also the last and the first (a ring of 2 counts its bond twice, a ring of 1 has
    none); with fixed ends also the ends and walls at 0, n + 1 bonds in all.  With momenta a configuration is (2n,):
    the n positions, then the n momenta.

    Source: Born and von Karman, Phys. Z. 13, 297 (1912).
    """

    def __init__(self, spec: CoupledOscillatorsSpec) -> None:
        self.spec = spec
        self._space = PhaseSpace(spec.space) if spec.momenta else Reals(spec.space)

    @property
    def space(self) -> ContinuousSpace:
        """R^n, or phase space of shape (2n,)."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """The flip x -> -x, the reflection of the chain, the shifts of a ring."""
        return self.spec.symmetries

    def energy(self, x: Num[Tensor, "batch n"]) -> Float[Tensor, " batch"]:
        """E(x), float64, shape (batch,), in the unit of k0 x^2."""
        q, p = self._parts(x)
        return self._potential(q) + p.square().sum(1) / 2

    def force(self, x: Float[Tensor, "batch n"]) -> Float64[Tensor, "batch n"]:
        """-grad E, shape of ``x``: from the springs for positions, and -p for momenta."""
        q, p = self._parts(x)
        tension = self.spec.spring * self._stretches(q)  # of the n + 1 bonds before and after each oscillator
        return torch.cat([tension[:, 1:] - tension[:, :-1] - self.spec.onsite * q, -p], 1)

    def observables(self, x: Num[Tensor, "batch n"]) -> dict[str, Float[Tensor, " batch"]]:
        """Energies and displacements per oscillator.

        ``energy_per_site`` and ``potential_energy_per_site`` in the unit of k0 x^2, ``mean_displacement``
        sum_i x_i / n, ``mean_square_displacement`` sum_i x_i^2 / n, and, where there are momenta,
        ``kinetic_energy_per_site``.
        """
        q, p = self._parts(x)
        n = self.spec.n
        potential, kinetic = self._potential(q) / n, p.square().sum(1) / (2 * n)
        found = {
            "energy_per_site": potential + kinetic,
            "potential_energy_per_site": potential,
            "mean_displacement": q.mean(1),
            "mean_square_displacement": q.square().mean(1),
        }
        return found | {"kinetic_energy_per_site": kinetic} if self.spec.momenta else found

    def exact_reference(self, beta: float) -> ExactReference:
        """The closed form; see ``zoo.exact.oscillators``."""
        return exact_reference(self.spec, beta)

    def draw(self, num_samples: int, beta: float, rng: RandomStream) -> Num[Tensor, "batch n"]:
        """Independent draws: normal modes of variance 1 / (beta omega^2), momenta of variance 1 / beta; float64.

        Raises:
            InvalidValueError: a beta that is not positive and finite.
        """
        require_temperature(beta)
        z = rng.normals(num_samples, self.space.num_sites) / sqrt(beta)
        modes = torch.from_numpy(mode_vectors(self.spec) / normal_modes(self.spec)[:, None])
        q, p = self._parts(z)
        return torch.cat([row_by_row(q, modes), p], 1)

    def _parts(self, x: Num[Tensor, "batch n"]) -> tuple[Float64[Tensor, "batch q"], Float64[Tensor, "batch p"]]:
        """Positions and momenta, the latter without columns where there are none."""
        x = x.to(torch.float64)
        return x[:, : self.spec.n], x[:, self.spec.n :]

    def _potential(self, q: Float64[Tensor, "batch q"]) -> Float64[Tensor, " batch"]:
        stretches = self._stretches(q)
        if self.spec.periodic:
            stretches = stretches[:, 1:]  # the first is the last
        return self.spec.onsite / 2 * q.square().sum(1) + self.spec.spring / 2 * stretches.square().sum(1)

    def _stretches(self, q: Float64[Tensor, "batch q"]) -> Float64[Tensor, "batch bond"]:
        """x_{i+1} - x_i for i = 0 .. n, n + 1 of them: zero where there is no bond, and to the walls at 0."""
        if self.spec.boundary == "ring":
            before, after = q[:, -1:], q[:, :1]
        elif self.spec.boundary == "free":
            before, after = q[:, :1], q[:, -1:]
        else:
            before = after = torch.zeros_like(q[:, :1])
        return torch.cat([before, q, after], 1).diff(dim=1)
