"""A multivariate normal distribution of mean 0."""

from math import sqrt
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Float64, Num
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.spaces import Reals
from zoo.core.targets import ContinuousTarget, HasDirectSampling, HasExactFreeEnergy
from zoo.exact.gaussian import exact_reference
from zoo.exact.temperatures import require_temperature
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.gaussian import GaussianSpec


@final
class Gaussian(ContinuousTarget, HasExactFreeEnergy, HasDirectSampling):
    """E(x) = 1/2 x^T K x on R^n, in the unit of K x^2: the density is normal with covariance (beta K)^-1.

    Source: Anderson, An Introduction to Multivariate Statistical Analysis, Wiley (1958), ch. 2.
    """

    def __init__(self, spec: GaussianSpec) -> None:
        self.spec = spec
        self._space = Reals(spec.space)
        self._precision = torch.from_numpy(spec.matrix)

    @property
    def space(self) -> Reals:
        """R^n."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """The flip x -> -x."""
        return self.spec.symmetries

    def energy(self, x: Num[Tensor, "batch n"]) -> Float[Tensor, " batch"]:
        """E(x), float64, shape (batch,)."""
        return -(self.force(x) * x.to(torch.float64)).sum(1) / 2

    def force(self, x: Float[Tensor, "batch n"]) -> Float64[Tensor, "batch n"]:
        """-K x, shape (batch, n)."""
        return -(x.to(torch.float64) @ self._precision.to(x.device))

    def observables(self, x: Num[Tensor, "batch n"]) -> dict[str, Float[Tensor, " batch"]]:
        """``energy`` in the unit of K x^2; ``squared_norm`` x^T x in the unit of x^2."""
        return {"energy": self.energy(x), "squared_norm": x.to(torch.float64).square().sum(1)}

    def exact_reference(self, beta: float) -> ExactReference:
        """The closed form; see ``zoo.exact.gaussian``."""
        return exact_reference(self.spec, beta)

    def draw(self, num_samples: int, beta: float, rng: RandomStream) -> Num[Tensor, "batch n"]:
        """Independent draws L^-T z / sqrt(beta), K = L L^T and z standard normal; float64, shape (num_samples, n).

        Raises:
            InvalidValueError: a beta that is not positive and finite.
        """
        require_temperature(beta)
        n = self.space.num_sites
        factor = np.linalg.inv(np.linalg.cholesky(self.spec.matrix))  # L^-1: x^T = z^T L^-1 has covariance K^-1
        return row_by_row(rng.normals(num_samples, n), torch.from_numpy(factor)) / sqrt(beta)


def row_by_row(rows: Float64[Tensor, "batch k"], matrix: Float64[Tensor, "k n"]) -> Float64[Tensor, "batch n"]:
    """``rows`` @ ``matrix``, each row rounded in the same way whatever the number of rows.

    A library product chooses its order of summation by the number of rows; here it is always the order of k.
    """
    total: Tensor = rows.new_zeros(len(rows), matrix.shape[1])
    for k, line in enumerate(matrix):
        total += rows[:, k, None] * line
    return total
