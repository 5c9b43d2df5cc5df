"""What every target spec says of itself without computing anything."""

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from zoo.specs.base import Spec
from zoo.specs.spaces import SpaceSpec

Symmetry = Literal["z2"]

MIN_BETA, MAX_BETA = 1e-9, 1e9
MAX_COUPLING = 1e9
"""Largest modulus of an energy parameter: with beta it leaves sums over lattices, and their squares, finite."""

Coupling = Annotated[float, Field(ge=-MAX_COUPLING, le=MAX_COUPLING)]


class TargetSpec(Spec):
    """A physical system p(x) = exp(-beta E(x)) / Z.  Subclasses add ``kind`` and the parameters of E."""

    formula: ClassVar[str]
    units: ClassVar[str]
    citation: ClassVar[str]
    references: ClassVar[tuple[str, ...]]

    kind: str
    beta: float = Field(default=1.0, ge=MIN_BETA, le=MAX_BETA)
    """Inverse temperature in units of 1 / energy, 1e-9 to 1e9: greater than 0."""

    @property
    @abstractmethod
    def space(self) -> SpaceSpec:
        """The space of the system's configurations."""

    @property
    @abstractmethod
    def symmetries(self) -> frozenset[Symmetry]:
        """The symmetries of the energy; ``z2`` is E(-s) = E(s)."""
