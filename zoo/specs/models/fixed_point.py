"""What families have in common that solve equations of a target instead of being trained, as a user writes it."""

from abc import abstractmethod

from pydantic import Field

from zoo.specs.models.base import ModelSpec
from zoo.specs.targets.base import TargetSpec


class FixedPointSpec(ModelSpec):
    """A family whose numbers are a fixed point x = g(x) of equations of a target with pairs of spins.

    From each of several starts x is replaced by damping x + (1 - damping) g(x) until no component of g(x) - x is larger
    than the tolerance.  The fixed point of lowest free energy is kept.
    """

    damping: float = Field(default=0.5, ge=0, le=0.999)
    """Part of the old values that is kept in each iteration, 0 to 0.999; without loops none is."""
    max_iterations: int = Field(default=10_000, ge=1, le=1_000_000)
    """Most iterations from each start.  What has not converged by then says so."""
    tolerance: float = Field(default=1e-10, ge=1e-14, le=1e-6)
    """Largest change by an iteration at which it has converged: of a magnetisation, or of a message."""
    random_starts: int = Field(default=2, ge=0, le=64)
    """Random spin configurations to start from, beside all spins up, spins that satisfy the bonds of a tree, and spins
    that are nearly even."""

    @property
    @abstractmethod
    def is_solved(self) -> bool:
        """Whether the equations are solved; else the family is trained as others are."""

    def unsolvable_reason(self, target: TargetSpec | None) -> str | None:
        """Why there are no such equations of ``target``, or None when there are."""
        if target is None:
            return f"family {self.family!r} solves equations of a target, and there is none; add the field 'target'"
        if not target.is_pairwise:
            return (
                f"family {self.family!r} solves equations of pairs of spins, and the energy of {target.kind!r} is no "
                "sum over pairs of spins; those of ising, spin_glass and hopfield are"
            )
        return None
