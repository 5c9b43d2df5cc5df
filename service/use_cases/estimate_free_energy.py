"""Estimate the free energy of the system a version was trained on, and store the estimate for dashboards."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from anyio.to_thread import run_sync

from models_registry.estimates import EstimateRecord
from models_registry.versions import VersionRecord
from service.context import Context
from service.limits import check_estimate
from service.use_cases.draw_samples import seed_or_new
from service.use_cases.resolve import check_beta, resolve_version, space_of, target_of
from zoo.specs.estimate import Estimate, ExactReference
from zoo.specs.requests import FreeEnergyRequest

WHY = {
    "auto": "importance weights: the model has an exact density and independent samples",
    "importance": "importance weights, as asked",
    "variational": "the variational bound, as asked",
}


@dataclass(frozen=True)
class FreeEnergyProgress:
    """How many samples have been drawn, and what fraction of all that is."""

    num_samples: int
    fraction: float


@dataclass(frozen=True)
class FreeEnergyResult:
    """An estimate of beta_f = -ln Z, an upper bound, and the exact value beside it where one is known."""

    record: VersionRecord
    estimate: Estimate
    upper_bound: Estimate
    exact: ExactReference | None
    seed: int
    beta: float
    num_sites: int
    why: str
    compute_seconds: float


async def estimate_free_energy(
    context: Context, model: str, ref: str | None, request: FreeEnergyRequest, seconds: float
) -> AsyncIterator[FreeEnergyProgress | FreeEnergyResult]:
    """Progress while samples are drawn, then the result, which is stored.

    Raises:
        NotFoundError: no such version.
        CapabilityMissingError: another beta than the trained one.
        LimitExceededError: more samples than one estimate may draw.
    """
    record = await resolve_version(context, model, ref)
    check_beta(record, request.beta)
    space = space_of(record)
    check_estimate(request.n, space, context.settings)
    seed = seed_or_new(request.seed)
    method = "variational" if request.method == "variational" else "importance"
    payload = {"model": record.model, "version": record.version, "n": request.n, "seed": seed, "method": method}
    async for part in context.engine.ask("free_energy", payload, seconds):
        if "progress" in part:
            yield FreeEnergyProgress(**part["progress"])
            continue
        result = FreeEnergyResult(
            record=record,
            estimate=Estimate.model_validate(part["estimate"]),
            upper_bound=Estimate.model_validate(part["upper_bound"]),
            exact=exact_of(record),
            seed=seed,
            beta=target_of(record).state_beta,
            num_sites=space.num_sites,
            why=WHY[request.method],
            compute_seconds=part["compute_seconds"],
        )
        await run_sync(partial(_store, context, result))
        yield result


async def final_free_energy(
    context: Context, model: str, ref: str | None, request: FreeEnergyRequest, seconds: float
) -> FreeEnergyResult:
    """The result alone; raises as ``estimate_free_energy`` does."""
    async for update in estimate_free_energy(context, model, ref, request, seconds):
        if isinstance(update, FreeEnergyResult):
            return update
    msg = "the engine ended its answer without a result"
    raise RuntimeError(msg)


def exact_of(record: VersionRecord) -> ExactReference | None:
    """The exact value that was found when the version was trained; it stands beside estimates and never enters one."""
    exact = record.metrics.get("exact")
    return None if exact is None else ExactReference.model_validate(exact)


def _store(context: Context, result: FreeEnergyResult) -> None:
    estimate = result.estimate
    record = EstimateRecord(
        model=result.record.model,
        version=result.record.version,
        target_kind=result.record.target["kind"],
        target_digest=result.record.target_digest,
        beta=result.beta,
        beta_f=estimate.value,
        standard_error=estimate.standard_error,
        num_samples=estimate.num_samples,
        effective_sample_size=estimate.effective_sample_size,
        pareto_k=estimate.pareto_k,
        method=estimate.method,
        reliable=estimate.reliable,
        exact_beta_f=None if result.exact is None else result.exact.beta_f,
        seed=result.seed,
    )
    context.estimates.store(record)
