"""Lennard-Jones clusters and solids as a user writes them."""

from dataclasses import dataclass
from math import inf, prod
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Positive, Symmetry, TargetSpec
from zoo.specs.targets.boxes import checked_box, cubic_box, require_half_box

ParticleNumber = Annotated[int, Field(strict=True, ge=2, le=4096)]

USUAL_CUTOFF = 2.7
"""Of the interaction in a periodic box, in units of sigma, where the box has room for it."""


class LennardJonesSpec(TargetSpec):
    """n particles, each pair once with 4 eps [(sigma/r)^12 - (sigma/r)^6]: a cluster, or a solid in a periodic box.

    A ``density`` or a ``box`` makes it periodic; without both it is a cluster, held together by a harmonic pull to its
    centre of mass.

    Cluster: sum_i x_i = 0, Z is the integral over that subspace with its Euclidean measure.  Published energies of LJ13
    and LJ55 differ by a factor of 2 in the pair energy.  eps [(r_m/r)^12 - 2 (r_m/r)^6] with r_m = 2^(1/6) sigma is the
    pair energy used here.  Köhler, Klein and Noé (2020, arXiv:2006.02425) multiply its sum over all i != j by 1/2
    (their eps / (2 tau)), as bgflow does: each pair once, as here, with epsilon = 1, sigma = 2^(-1/6), center_pull = 1.
    Akhound-Sadegh et al. (2024, arXiv:2402.06121, DEM) and codes derived from it leave the sum over i != j as it is
    (energy_factor = 1): each pair twice, which is epsilon = 2 here with the same pull.

    Distances below 0.001 sigma count as 0.001 sigma, where a pair has 4e36 epsilon: coincident particles have finite
    energies, so that sums and averages over samples stay numbers, in float32 too.

    Solid: coordinates in the box, the centre of mass free, Z over all labellings.  Without ``switching`` the energy is
    truncated and shifted, v(r) - v(r_c) for r < r_c, as published by Wirnsberger et al. (2022, arXiv:2111.08696;
    density 1.28, beta 0.5, r_c = 2.7 sigma).  With ``switching`` r_s it is v(r) S((r - r_s) / (r_c - r_s)) for
    r_s < r < r_c, S(y) = 1 - 10 y^3 + 15 y^4 - 6 y^5, as used by Schebek et al. (2024, arXiv:2406.12378; r_c = 2.2
    sigma, r_s = 0.9 r_c).  ``zoo.exact.solid_free_energies`` converts to their free energies.
    """

    formula: ClassVar[str] = (
        "E(x) = sum_{i<j} 4 eps [(sigma/r_ij)^12 - (sigma/r_ij)^6] + c/2 sum_i |x_i - x_cm|^2 (clusters); "
        "periodic: the same pair energy less its value at the cut-off, or switched off before it; no pull"
    )
    units: ClassVar[str] = "energies in the unit of epsilon, lengths in that of sigma, c in energy / length^2"
    citation: ClassVar[str] = "Jones, Proc. R. Soc. A 106, 463 (1924); Wirnsberger et al., arXiv:2111.08696 (2022)"
    references: ClassVar[tuple[str, ...]] = ("quadrature: two particles, unless parameters are extreme",)

    kind: Literal["lennard_jones"] = "lennard_jones"
    n: ParticleNumber = 13
    """Number of particles, 2 to 4096."""
    dimension: Literal[2, 3] = 3
    """Dimension of space, 2 or 3."""
    epsilon: Positive = 1.0
    """Depth of the pair energy, greater than 0."""
    sigma: Positive = 1.0
    """Distance at which the pair energy passes through 0, greater than 0."""
    density: Positive | None = None
    """Periodic: reduced density n sigma^d / V of a cubic box, greater than 0."""
    box: tuple[Positive, ...] | None = None
    """Periodic: sides of the box, one for each axis, in the unit of sigma's length; instead of ``density``."""
    cutoff: Positive | None = None
    """Periodic: r_c, at most half the shortest side; None for 2.7 sigma, or half the shortest side if that is less."""
    switching: Positive | None = None
    """Periodic: r_s, less than the cut-off, where switching begins; None for an energy truncated and shifted."""
    center_pull: Positive | None = None
    """Clusters: stiffness c of the pull to the centre of mass, greater than 0, since Z diverges without; None for 1."""

    @field_validator("box")
    @classmethod
    def _one_box(cls, box: tuple[float, ...] | None, info: ValidationInfo) -> tuple[float, ...] | None:
        return checked_box(box, info.data.get("density"), info.data.get("dimension", len(box or ())))

    @field_validator("cutoff")
    @classmethod
    def _cutoff_fits(cls, cutoff: float | None, info: ValidationInfo) -> float | None:
        if cutoff is not None and _Periodic.known(info):
            require_half_box(cutoff, _Periodic.of(info, "cutoff").sides)
        return cutoff

    @field_validator("switching")
    @classmethod
    def _switching_fits(cls, switching: float | None, info: ValidationInfo) -> float | None:
        if switching is not None and _Periodic.known(info) and "cutoff" in info.data:
            end = _Periodic.of(info, "switching").cutoff_radius(info.data["cutoff"])
            if switching >= end:
                msg = f"switching is {switching:g}; allowed: 0 < switching < cutoff = {end:g}"
                raise ValueError(msg)
        return switching

    @field_validator("center_pull")
    @classmethod
    def _clusters_only(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and (info.data.get("density") is not None or info.data.get("box") is not None):
            msg = "center_pull belongs to clusters: leave it out, or leave out density and box"
            raise ValueError(msg)
        return value

    @property
    def sides(self) -> tuple[float, ...] | None:
        """Sides of the periodic box; None for a cluster."""
        return None if self._periodic is None else self._periodic.sides

    @property
    def _periodic(self) -> "_Periodic | None":
        if self.density is None and self.box is None:
            return None
        return _Periodic(self.n, self.dimension, self.sigma, self.density, self.box)

    @property
    def volume(self) -> float | None:
        """Volume of the periodic box; None for a cluster."""
        return None if self.sides is None else prod(self.sides)

    @property
    def cutoff_radius(self) -> float:
        """r_c in a periodic box; infinite for a cluster."""
        return inf if self._periodic is None else self._periodic.cutoff_radius(self.cutoff)

    @property
    def pull(self) -> float:
        """C of a cluster; 0 in a periodic box."""
        if self.sides is not None:
            return 0.0
        return 1.0 if self.center_pull is None else self.center_pull

    @property
    def space(self) -> SpaceSpec:
        """Particles with their centre of mass at the origin, or in a periodic box."""
        shape, sides = (self.n, self.dimension), self.sides
        return SpaceSpec(kind="particles", event_shape=shape, box=sides, centered=sides is None)

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Exchange of particles, translations, inversion; rotations of clusters alone."""
        every: frozenset[Symmetry] = frozenset({"permutation", "translation", "z2"})
        return every | {"rotation"} if self.sides is None else every


_GEOMETRY = ("n", "dimension", "sigma", "density", "box")


@dataclass(frozen=True)
class _Periodic:
    """What decides on the box and on the length of the interaction."""

    n: int
    dimension: int
    sigma: float
    density: float | None
    box: tuple[float, ...] | None

    @classmethod
    def known(cls, info: ValidationInfo) -> bool:
        """Whether the fields it is made of were all valid."""
        return all(name in info.data for name in _GEOMETRY)

    @classmethod
    def of(cls, info: ValidationInfo, field: str) -> "_Periodic":
        """From a spec in validation; ``field`` is refused for a cluster."""
        if info.data["density"] is None and info.data["box"] is None:
            msg = f"{field} belongs to a periodic box: give density > 0 or box, too, or leave it out"
            raise ValueError(msg)
        return cls(**{name: info.data[name] for name in _GEOMETRY})

    @property
    def sides(self) -> tuple[float, ...]:
        """Of the box, in the unit of sigma's length."""
        if self.box is not None:
            return self.box
        return cubic_box(self.n, (self.density or 0.0) / self.sigma**self.dimension, self.dimension)

    def cutoff_radius(self, asked: float | None) -> float:
        """The cut-off asked for, else the usual one as far as the box has room for it."""
        return asked if asked is not None else min(USUAL_CUTOFF * self.sigma, min(self.sides) / 2)
