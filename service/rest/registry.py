"""Routes of the registry: models, versions, weights, aliases and their history."""

from datetime import datetime
from functools import partial
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import Header, Query, Request, Response
from pydantic import Field

from models_registry.aliases import AliasRecord
from service.rest.bodies import read_as
from service.rest.dependencies import ContextOf, caller_of
from service.rest.encoding import json_response, not_modified
from service.rest.openapi import json_body
from service.rest.records import shown, to_seconds
from service.rest.routing import make_router
from service.use_cases import delete_versions
from service.use_cases.move_alias import Move, move_alias
from service.use_cases.specs import parse
from zoo.specs.base import Spec

router = make_router("/v1/models", "registry")

PageSize = Annotated[int, Query(ge=1, le=1000)]
PageToken = Annotated[str | None, Query()]
IfMatch = Annotated[str | None, Header(alias="If-Match")]


class MoveAlias(Spec):
    """Where an alias is to point."""

    version: int = Field(strict=True, ge=1)
    force: bool = Field(default=False, strict=True)
    """Whether to move although the physics gate refuses; the force is recorded."""


@router.get("")
async def list_models(context: ContextOf, page_size: PageSize = 100, page_token: PageToken = None) -> Response:
    """The models, newest first."""
    page = await run_sync(context.versions.models, page_size, page_token)
    return json_response({"models": [shown(m) for m in page.items], "next_page_token": page.next_page_token})


@router.get("/{model:segment}")
async def get_model(model: str, context: ContextOf) -> Response:
    """One model."""
    return json_response(shown(await run_sync(context.versions.model, model)))


@router.delete("/{model:segment}", status_code=204)
async def delete_model(model: str, context: ContextOf) -> Response:
    """Delete a model and its versions; refused while an alias points at one, or a job that has not ended needs one."""
    await delete_versions.delete_model(context, model)
    return Response(status_code=204)


@router.get("/{model:segment}/versions")
async def list_versions(
    model: str, context: ContextOf, page_size: PageSize = 100, page_token: PageToken = None
) -> Response:
    """The versions of a model, newest first."""
    page = await run_sync(context.versions.versions, model, page_size, page_token)
    return json_response({"versions": [shown(v) for v in page.items], "next_page_token": page.next_page_token})


@router.get("/{model:segment}/versions/{ref:segment}")
async def get_version(model: str, ref: str, context: ContextOf) -> Response:
    """One version, by number or alias; ``latest`` is the newest."""
    return json_response(shown(await run_sync(context.versions.get, model, ref)))


@router.delete("/{model:segment}/versions/{ref:segment}", status_code=204)
async def delete_version(model: str, ref: str, context: ContextOf) -> Response:
    """Delete a version; refused while an alias points at it, or a job that has not ended needs it."""
    await delete_versions.delete_version(context, model, ref)
    return Response(status_code=204)


@router.get("/{model:segment}/versions/{ref:segment}/weights")
async def get_weights(model: str, ref: str, request: Request, context: ContextOf) -> Response:
    """The safetensors file of a version, its digest verified and in the ETag; 304 when If-None-Match names it."""
    record = await run_sync(context.versions.get, model, ref)
    etag = f'"{record.digest}"'
    if (unchanged := not_modified(request, etag)) is not None:
        return unchanged
    weights = await run_sync(context.versions.read_weights, record)
    return Response(weights, media_type="application/vnd.safetensors", headers={"ETag": etag})


@router.get("/{model:segment}/aliases")
async def list_aliases(model: str, context: ContextOf) -> Response:
    """The aliases of a model."""
    records = await run_sync(context.aliases.all, model)
    return json_response({"aliases": [shown(a) for a in records], "next_page_token": None})


@router.get("/{model:segment}/aliases/{alias:segment}")
async def get_alias(model: str, alias: str, context: ContextOf) -> Response:
    """One alias, its ETag in the header."""
    return _alias_response(await run_sync(context.aliases.get, model, alias))


@router.put("/{model:segment}/aliases/{alias:segment}", openapi_extra=json_body(MoveAlias))
async def set_alias(model: str, alias: str, request: Request, context: ContextOf, if_match: IfMatch = None) -> Response:
    """Create an alias, or move it with If-Match; the physics gate refuses a worse version unless forced."""
    asked = await read_as(request, context.settings, partial(parse, MoveAlias))
    move = Move(model, alias, asked.version, if_match, force=asked.force)
    return _alias_response(await move_alias(context, move, caller_of(request)))


@router.post("/{model:segment}/aliases/{alias:segment}:rollback")
async def rollback_alias(model: str, alias: str, request: Request, context: ContextOf) -> Response:
    """Point the alias where it pointed before its last move."""
    return _alias_response(await run_sync(context.aliases.rollback, model, alias, caller_of(request)))


@router.get("/{model:segment}/aliases/{alias:segment}/history")
async def alias_history(model: str, alias: str, context: ContextOf, at: datetime | None = None) -> Response:
    """Every move of an alias, newest first; with ``at`` the one in force at that time."""
    moves = await run_sync(context.aliases.history, model, alias, to_seconds(at))
    return json_response({"history": [shown(m) for m in moves], "next_page_token": None})


def _alias_response(record: AliasRecord) -> Response:
    return json_response(shown(record), 200, {"ETag": record.etag})
