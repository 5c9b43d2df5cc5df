"""The spaces that configurations live in, as data: what a target has and what a model accepts."""

from math import prod
from typing import Literal, Self

from pydantic import Field, model_validator

from zoo.specs.base import Spec

SpaceKind = Literal["spins", "bits", "categorical", "reals", "phase_space", "torus", "particles"]

DISCRETE: frozenset[SpaceKind] = frozenset({"spins", "bits", "categorical"})
"""Spaces with the counting measure; the others have Lebesgue's, d(theta) for angles."""

MAX_CATEGORIES = 256
"""Most values of one categorical variable: they travel as uint8."""

WIRE_DTYPES: dict[SpaceKind, str] = {
    "spins": "int8",
    "bits": "uint8",
    "categorical": "uint8",
    "reals": "float32",
    "phase_space": "float32",
    "torus": "float32",
    "particles": "float32",
}


class SpaceSpec(Spec):
    """A space of configurations: its kind, the shape of one event, and what the kind needs beside them.

    ``spins`` -1/+1; ``bits`` 0/1; ``categorical`` 0..num_values-1; ``reals``; ``phase_space``, shape (2 n,), positions
    before their momenta; ``torus``, angles in [-pi, pi); ``particles``, shape (n, d), in free space, or in a periodic
    ``box`` with coordinates in [-L_k / 2, L_k / 2).
    """

    kind: SpaceKind
    event_shape: tuple[int, ...]
    num_values: int | None = Field(default=None, ge=2, le=MAX_CATEGORIES)
    """Values of each categorical variable; None for the other kinds."""
    box: tuple[float, ...] | None = None
    """Side lengths of the periodic box of particles; None for particles in free space and the other kinds."""
    centered: bool = False
    """Particles whose centre of mass is fixed: sum_i x_i = 0, with the Euclidean measure of that (n-1) d dimensional
    subspace of R^(n d)."""

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        _require((self.kind == "categorical") == (self.num_values is not None), "num_values", "categorical spaces")
        _require(self.kind == "particles" or not (self.box or self.centered), "box and centered", "particles")
        if self.kind == "particles":
            dimension = self.event_shape[-1]
            _require(len(self.event_shape) == 2, "event_shape (n, d)", "particles")
            _require(self.box is None or len(self.box) == dimension, "box of one length for each axis", "particles")
            _require(self.box is None or not self.centered, "centered", "particles in free space")
        if self.kind == "phase_space":
            even = len(self.event_shape) == 1 and self.event_shape[0] % 2 == 0
            _require(even, "event_shape (2 n,)", "phase space")
        return self

    @property
    def num_sites(self) -> int:
        """Number of variables of one configuration, the product of the event shape."""
        return prod(self.event_shape)

    @property
    def num_degrees_of_freedom(self) -> int:
        """Dimension of the space: ``num_sites``, less one particle's coordinates where the centre of mass is fixed."""
        return self.num_sites - (self.event_shape[-1] if self.centered else 0)

    @property
    def is_discrete(self) -> bool:
        """Whether densities are probabilities (counting measure)."""
        return self.kind in DISCRETE

    @property
    def wire_dtype(self) -> str:
        """The numpy dtype that samples travel in."""
        return WIRE_DTYPES[self.kind]


def _require(holds: bool, what: str, of: str) -> None:  # noqa: FBT001 - a condition
    if not holds:
        msg = f"{what} belongs to {of}, and must be given there"
        raise ValueError(msg)
