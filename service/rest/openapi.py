"""The OpenAPI document: bodies are read by hand, so that bytes are bounded first, and described here from the specs."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

_REF = "#/components/schemas/{model}"
_DESCRIBED: dict[str, type[BaseModel]] = {}

Responses = dict[int | str, dict[str, Any]]


class ProblemField(BaseModel):
    """One offending field of a request."""

    path: str
    message: str
    allowed: str | None


class Problem(BaseModel):
    """Why there is no answer (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    reason: str
    errors: list[ProblemField]


def problems(*statuses: int) -> Responses:
    """The ``responses`` of a route that may answer with problems of these statuses."""
    _DESCRIBED[Problem.__name__] = Problem
    schema = {"$ref": _REF.format(model=Problem.__name__)}
    content = {"application/problem+json": {"schema": schema}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def also_as(*media_types: str) -> Responses:
    """The ``responses`` of a route whose answer exists as bytes of these types too."""
    return {200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in media_types}}}


def json_body(spec: type[BaseModel], *other_types: str, required: bool = True) -> dict[str, Any]:
    """The ``openapi_extra`` of a route whose body is ``spec`` as JSON, or bytes of another type."""
    _DESCRIBED[spec.__name__] = spec
    content: dict[str, Any] = {"application/json": {"schema": {"$ref": _REF.format(model=spec.__name__)}}}
    content |= {kind: {"schema": {"type": "string", "format": "binary"}} for kind in other_types}
    return {"requestBody": {"required": required, "content": content}}


def json_body_of_kinds(*specs: type[BaseModel]) -> dict[str, Any]:
    """The ``openapi_extra`` of a route whose body is one of ``specs``, told apart by its ``kind``."""
    _DESCRIBED.update({spec.__name__: spec for spec in specs})
    references = {str(spec.model_fields["kind"].default): _REF.format(model=spec.__name__) for spec in specs}
    schema = {
        "oneOf": [{"$ref": reference} for reference in references.values()],
        "discriminator": {"propertyName": "kind", "mapping": references},
    }
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of ``app`` with the schemas of every described body."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        pairs: list[tuple[type[BaseModel], Any]] = [(spec, "validation") for spec in _DESCRIBED.values()]
        _, definitions = models_json_schema(pairs, ref_template=_REF)
        schema.setdefault("components", {}).setdefault("schemas", {}).update(definitions.get("$defs", {}))
        app.openapi_schema = schema
    return app.openapi_schema
