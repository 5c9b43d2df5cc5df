"""What every target spec says of itself without computing anything."""

from abc import abstractmethod
from typing import ClassVar, Literal

from pydantic import Field

from zoo.specs.base import Spec
from zoo.specs.spaces import SpaceSpec

Symmetry = Literal["z2"]


class TargetSpec(Spec):
    """A physical system p(x) = exp(-beta E(x)) / Z.  Subclasses add ``kind`` and the parameters of E."""

    formula: ClassVar[str]
    units: ClassVar[str]
    citation: ClassVar[str]
    references: ClassVar[tuple[str, ...]]

    kind: str
    beta: float = Field(default=1.0, gt=0)
    """Inverse temperature in units of 1 / energy; greater than 0."""

    @property
    @abstractmethod
    def space(self) -> SpaceSpec:
        """The space of the system's configurations."""

    @property
    @abstractmethod
    def symmetries(self) -> frozenset[Symmetry]:
        """The symmetries of the energy; ``z2`` is E(-s) = E(s)."""
