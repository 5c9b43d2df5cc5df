"""The Hopfield model as a user writes it."""

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Symmetry, TargetSeed, TargetSpec

MAX_SPINS = 4096
MAX_PATTERNS = 4096

Patterns = NDArray[np.int64]


class HopfieldSpec(TargetSpec):
    """Spins that store patterns of -1 and +1 by Hebb's rule, J_ij = (1/n) sum_p xi_pi xi_pj, J_ii = 0."""

    formula: ClassVar[str] = "E(s) = -sum_{i<j} J_ij s_i s_j, J_ij = (1/n) sum_p xi_pi xi_pj, s_i = -1 or +1"
    units: ClassVar[str] = "energies in the unit of n J_ij for one pattern; beta in its inverse"
    citation: ClassVar[str] = (
        "Hopfield, PNAS 79, 2554 (1982); Amit, Gutfreund and Sompolinsky, Phys. Rev. A 32, 1007 (1985)"
    )
    references: ClassVar[tuple[str, ...]] = (
        "enumeration: at most 24 spins",
        "sum over classes of sites that the patterns treat alike: at most 2^23 sets of class magnetizations (one or "
        "two patterns of any n; three up to n about 200)",
    )
    is_pairwise: ClassVar[bool] = True

    kind: Literal["hopfield"] = "hopfield"
    n: Annotated[int, Field(strict=True, ge=1, le=MAX_SPINS)]
    """Number of spins, 1 to 4096."""
    patterns: Annotated[int, Field(strict=True, ge=1, le=MAX_PATTERNS)] | tuple[tuple[int, ...], ...] = 1
    """How many random patterns, 1 to 4096; or the patterns themselves, rows of n numbers -1 or +1."""
    seed: TargetSeed = 0
    """Seed of random patterns: ``numpy.random.default_rng(seed).choice([-1, 1], (patterns, n))``."""

    @field_validator("patterns", mode="before")
    @classmethod
    def _are_signs(cls, patterns: object) -> object:
        if isinstance(patterns, list | tuple):
            return _signs(patterns)
        if isinstance(patterns, bool) or not isinstance(patterns, int) or not 1 <= patterns <= MAX_PATTERNS:
            msg = f"patterns is {patterns!r}; a count from 1 to {MAX_PATTERNS}, or rows of -1 and +1, is allowed"
            raise ValueError(msg)
        return patterns

    @model_validator(mode="after")
    def _rows_fit(self) -> Self:
        if isinstance(self.patterns, tuple) and len(self.patterns[0]) != self.n:
            msg = f"patterns has rows of {len(self.patterns[0])} numbers and n is {self.n}; rows of n are allowed"
            raise ValueError(msg)
        return self

    @property
    def space(self) -> SpaceSpec:
        """Spins, shape (n,)."""
        return SpaceSpec(kind="spins", event_shape=(self.n,))

    def pattern_values(self) -> Patterns:
        """The patterns xi, shape (pattern, n), -1 or +1."""
        if isinstance(self.patterns, tuple):
            return np.array(self.patterns, dtype=np.int64)
        return np.random.default_rng(self.seed).choice([-1, 1], (self.patterns, self.n))

    @cached_property
    def symmetries(self) -> frozenset[Symmetry]:
        """Spin flip; a cyclic shift and a reflection of the sites where the patterns happen to allow them."""
        xi = self.pattern_values().astype(np.float64)
        found: set[Symmetry] = {"z2"}
        if _has_the_same_couplings(xi, np.roll(xi, 1, 1)):
            found.add("lattice_translation")
        if _has_the_same_couplings(xi, xi[:, ::-1]):
            found.add("lattice_point_group")
        return frozenset(found)


def _has_the_same_couplings(xi: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether xi^T xi is the same for two sets of patterns; the first row that differs ends it."""
    return all(np.array_equal(xi[:, i] @ xi, other[:, i] @ other) for i in range(xi.shape[1]))


def _signs(rows: Sequence[object]) -> tuple[tuple[int, ...], ...]:
    """``rows`` as integers -1 or +1, all of one length; else a ValueError that names the first offender."""
    if not 1 <= len(rows) <= MAX_PATTERNS:
        msg = f"patterns has {len(rows)} rows; 1 to {MAX_PATTERNS} are allowed"
        raise ValueError(msg)
    for p, row in enumerate(rows):
        first = rows[0]
        if not isinstance(row, list | tuple) or not isinstance(first, list | tuple) or len(row) != len(first):
            msg = f"patterns[{p}] is {str(row)[:60]}; rows of -1 and +1, all of length n, are allowed"
            raise ValueError(msg)
        for i, value in enumerate(row):
            if isinstance(value, bool) or value not in (-1, 1):
                msg = f"patterns[{p}][{i}] is {value!r}; -1 or +1 is allowed"
                raise ValueError(msg)
    return tuple(tuple(int(value) for value in row) for row in rows if isinstance(row, list | tuple))
