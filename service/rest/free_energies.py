"""Routes of the stored estimates that dashboards read."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import Query, Response

from models_registry.estimates import EstimateRecord
from service.rest.dependencies import ContextOf
from service.rest.encoding import json_response
from service.rest.records import shown, to_seconds, to_text
from service.rest.routing import make_router

router = make_router("/v1/free-energies", "free energies")


@router.get("")
async def list_estimates(
    context: ContextOf,
    target_kind: str | None = None,
    model: str | None = None,
    version: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
    since: datetime | None = None,
    page_size: Annotated[int, Query(ge=1, le=1000)] = 100,
    page_token: str | None = None,
) -> Response:
    """Every estimate that has been made, newest first."""
    read = partial(
        context.estimates.list,
        target_kind=target_kind,
        model=model,
        version=version,
        since=to_seconds(since),
        page_size=page_size,
        page_token=page_token,
    )
    page = await run_sync(read)
    return json_response({"free_energies": [shown(e) for e in page.items], "next_page_token": page.next_page_token})


@router.get(":curve")
async def stored_curve(
    context: ContextOf,
    model: str,
    version: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
) -> Response:
    """The newest stored estimate of a model at each beta, the lowest beta first."""
    ref = None if version is None else str(version)
    await run_sync(context.versions.resolve, model, ref)  # an unknown model or version is not found
    records = await run_sync(context.estimates.curve, model, version)
    return json_response({"model": model, "points": [_stored_point(record) for record in records]})


def _stored_point(record: EstimateRecord) -> dict[str, Any]:
    observables = record.observables or {}
    return {
        "beta": record.beta,
        "condition": record.condition,
        "beta_f": record.beta_f,
        "standard_error": record.standard_error,
        "energy": observables.get("energy"),
        "heat_capacity": observables.get("heat_capacity"),
        "exact_beta_f": record.exact_beta_f,
        "method": record.method,
        "reliable": record.reliable,
        "num_samples": record.num_samples,
        "effective_sample_size": record.effective_sample_size,
        "version": record.version,
        "created_at": to_text(record.created_at),
    }
