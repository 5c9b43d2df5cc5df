"""The exact reference of an Ising model: the first method that covers it.

In this order: independent spins (no bonds or J = 0), chains by transfer matrix, Kaufman's formula, strips by transfer
matrix, enumeration.  Lengths of 1 are dropped first, since they have no bond; a periodic length of 2 counts each bond
twice, in every method.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf, isfinite, log, log1p, prod, tanh

import torch
from jaxtyping import Float
from torch import Tensor

from zoo.exact.cumulants import Cumulants
from zoo.exact.enumeration import MAX_SPINS, Energy, enumeration_cumulants
from zoo.exact.kaufman import kaufman_applies, kaufman_cumulants
from zoo.exact.transfer_matrix import strip_applies, strip_cumulants
from zoo.specs.errors import FieldError, InvalidValueError, NoExactReferenceError
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.ising import IsingSpec

_INDEPENDENT = ("independent spins", "closed form: Z = (2 cosh beta h)^N")
_CHAIN = ("transfer matrix", "Ising, Z. Phys. 31, 253 (1925)")
_KAUFMAN = ("Kaufman 1949", "Kaufman, Phys. Rev. 76, 1232 (1949); Ferdinand and Fisher, Phys. Rev. 185, 832 (1969)")
_STRIP = ("transfer matrix", "Kramers and Wannier, Phys. Rev. 60, 252 (1941)")
_ENUMERATION = ("enumeration", "sum over all configurations")


def exact_reference(spec: IsingSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z of ``spec`` at ``beta`` (which stands in for ``spec.beta``), with energy and heat capacity.

    Observables: ``energy_per_site`` is <E> / N in the unit of J and h; ``heat_capacity_per_site`` is beta^2 var(E) / N,
    with k_B = 1.

    Raises:
        InvalidValueError: a beta that is negative, infinite or NaN.
        NoExactReferenceError: no method covers these parameters.
    """
    if not (0 <= beta < inf and isfinite(beta * spec.J) and isfinite(beta * spec.h)):
        message = f"beta is {beta}; an inverse temperature is finite and not negative, and so are beta |J| and beta |h|"
        raise InvalidValueError(message, errors=(FieldError("beta", message, "0 <= beta < infinity"),))
    model = _Reduced.of(spec, beta)
    (method, citation), cumulants = _solve(model)
    sites = prod(spec.shape)
    return ExactReference(
        beta_f=-cumulants.log_z,
        method=method,
        citation=citation,
        observables={
            "energy_per_site": cumulants.mean / (beta * sites) if beta > 0 else 0.0,
            "heat_capacity_per_site": max(0.0, cumulants.variance) / sites,  # rounding can leave it below 0
        },
    )


@dataclass(frozen=True)
class _Reduced:
    """A model as Z sees it: sides longer than 1 in increasing order, K = beta J and b = beta h."""

    sides: tuple[int, ...]
    periodic: bool
    K: float
    b: float

    @classmethod
    def of(cls, spec: IsingSpec, beta: float) -> "_Reduced":
        """``spec`` at ``beta``."""
        return cls(tuple(sorted(side for side in spec.shape if side > 1)), spec.periodic, beta * spec.J, beta * spec.h)

    @property
    def num_sites(self) -> int:
        """N."""
        return prod(self.sides)

    def couplings(self) -> Float[Tensor, "site site"]:
        """A with A_ij the number of bonds of i and j, so that sum_<ij> s_i s_j = s^T A s / 2."""
        index = torch.arange(self.num_sites).reshape(self.sides)
        bonds = torch.zeros(self.num_sites, self.num_sites)
        for axis, side in enumerate(self.sides):
            neighbours = index.roll(-1, axis)
            kept = side if self.periodic else side - 1
            ends = torch.stack([index.narrow(axis, 0, kept).flatten(), neighbours.narrow(axis, 0, kept).flatten()])
            for i, j in (ends, ends.flip(0)):
                bonds.index_put_((i, j), torch.ones(len(i)), accumulate=True)
        return bonds


@lru_cache(maxsize=256)
def _solve(model: _Reduced) -> tuple[tuple[str, str], Cumulants]:
    """Method, citation and cumulants by the first method that covers ``model``."""
    sides, K, b = model.sides, model.K, model.b
    if not sides or K == 0:
        return _INDEPENDENT, _independent_spins(model.num_sites, b)
    if len(sides) == 1 and strip_applies(1, K, b):
        return _CHAIN, strip_cumulants(1, sides[0], K, b, periodic=model.periodic)
    if len(sides) == 2:
        if model.periodic and b == 0 and kaufman_applies(*sides, K):
            return _KAUFMAN, kaufman_cumulants(*sides, K)
        if strip_applies(sides[0], K, b):
            return _STRIP, strip_cumulants(*sides, K, b, periodic=model.periodic)
    if model.num_sites <= MAX_SPINS:
        return _ENUMERATION, enumeration_cumulants(_reduced_energy(model), model.num_sites, 1.0)
    raise NoExactReferenceError(_uncovered(model))


def _independent_spins(num_sites: int, b: float) -> Cumulants:
    """N spins in a field: ln Z = N ln(2 cosh b), <u> = -N b tanh b, var(u) = N b^2 / cosh^2 b."""
    field = abs(b)
    log_2_cosh = field + log1p(exp(-2 * field))
    log_cosh = log_2_cosh - log(2)
    width = field * exp(-log_cosh)
    return Cumulants(num_sites * log_2_cosh, -num_sites * field * tanh(field), num_sites * width * width)


def _reduced_energy(model: _Reduced) -> Energy:
    """Beta E(s) = -K s^T A s / 2 - b sum_i s_i, of float32 spins whose bond sum is a small integer and so exact."""
    couplings = model.couplings()

    def reduced_energy(spins: Float[Tensor, "batch site"]) -> Float[Tensor, " batch"]:
        bonds = ((spins @ couplings) * spins).sum(1, dtype=torch.float64) / 2
        return -model.K * bonds - model.b * spins.sum(1, dtype=torch.float64)

    return reduced_energy


def _uncovered(model: _Reduced) -> str:
    sides = " x ".join(map(str, model.sides))
    boundary = "periodic" if model.periodic else "open"
    return (
        f"no exact reference for the {boundary} {sides} Ising model at beta J = {model.K:g}, beta h = {model.b:g}; "
        "covered are chains, 2D periodic lattices without field (J < 0: both sides even), 2D strips with a side of at "
        f"most 14 (beta side (4|J| + 2|h|) below 600), and any lattice of at most {MAX_SPINS} sites"
    )
