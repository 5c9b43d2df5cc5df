"""What every target spec says of itself without computing anything."""

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from zoo.specs.base import Spec
from zoo.specs.errors import FieldError, NoExactReferenceError
from zoo.specs.spaces import SpaceSpec

Symmetry = Literal[
    "z2",  # E(-x) = E(x); for bits E(1 - b) = E(b)
    "lattice_translation",  # cyclic shifts along the axes of a periodic lattice
    "lattice_point_group",  # reflections of lattice axes, and exchanges of axes of equal length
    "global_shift",  # theta -> theta + c for all angles together
    "gauge",  # theta_mu(x) -> alpha(x) + theta_mu(x) - alpha(x + mu) for links
    "value_permutation",  # a permutation of the values of a categorical variable, the same at all sites
    "permutation",  # exchange of particles
    "rotation",  # x_i -> R x_i with R orthogonal, for particles in free space, and for vector spins
    "translation",  # x_i -> x_i + a for all particles
]

MIN_BETA, MAX_BETA = 1e-9, 1e9
MAX_COUPLING = 1e9
"""Largest modulus of an energy parameter: with beta it leaves sums over lattices, and their squares, finite."""

Coupling = Annotated[float, Field(ge=-MAX_COUPLING, le=MAX_COUPLING)]
Positive = Annotated[float, Field(gt=0, ge=1e-9, le=MAX_COUPLING)]
"""A length, stiffness or other parameter that is greater than 0, 1e-9 to 1e9."""
NonNegative = Annotated[float, Field(ge=0, le=MAX_COUPLING)]
Length = Annotated[int, Field(strict=True, ge=1)]
TargetSeed = Annotated[int, Field(strict=True, ge=0, le=2**53 - 1)]
"""Seed of what is random in a system itself: disorder, patterns, circuits."""


class TargetSpec(Spec):
    """A physical system p(x) = exp(-beta E(x)) / Z.  Subclasses add ``kind`` and the parameters of E."""

    formula: ClassVar[str]
    units: ClassVar[str]
    citation: ClassVar[str]
    references: ClassVar[tuple[str, ...]]
    energy_is_finite: ClassVar[bool] = True
    """Whether every configuration has some probability; else no model that spreads further has a finite <E>."""
    is_pairwise: ClassVar[bool] = False
    """Whether E is a sum over pairs of spins and over sites."""

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
        """The symmetries of the energy, each measured by the conformance suite."""

    @property
    def state_beta(self) -> float:
        """The beta of p = exp(-beta E) / Z: ``beta``, but 1 where E is an action that holds the temperature already."""
        return self.beta

    def no_exact_reference(self, why: str) -> NoExactReferenceError:
        """The error of a system whose free energy is not known exactly, with the ways that there are."""
        exact = "; ".join(self.references) or "none"
        allowed = (
            f"exact for this kind: {exact}; for all: a job of kind 'reference', by thermodynamic_integration or mbar"
        )
        message = f"no exact free energy of this {self.kind!r}: {why}; {allowed}"
        return NoExactReferenceError(message, errors=(FieldError("target", message, allowed),))
