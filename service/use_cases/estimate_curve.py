"""Estimate free energy, energy and heat capacity at several inverse temperatures, and store every point."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from anyio.to_thread import run_sync

from models_registry.estimates import EstimateRecord
from models_registry.versions import VersionRecord
from service.context import Context
from service.limits import check_estimate
from service.use_cases.draw_samples import seed_or_new
from service.use_cases.estimate_free_energy import doubts_of, exact_seconds, with_doubts
from service.use_cases.resolve import Condition, condition_on_of, resolve_condition, resolve_version, target_of
from zoo.specs.errors import CapabilityMissingError
from zoo.specs.estimate import Estimate, ExactReference
from zoo.specs.requests import FreeEnergyCurveRequest


@dataclass(frozen=True)
class CurvePoint:
    """Estimates at one beta, all extensive, and the exact values beside them where they were found quickly."""

    beta: float
    condition: Condition
    beta_f: Estimate
    upper_bound: Estimate
    energy: Estimate
    heat_capacity: Estimate
    exact: ExactReference | None


@dataclass(frozen=True)
class FreeEnergyCurve:
    """The points in the order in which they were asked for."""

    record: VersionRecord
    points: tuple[CurvePoint, ...]
    seed: int
    num_sites: int
    compute_seconds: float


async def estimate_curve(
    context: Context, model: str, ref: str | None, request: FreeEnergyCurveRequest, seconds: float
) -> FreeEnergyCurve:
    """The curve, every point of which is stored.

    Raises:
        NotFoundError: no such version.
        CapabilityMissingError: a model that is not conditioned on beta, or one learnt from data alone.
        InvalidValueError: a beta far outside the trained range, or a condition without a value.
        LimitExceededError: more samples than one estimate may draw, at all betas together.
    """
    record = await resolve_version(context, model, ref)
    target = target_of(record)
    _check_conditioned_on_beta(record)
    conditions = [
        resolve_condition(record, request.condition | {"beta": beta}, f"beta.{k}")
        for k, beta in enumerate(request.beta)
    ]
    check_estimate(request.n * len(conditions), target.space, context.settings)
    seed = seed_or_new(request.seed)
    payload = {
        "model": record.model,
        "version": record.version,
        "n": request.n,
        "seed": seed,
        "conditions": [condition.values for condition in conditions],
        "exact_seconds": exact_seconds(seconds),
    }
    parts = [part async for part in context.engine.ask("free_energy_curve", payload, seconds) if "points" in part]
    points = tuple(_point(record, c, part) for c, part in zip(conditions, parts[-1]["points"], strict=True))
    curve = FreeEnergyCurve(record, points, seed, target.space.num_sites, parts[-1]["compute_seconds"])
    await run_sync(partial(_store, context, curve))
    return curve


def exact_observables(point: CurvePoint, num_sites: int) -> dict[str, float]:
    """The exact ``energy`` and ``heat_capacity`` of all sites, where the reference has them."""
    per_site = {} if point.exact is None else point.exact.observables
    names = {"energy": "energy_per_site", "heat_capacity": "heat_capacity_per_site"}
    return {name: num_sites * per_site[its] for name, its in names.items() if its in per_site}


def _check_conditioned_on_beta(record: VersionRecord) -> None:
    if "beta" in condition_on_of(record).names:
        return
    msg = (
        f"version {record.version} of {record.model!r} is not conditioned on beta, and a curve needs one model for all "
        'betas; train one with "condition_on": {"beta": [lowest, highest]} in its model, or ask for :freeEnergy'
    )
    raise CapabilityMissingError(msg)


def _point(record: VersionRecord, condition: Condition, part: dict[str, Any]) -> CurvePoint:
    doubts, exact = doubts_of(record, condition), part["exact"]
    estimates = {name: Estimate.model_validate(part[name]) for name in ("beta_f", "energy", "heat_capacity")}
    return CurvePoint(
        beta=condition.values["beta"],
        condition=condition,
        upper_bound=Estimate.model_validate(part["upper_bound"]),
        exact=None if exact is None else ExactReference.model_validate(exact),
        **{name: with_doubts(estimate, doubts) for name, estimate in estimates.items()},
    )


def _store(context: Context, curve: FreeEnergyCurve) -> None:
    context.estimates.store_all([_stored(curve, point) for point in curve.points])


def _stored(curve: FreeEnergyCurve, point: CurvePoint) -> EstimateRecord:
    estimate, record = point.beta_f, curve.record
    exact = exact_observables(point, curve.num_sites)
    observables = {"energy": point.energy, "heat_capacity": point.heat_capacity}
    return EstimateRecord(
        model=record.model,
        version=record.version,
        target_kind=target_of(record).kind,
        target_digest=record.target_digest,
        beta=point.beta,
        beta_f=estimate.value,
        standard_error=estimate.standard_error,
        num_samples=estimate.num_samples,
        effective_sample_size=estimate.effective_sample_size,
        pareto_k=estimate.pareto_k,
        method=estimate.method,
        reliable=estimate.reliable,
        exact_beta_f=None if point.exact is None else point.exact.beta_f,
        condition=point.condition.values,
        observables={
            name: {"value": found.value, "standard_error": found.standard_error, "exact": exact.get(name)}
            for name, found in observables.items()
        },
        seed=curve.seed,
    )
