"""Mixtures of round normal distributions."""

from math import log, pi
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Float64, Num
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.spaces import Reals
from zoo.core.targets import ContinuousTarget, HasDirectSampling, HasExactFreeEnergy
from zoo.exact.mixture import exact_reference
from zoo.specs.errors import FieldError, InvalidValueError
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.gaussian_mixture import GaussianMixtureSpec

_NUMBERS_AT_ONCE = 2**22  # of offsets x - m_k: 32 megabytes
_FLOAT32_STEP = 2.0**-24


@final
class GaussianMixture(ContinuousTarget, HasExactFreeEnergy, HasDirectSampling):
    """E(x) = -ln sum_k w_k (2 pi s_k^2)^(-d/2) exp(-|x - m_k|^2 / (2 s_k^2)), dimensionless; Z = 1 at beta = 1.

    Source: the two-dimensional densities of the flow literature, Grathwohl et al., ICLR (2019), arXiv:1810.01367.
    """

    def __init__(self, spec: GaussianMixtureSpec) -> None:
        self.spec = spec
        self._space = Reals(spec.space)
        self._means = torch.from_numpy(spec.locations)
        self._scales = torch.from_numpy(spec.deviations)
        dimension = spec.space.num_sites
        self._log_heights = torch.from_numpy(spec.probabilities).log() - dimension * (
            self._scales.log() + log(2 * pi) / 2
        )

    @property
    def space(self) -> Reals:
        """R^d."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """The flip x -> -x, where every mode has its mirror image."""
        return self.spec.symmetries

    def energy(self, x: Num[Tensor, "batch d"]) -> Float[Tensor, " batch"]:
        """E(x) = -ln p(x), float64, shape (batch,)."""
        return torch.cat([-self._terms(part)[0].logsumexp(1) for part in self._parts(x)])

    def force(self, x: Float[Tensor, "batch d"]) -> Float64[Tensor, "batch d"]:
        """-grad E = sum_k r_k (m_k - x) / s_k^2, r_k the responsibility of mode k at x; shape of ``x``."""
        forces = []
        for part in self._parts(x):
            log_terms, offset = self._terms(part)
            pull = log_terms.softmax(1) / self._scales.to(x.device).square()
            forces.append(-(pull[..., None] * offset).sum(1))
        return torch.cat(forces)

    def observables(self, x: Num[Tensor, "batch d"]) -> dict[str, Float[Tensor, " batch"]]:
        """``energy`` in kT at beta = 1; ``squared_norm`` |x|^2; ``first_mode`` the responsibility of the first mode.

        The responsibility w_1 N(x; m_1, s_1^2) / p(x) has the mean w_1 at beta = 1: a model that has lost a mode shows.
        """
        first = torch.cat([self._terms(part)[0].softmax(1)[:, 0] for part in self._parts(x)])
        squared_norm = x.to(torch.float64).square().sum(1)
        return {"energy": self.energy(x), "squared_norm": squared_norm, "first_mode": first}

    def exact_reference(self, beta: float) -> ExactReference:
        """0 at beta = 1, elsewhere closed form or quadrature; see ``zoo.exact.mixture``."""
        return exact_reference(self.spec, beta)

    def draw(self, num_samples: int, beta: float, rng: RandomStream) -> Num[Tensor, "batch d"]:
        """Independent draws at beta = 1: a mode by its weight, then a normal number for each coordinate; float64.

        Raises:
            InvalidValueError: another beta, at which the density is no mixture of normal ones.
        """
        if beta != 1:
            message = f"beta is {beta}; a mixture is drawn from directly at beta = 1 only: elsewhere use sampler 'hmc'"
            raise InvalidValueError(message, errors=(FieldError("beta", message, "1"),))
        ends = np.cumsum(self.spec.probabilities)
        high, low = rng.spawn(0).at(rng.first).uniforms(num_samples, 2).double().unbind(1)
        uniform = high + low * _FLOAT32_STEP  # 48 bits, so that modes of any weight are met
        mode = torch.searchsorted(torch.from_numpy(ends / ends[-1]), uniform, right=True)
        z = rng.spawn(1).at(rng.first).normals(num_samples, self.space.num_sites)
        return self._means[mode] + self._scales[mode, None] * z

    def _parts(self, x: Num[Tensor, "batch d"]) -> tuple[Tensor, ...]:
        """``x`` in float64, cut so that a part's offsets from all means take moderate memory."""
        return torch.split(x.to(torch.float64), max(1, _NUMBERS_AT_ONCE // self._means.numel()))

    def _terms(
        self, x: Float64[Tensor, "batch d"]
    ) -> tuple[Float64[Tensor, "batch mode"], Float64[Tensor, "batch mode d"]]:
        """Ln(w_k N(x; m_k, s_k^2)) and x - m_k."""
        offset = x[:, None] - self._means.to(x.device)
        exponent = offset.square().sum(2) / (2 * self._scales.to(x.device).square())
        return self._log_heights.to(x.device) - exponent, offset
