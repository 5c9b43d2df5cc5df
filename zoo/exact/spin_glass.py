"""The exact reference of a spin glass: enumeration of at most 24 spins, or site by site where couplings are sparse."""

from functools import lru_cache
from math import prod

import numpy as np

from zoo.exact.cumulants import Cumulants
from zoo.exact.enumeration import MAX_SPINS, coupling_matrix, pair_enumeration_cumulants
from zoo.exact.layer_ring import MAX_LOG_RANGE, MAX_PLACES, LayerRing, Layers
from zoo.exact.layer_ring import MAX_WORK as MAX_STEPS
from zoo.exact.site_transfer import MAX_BONDS_PER_SITE, Order, SpinGraph, best_plan, site_transfer_cumulants
from zoo.exact.temperatures import require_temperature_or_zero_beta
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.spin_glass import SherringtonKirkpatrick, SpinGlassSpec

ENUMERATION = ("enumeration", "sum over all configurations")
_CITATION = "Kramers and Wannier, Phys. Rev. 60, 252 (1941); Morgenstern and Binder, Phys. Rev. Lett. 43, 1615 (1979)"
_SITE_BY_SITE = ("transfer matrix, site by site", _CITATION)
_LAYER_BY_LAYER = ("transfer matrix, layer by layer", _CITATION)


@lru_cache(maxsize=16)
def exact_reference(spec: SpinGlassSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z of ``spec`` at ``beta`` (which stands in for ``spec.beta``), with energy and heat capacity.

    Observables: ``energy_per_site`` is <E> / N in the unit of J; ``heat_capacity_per_site`` is beta^2 var(E) / N.
    Enumeration takes a second at most.  A torus of 12 x 12 takes some four seconds, 13 x 13 twenty-five and 14 x 14
    ninety; twice that with fields.  The longest that is done takes about four minutes.

    Raises:
        InvalidValueError: a beta that is negative, infinite or NaN.
        NoExactReferenceError: more than 24 spins, with couplings for which the transfer would take too long.
    """
    require_temperature_or_zero_beta(beta)
    n = spec.space.num_sites
    method, cumulants = (ENUMERATION, _enumerated(spec, beta)) if n <= MAX_SPINS else _transferred(spec, beta)
    return ExactReference(
        beta_f=-cumulants.log_z, method=method[0], citation=method[1], observables=cumulants.observables(beta, n)
    )


def _enumerated(spec: SpinGlassSpec, beta: float) -> Cumulants:
    matrix = coupling_matrix(*spec.bonds(), spec.space.num_sites)
    return pair_enumeration_cumulants(beta * matrix, beta * spec.field_values())


def _transferred(spec: SpinGlassSpec, beta: float) -> tuple[tuple[str, str], Cumulants]:
    n, shape = spec.space.num_sites, spec.space.event_shape
    if isinstance(spec.couplings, SherringtonKirkpatrick):
        _require_sparse(spec, n * (n - 1) // 2)  # before millions of numbers are drawn, none of which is 0
    bonds, couplings = spec.bonds()
    _require_sparse(spec, len(bonds))
    graph = SpinGraph.of(bonds, beta * couplings, beta * spec.field_values())
    rings = [ring for layers in _layers(shape) if (ring := LayerRing.of(graph, layers)) is not None]
    ring = min((ring for ring in rings if ring.is_feasible), key=lambda ring: ring.work, default=None)
    orders = _raster_orders(shape)
    if ring is not None and ring.work < best_plan(graph, orders).work:
        return _LAYER_BY_LAYER, ring.cumulants()
    try:
        return _SITE_BY_SITE, site_transfer_cumulants(graph, orders)
    except ValueError as error:
        raise spec.no_exact_reference(_why_not(n, error, rings)) from None


def _require_sparse(spec: SpinGlassSpec, pairs: int) -> None:
    """Nothing, for so few coupled ``pairs`` that an order of the sites is worth looking for.

    Raises:
        NoExactReferenceError: any more.
    """
    n = spec.space.num_sites
    if pairs > n * MAX_BONDS_PER_SITE:
        raise spec.no_exact_reference(
            f"{n} spins with {pairs} coupled pairs: enumeration takes at most {MAX_SPINS} spins, and a transfer matrix "
            f"at most {MAX_BONDS_PER_SITE} pairs for each spin, {n * MAX_BONDS_PER_SITE} in all"
        )
    if 4 * pairs > n * (n - 1):
        raise spec.no_exact_reference(
            f"{n} spins with more than half of all pairs coupled: to sum them site by site is to enumerate them, and "
            f"enumeration takes at most {MAX_SPINS} spins"
        )


def _why_not(n: int, error: ValueError, rings: list[LayerRing]) -> str:
    """The bounds that ``n`` spins exceed."""
    text = f"enumeration takes at most {MAX_SPINS} spins, not {n}; {error}"
    if not rings:
        return f"{text}; they are no ring of layers of at most {MAX_PLACES} spins either"
    ring = min(rings, key=lambda ring: ring.work)
    return (
        f"{text}; layer by layer they take {ring.work:.1e} steps of at most {MAX_STEPS:.1e}, with weights that span "
        f"e^{ring.log_range:.0f} of at most e^{MAX_LOG_RANGE:.0f}"
    )


def _raster_orders(shape: tuple[int, ...]) -> list[Order]:
    """The sites in raster order with each axis in turn as the slowest."""
    index = np.arange(prod(shape)).reshape(shape)
    return [np.moveaxis(index, axis, 0).ravel() for axis in range(len(shape))]


def _layers(shape: tuple[int, ...]) -> list[Layers]:
    """The ways to see the sites as layers: across each axis; for a list of spins, rows and columns of any length."""
    n = prod(shape)
    index = np.arange(n).reshape(shape)
    if len(shape) > 1:
        return [np.moveaxis(index, axis, 0).reshape(shape[axis], -1) for axis in range(len(shape))]
    widths = [width for width in range(1, MAX_PLACES + 1) if n % width == 0]
    return [layers for width in widths for layers in (index.reshape(-1, width), index.reshape(width, -1).T)]
