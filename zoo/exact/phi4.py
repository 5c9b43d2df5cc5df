"""The exact reference of a scalar field with quartic interaction: the first method that covers it.

Free field, lambda = 0.  S = phi^T (box + m^2) phi without a factor 1/2, so with the eigenvalues
k^2 = sum over axes of 4 sin^2(pi j / L) of box (0 on a length of 1),

    Z = prod_k sqrt(pi / (beta (k^2 + m^2))),      <phi^2> = (1 / N) sum_k 1 / (2 beta (k^2 + m^2)),

and u = beta S is half a chi-squared number of N degrees of freedom: mean and variance are N / 2.

Interacting field: phi -> phi / sqrt(beta) gives Z(beta; m^2, lambda) = beta^(-N/2) Z(1; m^2, lambda / beta).  A single
site is one integral; chains and narrow lattices have a transfer matrix.

Two identities hold for all of them.  By the same rescaling <S> / N = 1 / (2 beta) - lambda <phi^4>, and the kinetic
part of S is 2 d N (<phi^2> - <phi_x phi_(x+mu)>), averaged over the d axes, which gives the correlation of neighbours.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import inf, isfinite, log, pi, prod, sqrt

import numpy as np
from jaxtyping import Float64

from zoo.exact.cumulants import Cumulants
from zoo.exact.phi4_transfer_matrix import MAX_ROW, field_extent, phi4_moments, row_of
from zoo.exact.quadrature import line_cumulants, line_means
from zoo.specs.errors import FieldError, InvalidValueError, NumericalError
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.phi4 import Phi4Spec

_DETERMINANT = ("determinant", "closed form: a Gaussian integral in Fourier space")
_QUADRATURE = ("quadrature", "one integral, refined to 1e-12")
_TRANSFER = ("transfer matrix", "Kramers and Wannier, Phys. Rev. 60, 252 (1941); truncated, converged to 1e-9")

_DEPTH = 60.0  # the integral ends where the potential is this far above its minimum


@dataclass(frozen=True)
class _Solution:
    """Ln Z with mean and variance of u = beta S, and the mean of phi^2 at a site."""

    cumulants: Cumulants
    phi_squared: float


def exact_reference(spec: Phi4Spec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z of ``spec`` at ``beta`` (which stands in for ``spec.beta``).

    Observables, dimensionless: ``energy_per_site`` <S> / N, ``heat_capacity_per_site`` beta^2 var(S) / N,
    ``phi_squared``, ``phi_fourth`` (for coupling > 0), ``neighbour_correlation``, and ``magnetization``, 0 by symmetry.

    Raises:
        InvalidValueError: a beta that is not positive and finite: the space is unbounded, so Z diverges at 0.
        NoExactReferenceError: a lattice that is too wide, or a field that is correlated over too long a distance.
    """
    if not (0 < beta < inf and isfinite(spec.coupling / beta)):
        message = f"beta is {beta}; an inverse temperature of an unbounded field is finite and greater than 0"
        raise InvalidValueError(message, errors=(FieldError("beta", message, "0 < beta < infinity"),))
    (method, citation), solution = _solve(spec, beta)
    cumulants, sites, dimension = solution.cumulants, prod(spec.shape), len(spec.shape)
    energy, squared = cumulants.mean / (beta * sites), solution.phi_squared
    quartic = 0.5 / beta - energy  # lambda <phi^4>
    kinetic = energy - spec.mass_squared * squared - quartic
    observables = {
        "energy_per_site": energy,
        "heat_capacity_per_site": cumulants.variance / sites,
        "magnetization": 0.0,
        "phi_squared": squared,
        "neighbour_correlation": squared - kinetic / (2 * dimension),
    }
    if spec.coupling > 0:
        observables["phi_fourth"] = quartic / spec.coupling
    return ExactReference(beta_f=-cumulants.log_z, method=method, citation=citation, observables=observables)


def free_field_cumulants(shape: tuple[int, ...], mass_squared: float, beta: float) -> Cumulants:
    """Ln Z with mean and variance of u = beta S without interaction; mass_squared > 0."""
    eigenvalues, sites = _box_spectrum(shape) + mass_squared, prod(shape)
    log_z = sites / 2 * log(pi / beta) - float(np.log(eigenvalues).sum()) / 2
    return Cumulants(log_z, sites / 2, sites / 2)


def single_site(mass_squared: float, coupling: float) -> tuple[Cumulants, float]:
    """Ln Z with mean and variance of S = m^2 phi^2 + g phi^4, g > 0, and <phi^2>, by quadrature over x = g^(1/4) phi.

    For m^2 < 0 the square is completed, (x^2 - a)^2 - a^2 with a = -m^2 / (2 sqrt g), so that deep wells do not cancel.

    Raises:
        NumericalError: wells so deep that the refinement does not find their width.
    """
    m = mass_squared / sqrt(coupling)
    a = max(0.0, -m / 2)
    reach = field_extent(m, 1.0, _DEPTH)

    def u(x: Float64[np.ndarray, " point"]) -> Float64[np.ndarray, " point"]:
        return (x**2 - a) ** 2 if a > 0 else m * x**2 + x**4

    c = line_cumulants(u, -reach, reach)
    squared = line_means(u, -reach, reach, {"x^2": lambda x: x**2})["x^2"]
    cumulants = Cumulants(c.log_z + a * a - log(coupling) / 4, c.mean - a * a, c.variance)
    return cumulants, squared / sqrt(coupling)


def _solve(spec: Phi4Spec, beta: float) -> tuple[tuple[str, str], _Solution]:
    """Method and citation, and the solution, rescaled from phi sqrt(beta)."""
    sites = prod(spec.shape)
    if spec.coupling == 0:
        momenta = 0.5 / (beta * (_box_spectrum(spec.shape) + spec.mass_squared))
        return _DETERMINANT, _Solution(free_field_cumulants(spec.shape, spec.mass_squared, beta), float(momenta.mean()))
    if sites > 1 and row_of(spec.shape) is None:
        raise spec.no_exact_reference(
            f"the lattice {spec.shape} is neither a chain, nor has it a side of at most {MAX_ROW} beside one other, "
            "nor is it 2 x 2 x L"
        )
    try:
        c, squared = _interacting(spec.mass_squared, spec.coupling / beta, tuple(sorted(spec.shape)))
    except (ValueError, NumericalError) as error:
        raise spec.no_exact_reference(str(error)) from None
    rescaled = Cumulants(c.log_z - sites / 2 * log(beta), c.mean, c.variance)
    return (_QUADRATURE if sites == 1 else _TRANSFER), _Solution(rescaled, squared / beta)


@lru_cache(maxsize=256)
def _interacting(mass_squared: float, coupling: float, shape: tuple[int, ...]) -> tuple[Cumulants, float]:
    """Cumulants of S and <phi^2> at beta = 1."""
    if prod(shape) == 1:
        return single_site(mass_squared, coupling)
    moments = phi4_moments(mass_squared, coupling, shape)
    return moments.cumulants(prod(shape), coupling), moments.phi_squared


def _box_spectrum(shape: tuple[int, ...]) -> Float64[np.ndarray, "*shape"]:
    """The eigenvalues of box: sum over axes of 4 sin^2(pi j / L)."""
    axes = [4 * np.sin(np.pi * np.arange(side) / side) ** 2 for side in shape]
    return np.asarray(sum(np.ix_(*axes), np.zeros(shape)))
