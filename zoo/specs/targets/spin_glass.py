"""Spin glasses as a user writes them: any couplings and fields, explicit or drawn from a seed."""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from itertools import combinations
from math import prod, sqrt
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from zoo.specs.base import Spec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import MAX_COUPLING, Coupling, Length, Symmetry, TargetSeed, TargetSpec

MAX_SPINS = 4096
"""Most spins of one system with arbitrary couplings: their matrix takes 128 megabytes."""

Bonds = NDArray[np.int64]
Values = NDArray[np.float64]
SiteMap = Callable[[NDArray[np.int64]], NDArray[np.int64]]

_GENERIC = 3  # so many normal numbers or more are never invariant under an exchange of sites


class SherringtonKirkpatrick(Spec):
    """All pairs coupled by independent normal numbers of mean 0 and variance 1 / n.

    They are those of ``numpy.random.default_rng(seed)`` over sqrt(n), row by row of the upper triangle.
    Sherrington and Kirkpatrick, Phys. Rev. Lett. 35, 1792 (1975), without a mean.
    """

    kind: Literal["sherrington_kirkpatrick"] = "sherrington_kirkpatrick"
    n: Annotated[int, Field(strict=True, ge=1, le=MAX_SPINS)]
    """Number of spins, 1 to 4096."""
    seed: TargetSeed = 0
    """Seed of the couplings."""

    @property
    def event_shape(self) -> tuple[int, ...]:
        """(n,)."""
        return (self.n,)

    def bonds(self) -> tuple[Bonds, Values]:
        """Pairs i < j and their couplings."""
        pairs = np.stack(np.triu_indices(self.n, 1), 1)
        values: Values = np.random.default_rng(self.seed).standard_normal(len(pairs))
        values /= sqrt(self.n)
        return pairs, values


class EdwardsAnderson(Spec):
    """Nearest neighbours of a lattice coupled by independent random numbers.

    They are drawn from ``numpy.random.default_rng(seed)``, one for each bond: axis after axis, and for each axis from
    every site, in raster order, to the next.  A periodic length of 2 has two bonds for each pair, whose couplings add
    up; a length of 1 has none.  Edwards and Anderson, J. Phys. F 5, 965 (1975).
    """

    kind: Literal["edwards_anderson"] = "edwards_anderson"
    shape: tuple[Length, ...] = Field(min_length=1, max_length=3)
    """1 to 3 side lengths, each at least 1; at most 4096 sites."""
    seed: TargetSeed = 0
    """Seed of the couplings."""
    distribution: Literal["normal", "pm1"] = "normal"
    """``normal``: mean 0 and variance 1.  ``pm1``: -1 or +1, equally likely."""
    periodic: bool = True
    """Whether opposite faces of the lattice are joined."""

    @model_validator(mode="after")
    def _is_not_too_large(self) -> Self:
        if prod(self.shape) > MAX_SPINS:
            msg = f"shape has {prod(self.shape)} sites; a spin glass has at most {MAX_SPINS}"
            raise ValueError(msg)
        return self

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of the lattice."""
        return self.shape

    def bonds(self) -> tuple[Bonds, Values]:
        """Bonds and their couplings."""
        index = np.arange(prod(self.shape)).reshape(self.shape)
        pairs = [np.zeros((0, 2), dtype=np.int64)]
        for axis, side in enumerate(self.shape):
            starts = np.arange(0 if side == 1 else side if self.periodic else side - 1)
            ends = np.roll(index, -1, axis)
            pairs.append(np.stack([index.take(starts, axis).ravel(), ends.take(starts, axis).ravel()], 1))
        bonds, rng = np.concatenate(pairs), np.random.default_rng(self.seed)
        if self.distribution == "normal":
            return bonds, rng.standard_normal(len(bonds))
        return bonds, (2 * rng.integers(0, 2, len(bonds)) - 1).astype(np.float64)


def _kind_of_couplings(value: Any) -> str | None:  # noqa: ANN401 - what came, before it is validated
    if isinstance(value, list | tuple):
        return "matrix"
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return kind if isinstance(kind, str) else None


Matrix = Annotated[tuple[tuple[Coupling, ...], ...], Field(min_length=1, max_length=MAX_SPINS)]
Couplings = Annotated[
    Annotated[Matrix, Tag("matrix")]
    | Annotated[SherringtonKirkpatrick, Tag("sherrington_kirkpatrick")]
    | Annotated[EdwardsAnderson, Tag("edwards_anderson")],
    Discriminator(
        _kind_of_couplings,
        custom_error_type="couplings_kind",
        custom_error_message="couplings are a symmetric matrix (a list of rows), or an object whose kind is "
        "'sherrington_kirkpatrick' or 'edwards_anderson'",
    ),
]


class SpinGlassSpec(TargetSpec):
    """Spins with any couplings and fields: an explicit matrix, or random ones on a complete graph or a lattice."""

    formula: ClassVar[str] = "E(s) = -sum_{i<j} J_ij s_i s_j - sum_i h_i s_i, s_i = -1 or +1"
    units: ClassVar[str] = "energies in the unit of J_ij and h_i; beta in its inverse"
    citation: ClassVar[str] = (
        "Edwards and Anderson, J. Phys. F 5, 965 (1975); Sherrington and Kirkpatrick, Phys. Rev. Lett. 35, 1792 (1975)"
    )
    references: ClassVar[tuple[str, ...]] = (
        "enumeration: at most 24 spins",
        "transfer matrix, site by site: sparse couplings and fields of any strength, while at most 2^33.5 steps are "
        "needed (2D lattices: open up to 22 x 22; periodic up to 13 x 13 or 12 x 40)",
        "transfer matrix, layer by layer: periodic lattices with layers of w <= 16 spins, any couplings and fields, "
        "while (layers - 2) 4^w is at most 9e9 (4.5e9 with fields) and couplings within and around a layer span less "
        "than e^600: up to 14 x 35, 15 x 10 and 4 x 4 x 4, with normal couplings to a beta of about 9",
    )
    is_pairwise: ClassVar[bool] = True

    kind: Literal["spin_glass"] = "spin_glass"
    couplings: Couplings
    """J: a symmetric matrix with zero diagonal, in rows; or ``{"kind": "sherrington_kirkpatrick", "n", "seed"}``; or
    ``{"kind": "edwards_anderson", "shape", "seed", "distribution", "periodic"}``.  1 to 4096 spins."""
    fields: tuple[Coupling, ...] | None = None
    """h: one number for each spin, in raster order; none when absent."""

    @field_validator("couplings", mode="before")
    @classmethod
    def _are_symmetric(cls, couplings: object) -> object:
        if isinstance(couplings, list | tuple):
            _require_symmetric(couplings)
        return couplings

    @model_validator(mode="after")
    def _fields_fit(self) -> Self:
        n = self.space.num_sites
        if self.fields is not None and len(self.fields) != n:
            msg = f"fields has {len(self.fields)} numbers for the {n} spins of couplings; one for each spin is allowed"
            raise ValueError(msg)
        return self

    @property
    def space(self) -> SpaceSpec:
        """Spins: (n,), or the shape of the Edwards-Anderson lattice."""
        shape = (len(self.couplings),) if isinstance(self.couplings, tuple) else self.couplings.event_shape
        return SpaceSpec(kind="spins", event_shape=shape)

    def bonds(self) -> tuple[Bonds, Values]:
        """Pairs of sites in raster order and their couplings, all that are not 0.  A pair can come twice."""
        if isinstance(self.couplings, tuple):
            matrix = np.array(self.couplings, dtype=np.float64)
            pairs = np.argwhere(np.triu(matrix, 1))
            return pairs, matrix[pairs[:, 0], pairs[:, 1]]
        pairs, values = self.couplings.bonds()
        return pairs[values != 0], values[values != 0]

    def field_values(self) -> Values:
        """h_i of each site in raster order."""
        return np.zeros(self.space.num_sites) if self.fields is None else np.array(self.fields, dtype=np.float64)

    @cached_property
    def symmetries(self) -> frozenset[Symmetry]:
        """Spin flip, when no field breaks it; shifts and reflections where couplings and fields allow them."""
        found: set[Symmetry] = set() if self.field_values().any() else {"z2"}
        generic = isinstance(self.couplings, SherringtonKirkpatrick) and self.couplings.n >= _GENERIC
        if generic:
            return frozenset(found)
        shape, axes = self.space.event_shape, range(len(self.space.event_shape))
        shifts: list[SiteMap] = [partial(np.roll, shift=1, axis=axis) for axis in axes]
        reflections: list[SiteMap] = [partial(np.flip, axis=axis) for axis in axes]
        for a, b in combinations(axes, 2):
            if shape[a] == shape[b]:
                reflections.append(partial(np.swapaxes, axis1=a, axis2=b))
        if self._unchanged_by(shifts):
            found.add("lattice_translation")
        if self._unchanged_by(reflections):
            found.add("lattice_point_group")
        return frozenset(found)

    def _unchanged_by(self, maps: Sequence[SiteMap]) -> bool:
        """Whether couplings and fields are the same after each of ``maps`` of the array of sites."""
        (pairs, values), fields = self.bonds(), self.field_values()
        index = np.arange(len(fields)).reshape(self.space.event_shape)
        before = _summed(pairs, values, len(fields))
        for site_map in maps:
            image = site_map(index).ravel()
            after = _summed(image[pairs], values, len(fields))
            if not all(np.array_equal(a, b) for a, b in zip([*before, fields], [*after, fields[image]], strict=True)):
                return False
        return True


def _summed(pairs: Bonds, values: Values, n: int) -> tuple[Bonds, Values]:
    """Each coupled pair once, as i n + j with i < j, in increasing order, with the sum of its couplings where not 0."""
    keys, which = np.unique(pairs.min(1, initial=n) * n + pairs.max(1, initial=0), return_inverse=True)
    total = np.bincount(which, values, minlength=len(keys)).astype(np.float64)
    return keys[total != 0], total[total != 0]


def _require_symmetric(rows: Sequence[object]) -> None:
    """Nothing, for a square matrix J = J^T with J_ii = 0; else a ValueError that names the first offender."""
    n = len(rows)
    if not 1 <= n <= MAX_SPINS:
        msg = f"couplings has {n} rows; 1 to {MAX_SPINS} spins are allowed"
        raise ValueError(msg)
    for i, row in enumerate(rows):
        if not isinstance(row, list | tuple) or len(row) != n:
            found = f"{len(row)} numbers" if isinstance(row, list | tuple) else repr(row)[:80]
            msg = f"couplings[{i}] has {found} and there are {n} rows; a square matrix is allowed"
            raise ValueError(msg)
        for j, value in enumerate(row):
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (is_number and abs(value) <= MAX_COUPLING):
                msg = f"couplings[{i}][{j}] is {value!r}; a finite number from -1e9 to 1e9 is allowed"
                raise ValueError(msg)
    matrix = np.array(rows, dtype=np.float64)
    if matrix.diagonal().any():
        i = int(np.argmax(matrix.diagonal() != 0))
        msg = f"couplings[{i}][{i}] is {matrix[i, i]:g}; the diagonal is 0, since a spin has no coupling to itself"
        raise ValueError(msg)
    offending = np.argwhere(matrix != matrix.T)
    if len(offending):
        i, j = offending[0].tolist()
        msg = (
            f"couplings[{i}][{j}] is {float(matrix[i, j])!r} but couplings[{j}][{i}] is {float(matrix[j, i])!r}; the "
            "matrix is symmetric, with J_ij = J_ji the coupling of the pair"
        )
        raise ValueError(msg)
