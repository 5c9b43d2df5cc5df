"""Routes of the stored estimates that dashboards read."""

from datetime import datetime
from functools import partial
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import Query, Response

from service.rest.dependencies import ContextOf
from service.rest.encoding import json_response
from service.rest.records import shown, to_seconds
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
