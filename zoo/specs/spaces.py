"""The spaces that configurations live in, as data: what a target has and what a model accepts."""

from math import prod
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from zoo.specs.base import Spec

SpaceKind = Literal["spins", "bits", "categorical", "reals", "phase_space", "torus", "spheres", "particles"]

DISCRETE: frozenset[SpaceKind] = frozenset({"spins", "bits", "categorical"})
"""Spaces with the counting measure; the others have Lebesgue's, d(theta) for angles, the area of spheres."""

MAX_CATEGORIES = 256
"""Most values of one categorical variable: they travel as uint8."""

Sides = tuple[Annotated[float, Field(gt=0)], ...]
"""Side lengths of a periodic box, one for each axis."""

WIRE_DTYPES: dict[SpaceKind, str] = {
    "spins": "int8",
    "bits": "uint8",
    "categorical": "uint8",
    "reals": "float32",
    "phase_space": "float32",
    "torus": "float32",
    "spheres": "float32",
    "particles": "float32",
}


class SpaceSpec(Spec):
    """A space of configurations: its kind, the shape of one event, and what the kind needs beside them.

    ``spins`` -1/+1; ``bits`` 0/1; ``categorical`` 0..num_values-1; ``reals``; ``phase_space``, shape (2 n,), positions
    before their momenta; ``torus``, angles in [-pi, pi); ``spheres``, unit vectors of d components along the last axis;
    ``particles``, shape (n, d), in free space, or in a periodic ``box`` with coordinates in [-L_k / 2, L_k / 2).
    """

    kind: SpaceKind
    event_shape: tuple[int, ...]
    num_values: int | None = Field(default=None, ge=2, le=MAX_CATEGORIES)
    """Values of each categorical variable; None for the other kinds."""
    box: Sides | None = None
    """Side lengths of the periodic box of particles; None for particles in free space and the other kinds."""
    centered: bool = False
    """Particles whose centre of mass is fixed: sum_i x_i = 0, with the Euclidean measure of that (n-1) d dimensional
    subspace of R^(n d)."""

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        self._require(
            (self.kind == "categorical") == (self.num_values is not None),
            f"num_values is {self.num_values}; categorical spaces have one, 2 to {MAX_CATEGORIES}, and no other has",
        )
        if self.kind == "particles":
            self._check_particles()
        else:
            of_particles = self.box is None and not self.centered
            self._require(of_particles, "box and centered belong to particles; leave them out")
        if self.kind == "phase_space":
            even = len(self.event_shape) == 1 and self.event_shape[0] % 2 == 0
            shape = "configurations (2 n,) were expected, n positions and then their n momenta"
            self._require(even, f"one configuration has shape {self.event_shape}; {shape}")
        if self.kind == "spheres":
            vectors = len(self.event_shape) >= 2 and self.event_shape[-1] >= 2
            shape = "(.., d) was expected, unit vectors of d >= 2 components on a lattice of one axis at least"
            self._require(vectors, f"one configuration has shape {self.event_shape}; {shape}")
        return self

    def _check_particles(self) -> None:
        shape = f"one configuration has shape {self.event_shape}"
        self._require(len(self.event_shape) == 2, f"{shape}; (n, d) was expected, n particles in d dimensions")
        if self.box is None:
            return
        came = f"box has {len(self.box)} {'side' if len(self.box) == 1 else 'sides'} ({_listed(self.box)})"
        dimension = self.event_shape[-1]
        self._require(
            len(self.box) == dimension, f"{came} and {shape}; one side for each of {dimension} axes is needed"
        )
        self._require(not self.centered, f"{came} and centered is true; a centre of mass is fixed in free space alone")

    def _require(self, holds: bool, what: str) -> None:  # noqa: FBT001 - a condition
        if not holds:
            msg = f"the space is {self.kind!r}: {what}"
            raise ValueError(msg)

    @property
    def num_sites(self) -> int:
        """Number of variables of one configuration, the product of the event shape."""
        return prod(self.event_shape)

    @property
    def lattice_shape(self) -> tuple[int, ...]:
        """The event shape without the axis of the components, where the values are vectors."""
        return self.event_shape[:-1] if self.kind == "spheres" else self.event_shape

    @property
    def num_degrees_of_freedom(self) -> int:
        """Dimension of the space: ``num_sites``, less one particle's coordinates where the centre of mass is fixed.

        A unit vector of d components has d - 1.
        """
        if self.kind == "spheres":
            return self.num_sites - prod(self.lattice_shape)
        return self.num_sites - (self.event_shape[-1] if self.centered else 0)

    @property
    def is_discrete(self) -> bool:
        """Whether densities are probabilities (counting measure)."""
        return self.kind in DISCRETE

    @property
    def wire_dtype(self) -> str:
        """The numpy dtype that samples travel in."""
        return WIRE_DTYPES[self.kind]


def _listed(sides: tuple[float, ...]) -> str:
    return ", ".join(f"{side:g}" for side in sides)
