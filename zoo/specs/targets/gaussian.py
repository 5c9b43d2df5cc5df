"""A multivariate normal distribution as a user writes it."""

from typing import ClassVar, Literal, Self

import numpy as np
from jaxtyping import Float64
from pydantic import Field, model_validator

from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Coupling, Symmetry, TargetSpec

MAX_DIMENSION = 1024
"""Most variables: a matrix of this size is decomposed in a fraction of a second."""

Row = tuple[Coupling, ...]


class GaussianSpec(TargetSpec):
    """Normal distribution of mean 0 with covariance (beta K)^-1, for an explicit precision matrix K."""

    formula: ClassVar[str] = "E(x) = 1/2 x^T K x, x in R^n, K symmetric and positive definite"
    units: ClassVar[str] = "energies in the unit of K x^2; beta in its inverse"
    citation: ClassVar[str] = "Anderson, An Introduction to Multivariate Statistical Analysis, Wiley (1958), ch. 2"
    references: ClassVar[tuple[str, ...]] = ("closed form: ln Z = n/2 ln(2 pi / beta) - 1/2 ln det K, any K and beta",)

    kind: Literal["gaussian"] = "gaussian"
    precision: tuple[Row, ...] = Field(min_length=1, max_length=MAX_DIMENSION)
    """The matrix K, n rows of n numbers, 1 <= n <= 1024: symmetric and positive definite.

    Its largest eigenvalue is less than 1 / (n 2.2e-16) times its smallest, so that 16 digits tell this from 0.
    """

    @model_validator(mode="after")
    def _is_positive_definite(self) -> Self:
        n = len(self.precision)
        for i, row in enumerate(self.precision):
            _refuse_unless(len(row) == n, f"is not square: it has {n} rows, and precision[{i}] has {len(row)} numbers")
        K = self.matrix
        for i, j in np.argwhere(K != K.T)[:1]:
            pair = f"precision[{i}][{j}] is {K[i, j]}, and precision[{j}][{i}] is {K[j, i]}"
            _refuse_unless(False, f"is not symmetric: {pair}")  # noqa: FBT003 - the condition has been looked at
        eigenvalues = np.linalg.eigvalsh(K)
        eigenvalues, rounding = np.linalg.eigvalsh(K), n * np.finfo(np.float64).eps
        smallest, largest = float(eigenvalues[0]), float(eigenvalues[-1])
        _refuse_unless(smallest > 0, f"is not positive definite: its smallest eigenvalue is {smallest:.6g}")
        rule = f"the condition number of {n} rows is at most {1 / rounding:.3g}, since numbers have 16 digits"
        span = f"its eigenvalues go from {smallest:.6g} to {largest:.6g}"
        told = smallest > float(rounding) * largest
        _refuse_unless(told, f"cannot be told from one that is not positive definite: {span}, and {rule}")
        return self

    @property
    def matrix(self) -> Float64[np.ndarray, "n n"]:
        """K."""
        return np.array(self.precision, np.float64)

    @property
    def space(self) -> SpaceSpec:
        """R^n."""
        return SpaceSpec(kind="reals", event_shape=(len(self.precision),))

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """The flip x -> -x."""
        return frozenset({"z2"})


def _refuse_unless(holds: bool, what: str) -> None:  # noqa: FBT001 - a condition
    if not holds:
        msg = f"precision {what}; allowed are symmetric positive definite matrices (Z diverges otherwise)"
        raise ValueError(msg)
