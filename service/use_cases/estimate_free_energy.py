"""Estimate the free energy of the system a version was trained on, and store the estimate for dashboards."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from anyio.to_thread import run_sync

from models_registry.estimates import EstimateRecord
from models_registry.versions import VersionRecord
from service.context import Context
from service.limits import check_estimate
from service.use_cases.draw_samples import seed_or_new
from service.use_cases.resolve import (
    Condition,
    capabilities_of,
    condition_on_of,
    resolve_condition,
    resolve_version,
    target_of,
)
from zoo.specs.errors import CapabilityMissingError, FieldError, InvalidValueError
from zoo.specs.estimate import Estimate, ExactReference, ForwardCheck
from zoo.specs.requests import FreeEnergyRequest
from zoo.specs.targets.base import TargetSpec

_SAMPLING_SHARE = 0.8  # of the time that an answer may take, where samples are drawn until an error is reached
EXACT_SECONDS = 2.0
"""How long an exact value beside an estimate is searched for, at most."""

WHY = {
    "auto": "importance weights: the model has an exact density and independent samples",
    "importance": "importance weights, as asked",
    "variational": "the variational bound, as asked",
}


@dataclass(frozen=True)
class FreeEnergyProgress:
    """How many samples have been drawn, what fraction of all that is, and the estimate so far."""

    num_samples: int
    fraction: float
    beta_f: float | None = None
    standard_error: float | None = None


@dataclass(frozen=True)
class FreeEnergyResult:
    """An estimate of beta_f = -ln Z, an upper bound, and the exact value beside it where one is known."""

    record: VersionRecord
    estimate: Estimate
    upper_bound: Estimate | None
    """None for families that are no distribution."""
    exact: ExactReference | None
    seed: int
    beta: float
    condition: Condition
    num_sites: int
    why: str
    compute_seconds: float
    target_standard_error: float | None = None
    target_reached: bool | None = None
    """Whether the error is as small as was asked; None where none was asked for."""


async def estimate_free_energy(
    context: Context, model: str, ref: str | None, request: FreeEnergyRequest, seconds: float
) -> AsyncGenerator[FreeEnergyProgress | FreeEnergyResult, None]:
    """Progress while samples are drawn, then the result, which is stored.

    Raises:
        NotFoundError: no such version.
        CapabilityMissingError: another beta than the trained one, or a model learnt from data alone.
        InvalidValueError: a condition without a value, or far outside its range; more time than the answer may take.
        LimitExceededError: more samples than one estimate may draw.
    """
    record = await resolve_version(context, model, ref)
    target, condition = target_of(record), resolve_condition(record, request.asked)
    _check_samples(record, request)
    check_estimate(request.n, target.space, context.settings)
    seed = seed_or_new(request.seed)
    payload = {
        "model": record.model,
        "version": record.version,
        "n": request.n,
        "seed": seed,
        "method": "variational" if request.method == "variational" else "importance",
        "condition": condition.values,
        "exact_seconds": exact_seconds(seconds) if condition.target_values else 0.0,
    } | _accuracy(context, record, request, seconds)
    async with aclosing(context.engine.ask("free_energy", payload, seconds)) as parts:  # leaving it stops the engine
        async for part in parts:
            if "progress" in part:
                yield FreeEnergyProgress(**part["progress"])
                continue
            result = FreeEnergyResult(
                record=record,
                estimate=with_doubts(Estimate.model_validate(part["estimate"]), doubts_of(record, condition)),
                upper_bound=None if part["upper_bound"] is None else Estimate.model_validate(part["upper_bound"]),
                exact=_reference(part["exact"]) if condition.target_values else exact_of(record),
                seed=seed,
                beta=state_beta_at(target, condition),
                condition=condition,
                num_sites=target.space.num_sites,
                why=part.get("why", WHY[request.method]),
                compute_seconds=part["compute_seconds"],
                target_standard_error=request.target_standard_error,
                target_reached=part.get("target_reached"),
            )
            await run_sync(partial(_store, context, result))
            yield result


def _accuracy(
    context: Context, record: VersionRecord, request: FreeEnergyRequest, seconds: float
) -> dict[str, dict[str, float] | int]:
    """What an engine is told where an error is asked for, and how many samples that is expected to take."""
    target = request.target_standard_error
    if target is None:
        return {}
    allowed = _SAMPLING_SHARE * seconds
    if request.max_seconds is not None and request.max_seconds > allowed:
        message = (
            f"is {request.max_seconds:g}, and this answer may take {seconds:g} s, of which {allowed:g} are for "
            "samples; ask for less, or allow more time with the header Prefer: wait=N (a deadline in gRPC)"
        )
        raise InvalidValueError(
            f"max_seconds {message}", errors=(FieldError("max_seconds", message, f"at most {allowed:g}"),)
        )
    most = max(request.n, context.settings.max_estimate_values // target_of(record).space.num_sites)
    fraction = record.metrics.get("effective_sample_fraction") or 1.0
    expected = min(most, max(request.n, (1 / fraction - 1) / target**2))
    limits = {
        "target_standard_error": target,
        "max_seconds": request.max_seconds or allowed,
        "max_samples": most,
    }
    return {"accuracy": limits, "expected_samples": int(expected)}


def _check_samples(record: VersionRecord, request: FreeEnergyRequest) -> None:
    """Nothing, where the family has samples or none are asked for."""
    if capabilities_of(record).sampling != "none":
        return
    family = record.model_spec["family"]
    if request.method != "auto":
        msg = f"method {request.method!r} weighs samples, and family {family!r} has none; use 'auto'"
        raise CapabilityMissingError(msg)
    if request.target_standard_error is not None:
        msg = f"target_standard_error asks for samples, and family {family!r} has none; leave it out"
        raise CapabilityMissingError(msg)


def exact_seconds(seconds: float) -> float:
    """How long an exact value beside an estimate is searched for, when the answer has ``seconds``."""
    return min(EXACT_SECONDS, seconds / 4)


def state_beta_at(target: TargetSpec, condition: Condition) -> float:
    """The beta of the estimate: that of the condition, else the target's own."""
    return condition.values.get("beta", target.state_beta)


def doubts_of(record: VersionRecord, condition: Condition) -> tuple[str, ...]:
    """Why estimates of ``record`` at ``condition`` are not to be trusted whatever their weights say.

    A missing mode is looked for when a model is trained, at one condition or two; the nearer one counts, distances in
    units of the ranges.
    """
    ranges = condition_on_of(record).ranges
    checks = [ForwardCheck.model_validate(check) for check in record.metrics.get("forward_checks", ())]

    def distance(check: ForwardCheck) -> float:
        return sum(
            abs(condition.values[name] - check.condition.get(name, condition.values[name])) / (high - low)
            for name, (low, high) in ranges.items()
        )

    doubt = min(checks, key=distance).doubt if checks else None
    return condition.warnings + (() if doubt is None else (doubt,))


def with_doubts(estimate: Estimate, doubts: tuple[str, ...]) -> Estimate:
    """``estimate`` with further reasons against it, and unreliable when there are any."""
    if not doubts:
        return estimate
    return estimate.model_copy(update={"reliable": False, "warnings": estimate.warnings + doubts})


async def final_free_energy(
    context: Context, model: str, ref: str | None, request: FreeEnergyRequest, seconds: float
) -> FreeEnergyResult:
    """The result alone; raises as ``estimate_free_energy`` does."""
    async with aclosing(estimate_free_energy(context, model, ref, request, seconds)) as updates:
        async for update in updates:
            if isinstance(update, FreeEnergyResult):
                return update
    msg = "the engine ended its answer without a result"
    raise RuntimeError(msg)


def exact_of(record: VersionRecord) -> ExactReference | None:
    """The exact value that was found when the version was trained; it stands beside estimates and never enters one."""
    return _reference(record.metrics.get("exact"))


def _reference(exact: dict[str, Any] | None) -> ExactReference | None:
    return None if exact is None else ExactReference.model_validate(exact)


def _store(context: Context, result: FreeEnergyResult) -> None:
    estimate = result.estimate
    record = EstimateRecord(
        model=result.record.model,
        version=result.record.version,
        target_kind=target_of(result.record).kind,
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
        condition=result.condition.values or None,
        seed=result.seed,
    )
    context.estimates.store(record)
