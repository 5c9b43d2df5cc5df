"""The exact reference of an Ising model: the first method that covers it.

In this order: independent spins (no bonds or J = 0), chains by transfer matrix, Kaufman's formula, strips by transfer
matrix, enumeration.  Lengths of 1 are dropped first, since they have no bond; a periodic length of 2 counts each bond
twice, in every method.  A triangular lattice with a length of 1 is a chain, of double bonds when periodic, because its
diagonals join the same neighbours.

Beside the value of a periodic square lattice without field stands that of the infinite lattice, by Onsager: it is no
reference of the finite system, and is named for what it is.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import exp, log, log1p, prod, tanh

import numpy as np

from zoo.core.lattices import lattice_bonds
from zoo.exact.cumulants import Cumulants
from zoo.exact.enumeration import MAX_SPINS, coupling_matrix, pair_enumeration_cumulants
from zoo.exact.kaufman import kaufman_applies, kaufman_cumulants
from zoo.exact.onsager import onsager_cumulants
from zoo.exact.temperatures import require_temperature_or_zero_beta
from zoo.exact.transfer_matrix import strip_cumulants
from zoo.exact.triangular_strip import triangular_strip_cumulants
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.ising import IsingSpec

_INDEPENDENT = ("independent spins", "closed form: Z = (2 cosh beta h)^N")
_CHAIN = ("transfer matrix", "Ising, Z. Phys. 31, 253 (1925)")
_KAUFMAN = ("Kaufman 1949", "Kaufman, Phys. Rev. 76, 1232 (1949); Ferdinand and Fisher, Phys. Rev. 185, 832 (1969)")
_STRIP = ("transfer matrix", "Kramers and Wannier, Phys. Rev. 60, 252 (1941)")
_TRIANGULAR = ("transfer matrix", "Kramers and Wannier, Phys. Rev. 60, 252 (1941); Wannier, Phys. Rev. 79, 357 (1950)")
_ENUMERATION = ("enumeration", "sum over all configurations")


def exact_reference(spec: IsingSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z of ``spec`` at ``beta`` (which stands in for ``spec.beta``), with energy and heat capacity.

    Observables: ``energy_per_site`` is <E> / N in the unit of J and h; ``heat_capacity_per_site`` is beta^2 var(E) / N,
    with k_B = 1.  For 2D periodic square lattices at h = 0 also ``onsager_beta_f_per_site``: -ln Z / N of the infinite
    lattice.

    Raises:
        InvalidValueError: a beta that is negative, infinite or NaN.
        NoExactReferenceError: no method covers these parameters.
    """
    require_temperature_or_zero_beta(beta, spec.J, spec.h)
    model = _Reduced.of(spec, beta)
    try:
        (method, citation), cumulants = _solve(model)
    except ValueError as error:
        raise spec.no_exact_reference(_why_not(model, error)) from None
    sites = prod(spec.shape)
    return ExactReference(
        beta_f=-cumulants.log_z,
        method=method,
        citation=citation,
        observables={**cumulants.observables(beta, sites), **model.infinite_limit()},
    )


@dataclass(frozen=True)
class _Reduced:
    """A model as Z sees it: sides longer than 1 in increasing order, K = beta J and b = beta h."""

    sides: tuple[int, ...]
    periodic: bool
    K: float
    b: float
    triangular: bool

    @classmethod
    def of(cls, spec: IsingSpec, beta: float) -> "_Reduced":
        """``spec`` at ``beta``."""
        sides = tuple(sorted(side for side in spec.shape if side > 1))
        triangular = spec.lattice == "triangular"
        bonds = 2 if triangular and spec.periodic and len(sides) == 1 else 1
        return cls(sides, spec.periodic, bonds * beta * spec.J, beta * spec.h, triangular and len(sides) == 2)

    def infinite_limit(self) -> dict[str, float]:
        """Onsager's value where this is a finite piece of his lattice."""
        if len(self.sides) == 2 and self.periodic and self.b == 0 and not self.triangular:
            return {"onsager_beta_f_per_site": -onsager_cumulants(self.K).log_z}
        return {}

    @property
    def num_sites(self) -> int:
        """N."""
        return prod(self.sides)

    def enumerated(self) -> Cumulants:
        """By the sum over all configurations."""
        bonds = lattice_bonds(self.sides, periodic=self.periodic, triangular=self.triangular).numpy()
        couplings = coupling_matrix(bonds, np.full(len(bonds), self.K), self.num_sites)
        return pair_enumeration_cumulants(couplings, np.full(self.num_sites, self.b))


@lru_cache(maxsize=256)
def _solve(model: _Reduced) -> tuple[tuple[str, str], Cumulants]:
    """Method, citation and cumulants by the first method that covers ``model``, or a ValueError that says why none."""
    sides, K, b = model.sides, model.K, model.b
    why = f"enumeration takes at most {MAX_SPINS} sites, and there are {model.num_sites}"
    if not sides or K == 0:
        return _INDEPENDENT, _independent_spins(model.num_sites, b)
    if len(sides) == 1:
        return _CHAIN, strip_cumulants(1, sides[0], K, b, periodic=model.periodic)
    if len(sides) == 2:
        try:
            return _planar(model)
        except ValueError as error:
            why = f"{error}; {why}"
    if model.num_sites <= MAX_SPINS:
        return _ENUMERATION, model.enumerated()
    raise ValueError(why)


def _planar(model: _Reduced) -> tuple[tuple[str, str], Cumulants]:
    """What holds for two sides only."""
    (width, length), K, b = model.sides, model.K, model.b
    if model.triangular:
        return _TRIANGULAR, triangular_strip_cumulants(width, length, K, b, periodic=model.periodic)
    if model.periodic and b == 0 and kaufman_applies(width, length, K):
        return _KAUFMAN, kaufman_cumulants(width, length, K)
    try:
        return _STRIP, strip_cumulants(width, length, K, b, periodic=model.periodic)
    except ValueError as error:
        msg = f"{error}; Kaufman's formula holds for periodic square lattices without field (J < 0: both sides even)"
        raise ValueError(msg) from None


def _independent_spins(num_sites: int, b: float) -> Cumulants:
    """N spins in a field: ln Z = N ln(2 cosh b), <u> = -N b tanh b, var(u) = N b^2 / cosh^2 b."""
    field = abs(b)
    log_2_cosh = field + log1p(exp(-2 * field))
    log_cosh = log_2_cosh - log(2)
    width = field * exp(-log_cosh)
    return Cumulants(num_sites * log_2_cosh, -num_sites * field * tanh(field), num_sites * width * width)


def _why_not(model: _Reduced, error: ValueError) -> str:
    """Which lattice at which couplings, and the bounds that it exceeds."""
    sides = " x ".join(map(str, model.sides))
    boundary, lattice = "periodic" if model.periodic else "open", "triangular" if model.triangular else "square"
    kind = {1: "chain", 2: f"{lattice} lattice", 3: "cubic lattice"}[len(model.sides)]
    return f"the {boundary} {sides} {kind} at beta J = {model.K:g}, beta h = {model.b:g}: {error}"
