"""The exact reference of a spin glass: enumeration of at most 24 spins, or site by site where couplings are sparse."""

from functools import lru_cache
from math import inf

import numpy as np

from zoo.exact.cumulants import Cumulants
from zoo.exact.enumeration import MAX_SPINS, coupling_matrix, pair_enumeration_cumulants
from zoo.exact.site_transfer import MAX_FRONTIER, Order, SpinGraph, site_transfer_cumulants
from zoo.specs.errors import FieldError, InvalidValueError
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.spin_glass import SpinGlassSpec

ENUMERATION = ("enumeration", "sum over all configurations")
_SITE_BY_SITE = (
    "transfer matrix, site by site",
    "Kramers and Wannier, Phys. Rev. 60, 252 (1941); Morgenstern and Binder, Phys. Rev. Lett. 43, 1615 (1979)",
)


@lru_cache(maxsize=16)
def exact_reference(spec: SpinGlassSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z of ``spec`` at ``beta`` (which stands in for ``spec.beta``), with energy and heat capacity.

    Observables: ``energy_per_site`` is <E> / N in the unit of J; ``heat_capacity_per_site`` is beta^2 var(E) / N.
    Enumeration takes a second at most, site by site some fifteen.

    Raises:
        InvalidValueError: a beta that is negative, infinite or NaN.
        NoExactReferenceError: more than 24 spins, with couplings for which too many have to be kept at once.
    """
    require_temperature(beta)
    n = spec.space.num_sites
    method, cumulants = (ENUMERATION, _enumerated(spec, beta)) if n <= MAX_SPINS else _site_by_site(spec, beta)
    return ExactReference(
        beta_f=-cumulants.log_z, method=method[0], citation=method[1], observables=cumulants.observables(beta, n)
    )


def require_temperature(beta: float) -> None:
    """Nothing, for a beta that is finite and not negative.

    Raises:
        InvalidValueError: any other.
    """
    if not 0 <= beta < inf:
        message = f"beta is {beta}; an inverse temperature is finite and not negative"
        raise InvalidValueError(message, errors=(FieldError("beta", message, "0 <= beta < infinity"),))


def _enumerated(spec: SpinGlassSpec, beta: float) -> Cumulants:
    matrix = coupling_matrix(*spec.bonds(), spec.space.num_sites)
    return pair_enumeration_cumulants(beta * matrix, beta * spec.field_values())


def _site_by_site(spec: SpinGlassSpec, beta: float) -> tuple[tuple[str, str], Cumulants]:
    n, (bonds, couplings) = spec.space.num_sites, spec.bonds()
    if len(bonds) > n * MAX_FRONTIER:
        raise spec.no_exact_reference(
            f"{n} spins with {len(bonds)} coupled pairs: enumeration takes at most {MAX_SPINS} spins, and site by site "
            f"at most {MAX_FRONTIER} can be kept at once, hence at most {n * MAX_FRONTIER} pairs"
        )
    graph = SpinGraph.of(bonds, beta * couplings, beta * spec.field_values())
    try:
        return _SITE_BY_SITE, site_transfer_cumulants(graph, _raster_orders(spec.space.event_shape))
    except ValueError as error:
        raise spec.no_exact_reference(f"enumeration takes at most {MAX_SPINS} spins, not {n}; {error}") from None


def _raster_orders(shape: tuple[int, ...]) -> list[Order]:
    """The sites in raster order with each axis in turn as the slowest."""
    index = np.arange(int(np.prod(shape))).reshape(shape)
    return [np.moveaxis(index, axis, 0).ravel() for axis in range(len(shape))]
