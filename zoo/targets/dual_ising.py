"""The continuous field dual to the Ising model on a periodic square lattice."""

from math import log
from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from zoo.core.spaces import Reals
from zoo.core.targets import ContinuousTarget, HasExactFreeEnergy
from zoo.exact.dual_ising import coupling_spectrum, exact_reference
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.dual_ising import DualIsingSpec


@final
class DualIsing(ContinuousTarget, HasExactFreeEnergy):
    """S = 1/2 x^T (K + o I)^-1 x - sum_i ln cosh x_i, K = beta A, o = 0.1 - smallest eigenvalue of K; dimensionless.

    K is circulant, so its inverse is a division in Fourier space.  The state is exp(-S): beta is inside S.

    Source: Hubbard, Phys. Rev. Lett. 3, 77 (1959); Li and Wang, Phys. Rev. Lett. 121, 260601 (2018).
    """

    def __init__(self, spec: DualIsingSpec) -> None:
        self.spec = spec
        self._space = Reals(spec.space)
        eigenvalues = torch.from_numpy(coupling_spectrum(spec.shape, spec.beta))
        self._inverse = 1 / eigenvalues[:, : spec.shape[1] // 2 + 1]  # the half that a real transform has

    @property
    def space(self) -> Reals:
        """Real numbers of shape ``spec.shape``."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Change of sign, x -> -x, and those of the periodic lattice."""
        return self.spec.symmetries

    def energy(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """S(x), dimensionless, float64, shape (batch,)."""
        field = x.to(torch.float64)
        log_cosh = torch.logaddexp(field, -field) - log(2)
        return self._quadratic(field) - log_cosh.flatten(1).sum(1)

    def force(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        """-dS/dx = tanh x - (K + o I)^-1 x."""
        field = x.to(torch.float64)
        return field.tanh() - self._divided(field)

    def observables(self, x: Float[Tensor, "batch *event"]) -> dict[str, Float[Tensor, " batch"]]:
        """Those of the field, and estimators of those of the spins, whose mean given the field is s_i = tanh x_i.

        Dimensionless: ``energy_per_site`` S / N and ``quadratic_action_per_site``, its first term; ``magnetization``
        sum_i s_i / N and its modulus; ``magnetization_squared``, whose mean is the spins' <m^2>, with 1 for s_i s_i.
        In the unit of J: ``spin_energy_per_site`` -1/2 sum_ij A_ij s_i s_j / N, whose mean is the spins' <E> / N.
        """
        field, n = x.to(torch.float64), self.space.num_sites
        spins = field.tanh()
        magnetization = spins.flatten(1).mean(1)
        bonds = torch.zeros_like(spins)
        for axis, side in enumerate(self.spec.shape, start=1):
            if side > 1:
                bonds = bonds + spins * spins.roll(-1, axis)
        missing = (1 - spins.square()).flatten(1).mean(1) / n
        return {
            "energy_per_site": self.energy(x) / n,
            "quadratic_action_per_site": self._quadratic(field) / n,
            "spin_energy_per_site": -bonds.flatten(1).mean(1),
            "magnetization": magnetization,
            "abs_magnetization": magnetization.abs(),
            "magnetization_squared": magnetization.square() + missing,
        }

    def exact_reference(self, beta: float) -> ExactReference:
        """Exact -ln Z from the Ising model's, at the state's beta of 1; see ``zoo.exact.dual_ising``."""
        return exact_reference(self.spec, beta)

    def _quadratic(self, field: Float64[Tensor, "batch row column"]) -> Float64[Tensor, " batch"]:
        """1/2 x^T (K + o I)^-1 x."""
        return (field * self._divided(field)).flatten(1).sum(1) / 2

    def _divided(self, field: Float64[Tensor, "batch row column"]) -> Float64[Tensor, "batch row column"]:
        """(K + o I)^-1 x."""
        waves: Tensor = torch.fft.rfft2(field) * self._inverse.to(field.device)
        divided: Tensor = torch.fft.irfft2(waves, s=self.spec.shape)
        return divided
