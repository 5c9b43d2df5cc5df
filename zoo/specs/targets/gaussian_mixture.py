"""A mixture of normal distributions as a user writes it."""

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from jaxtyping import Float64
from pydantic import Field, model_validator

from zoo.specs.base import Spec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Coupling, Positive, Symmetry, TargetSpec

MAX_MODES = 1024
MAX_DIMENSION = 64

_SAME = 1e-12  # two means coincide: relative to the largest coordinate


class CircleMeans(Spec):
    """Means spread evenly over a circle in the plane, the first on the x axis; 8 of them are the "eight Gaussians"."""

    kind: Literal["circle"] = "circle"
    modes: int = Field(default=8, strict=True, ge=1, le=MAX_MODES)
    """How many, 1 to 1024."""
    radius: Positive = 4.0
    """Distance of each from the origin."""


class GridMeans(Spec):
    """Means on a square grid in the plane, centred at the origin; 5 a side are the "25 Gaussians"."""

    kind: Literal["grid"] = "grid"
    side: int = Field(default=5, strict=True, ge=1, le=32)
    """How many along each axis, 1 to 32."""
    spacing: Positive = 2.0
    """Distance of neighbours."""


Mean = Annotated[tuple[Coupling, ...], Field(min_length=1, max_length=MAX_DIMENSION)]
ExplicitMeans = Annotated[tuple[Mean, ...], Field(min_length=1, max_length=MAX_MODES)]
PerMode = Annotated[tuple[Positive, ...], Field(min_length=1, max_length=MAX_MODES)]


class GaussianMixtureSpec(TargetSpec):
    """A normalised mixture of round normal distributions: Z = 1 at beta = 1.

    At another beta the density is the mixture's power beta, not a mixture of powers.
    """

    formula: ClassVar[str] = (
        "E(x) = -ln sum_k w_k (2 pi s_k^2)^(-d/2) exp(-|x - m_k|^2 / (2 s_k^2)), with sum_k w_k = 1"
    )
    units: ClassVar[str] = "energies in kT at beta = 1 (dimensionless); lengths in the unit of the scales"
    citation: ClassVar[str] = "Grathwohl et al., ICLR (2019), arXiv:1810.01367; Midgley et al., arXiv:2208.01893"
    references: ClassVar[tuple[str, ...]] = (
        "normalised: beta = 1, any dimension",
        "closed form: one mode, any beta and dimension",
        "quadrature: 1 dimension, or 2 with at most 25 modes, beta from about 1e-3 to 1e4",
    )

    kind: Literal["gaussian_mixture"] = "gaussian_mixture"
    means: CircleMeans | GridMeans | ExplicitMeans = CircleMeans()
    """The means m_k: explicit, each of 1 to 64 coordinates, or {"kind": "circle", "modes", "radius"}, or {"kind":
    "grid", "side", "spacing"}."""
    scales: Positive | PerMode = 0.5
    """The standard deviation s_k along each axis, greater than 0: one for all modes, or one for each."""
    weights: PerMode | None = None
    """The weights w_k, greater than 0, one for each mode; they are divided by their sum.  None means equal ones."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if isinstance(self.means, tuple):
            dimension = len(self.means[0])
            for k, mean in enumerate(self.means):
                if len(mean) != dimension:
                    msg = f"means[{k}] has {len(mean)} coordinates, and means[0] has {dimension}; all must agree"
                    raise ValueError(msg)
        for name in ("scales", "weights"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != self.num_modes:
                msg = f"{name} has {len(value)} numbers for {self.num_modes} modes; one for each mode is needed"
                raise ValueError(msg)
        return self

    @property
    def num_modes(self) -> int:
        """How many modes."""
        if isinstance(self.means, CircleMeans):
            return self.means.modes
        return self.means.side**2 if isinstance(self.means, GridMeans) else len(self.means)

    @property
    def locations(self) -> Float64[np.ndarray, "mode d"]:
        """m_k."""
        if isinstance(self.means, CircleMeans):
            angle = 2 * np.pi * np.arange(self.means.modes) / self.means.modes
            return np.asarray(self.means.radius * np.column_stack([np.cos(angle), np.sin(angle)]))
        if isinstance(self.means, GridMeans):
            axis = (np.arange(self.means.side) - (self.means.side - 1) / 2) * self.means.spacing
            return np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
        return np.array(self.means, np.float64)

    @property
    def deviations(self) -> Float64[np.ndarray, " mode"]:
        """s_k."""
        return np.broadcast_to(np.array(self.scales, np.float64), (self.num_modes,)).copy()

    @property
    def probabilities(self) -> Float64[np.ndarray, " mode"]:
        """w_k, of sum 1."""
        weights = np.ones(self.num_modes) if self.weights is None else np.array(self.weights, np.float64)
        return np.asarray(weights / weights.sum())

    @property
    def space(self) -> SpaceSpec:
        """R^d."""
        return SpaceSpec(kind="reals", event_shape=(self.locations.shape[1],))

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """The flip x -> -x, where every mode has its mirror image."""
        return frozenset({"z2"}) if self._is_even() else frozenset()

    def _is_even(self) -> bool:
        """Whether the modes at m and at -m of each scale have the same total weight."""
        m, s, w = self.locations, self.deviations, self.probabilities
        tolerance = _SAME * max(1e-300, float(np.abs(m).max()))

        def weight_at(k: int, sign: int) -> float:
            there = (np.abs(m - sign * m[k]).max(1) <= tolerance) & (s == s[k])
            return float(w[there].sum())

        return all(abs(weight_at(k, 1) - weight_at(k, -1)) <= _SAME for k in range(self.num_modes))
