"""The spaces that configurations live in, as data: what a target has and what a model accepts."""

from math import prod
from typing import Literal

from zoo.specs.base import Spec

SpaceKind = Literal["spins", "bits"]

WIRE_DTYPES: dict[SpaceKind, str] = {"spins": "int8", "bits": "uint8"}


class SpaceSpec(Spec):
    """A space of configurations: its kind and the shape of one event."""

    kind: SpaceKind
    event_shape: tuple[int, ...]

    @property
    def num_sites(self) -> int:
        """Number of variables of one configuration, the product of the event shape."""
        return prod(self.event_shape)

    @property
    def wire_dtype(self) -> str:
        """The numpy dtype that samples travel in: int8 for spins -1/+1, uint8 for bits 0/1."""
        return WIRE_DTYPES[self.kind]
