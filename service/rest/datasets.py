"""Routes of the datasets: uploads, builtins, Monte Carlo, and having the data back."""

import io
from functools import partial
from typing import Annotated, Any

import numpy as np
import orjson
from anyio.to_thread import run_sync
from fastapi import Query, Request, Response
from pydantic import RootModel, TypeAdapter, ValidationError

from models_registry.datasets import DatasetRecord, validate_dataset_name
from service.context import Context
from service.rest.bodies import content_type, read_as, read_bytes
from service.rest.dependencies import ContextOf, caller_of
from service.rest.encoding import json_response, negotiate, not_modified, npy_response
from service.rest.formats import npz
from service.rest.formats.media_types import JSON, NPY, NPZ
from service.rest.formats.npy import array_from_npy
from service.rest.jobs import IdempotencyKey, as_json
from service.rest.openapi import Responses, also_as, json_body, problems
from service.rest.records import shown
from service.rest.routing import make_router
from service.use_cases.read_dataset import delete_dataset, read_dataset, read_datasets, read_samples_of
from service.use_cases.spec_errors import in_json_words, invalid_value
from service.use_cases.specs import parse
from service.use_cases.store_dataset import Upload, UploadSpace, store_builtin, store_upload
from service.use_cases.submit_job import submit_job
from workers.jobs.specs import DatasetJobSpec
from workers.settings import Settings
from zoo.specs.datasets import AnyBuiltin, BuiltinSpec, LabelledSamples
from zoo.specs.errors import FieldError, InvalidValueError, UnsupportedMediaTypeError
from zoo.specs.spaces import WIRE_DTYPES

router = make_router("/v1/datasets", "datasets")

Name = Annotated[str | None, Query(description="Name of an upload; need not be unique")]
Space = Annotated[
    str | None,
    Query(description='Space of an upload: a kind, as spins, or JSON, as {"kind": "categorical", "num_values": 3}'),
]
PageSize = Annotated[int, Query(ge=1, le=1000)]

_BUILTINS: TypeAdapter[BuiltinSpec] = TypeAdapter(AnyBuiltin)
_ARRAYS = frozenset({"samples", "labels"})
_KINDS = ", ".join(WIRE_DTYPES)
_SUFFIXES = {JSON: "json", NPY: "npy", NPZ: "npz"}
_MADE: Responses = {
    201: {"description": "The dataset"},
    202: {"description": "The job that draws it", "content": {JSON: {"schema": {}}}},
}
_UNCHANGED: Responses = {304: {"description": "What If-None-Match names is still what there is"}}
_QUERY = ("name", "space")


class NewDataset(RootModel[AnyBuiltin | DatasetJobSpec]):
    """A builtin to store, or a target to draw from; other bodies are the data itself."""


@router.post(
    "",
    openapi_extra=json_body(NewDataset, NPY, NPZ),
    status_code=201,
    responses=_MADE | problems(400, 413, 415, 422, 503),
)
async def create(
    request: Request,
    context: ContextOf,
    name: Name = None,
    space: Space = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Store a npy or npz body or a builtin (201), or draw from a target in a job (202).

    An Idempotency-Key keeps a job from being made twice.  Uploads and builtins take no note of it: sent again they are
    stored again, as another dataset over the same bytes.
    """
    _check_query(request)
    kind = content_type(request)
    if kind in {NPY, NPZ}:
        asked = _space(space)
        body = await read_bytes(request, context.settings)
        upload = await run_sync(_upload, kind, body, asked, context.settings)
        return _created(await store_upload(context, name, upload))
    if kind != JSON:
        msg = f"content type {kind!r} is not read here; send {NPY}, {NPZ} or {JSON}"
        raise UnsupportedMediaTypeError(msg)
    if space is not None:
        msg = f"space belongs to uploads, {NPY} or {NPZ}; builtins and targets have spaces of their own"
        raise InvalidValueError(msg, errors=(FieldError("space", msg, None),))
    wanted = await read_as(request, context.settings, partial(_wanted, name))
    if isinstance(wanted, BuiltinSpec):
        return _created(await store_builtin(context, wanted))
    return await _generate(context, wanted, caller_of(request), idempotency_key)


@router.get("", responses=problems(422))
async def index(context: ContextOf, page_size: PageSize = 100, page_token: str | None = None) -> Response:
    """Datasets, newest first."""
    page = await read_datasets(context, page_size, page_token)
    return json_response({"datasets": [shown(d) for d in page.items], "next_page_token": page.next_page_token})


@router.get("/{dataset:segment}", responses=problems(404, 422))
async def get(dataset: str, context: ContextOf) -> Response:
    """One dataset: name, space, number of configurations, where they come from."""
    return json_response(shown(await read_dataset(context, dataset)))


@router.delete("/{dataset:segment}", status_code=204, responses=problems(404, 409, 422))
async def delete(dataset: str, context: ContextOf) -> Response:
    """Delete a dataset; refused while a queued or running job names it."""
    await delete_dataset(context, dataset)
    return Response(status_code=204)


@router.get(
    "/{dataset:segment}/samples",
    responses=also_as(NPY, NPZ) | _UNCHANGED | problems(404, 406, 409, 422, 503),
)
async def samples(dataset: str, request: Request, context: ContextOf) -> Response:
    """The configurations: JSON or npz with their labels, npy without.

    The ETag is made of the digest of the stored file and the type of the answer; If-None-Match with it gives 304.
    """
    media_type = negotiate(request, (JSON, NPY, NPZ))
    record = await read_dataset(context, dataset)
    etag = f'"{record.digest}.{_SUFFIXES[media_type]}"'
    response = not_modified(request, etag)
    if response is None:
        response = await run_sync(_encoded, await read_samples_of(context, record), media_type)
    response.headers.update({"ETag": etag, "Vary": "Accept"})
    return response


def _check_query(request: Request) -> None:
    """Nothing, unless the query has a parameter that is not known here: a misspelt name would be lost in silence."""
    for unknown in sorted(request.query_params.keys() - {*_QUERY}):
        allowed = " and ".join(_QUERY)
        msg = f"there is no query parameter {unknown[:80]!a} here; the known ones are {allowed}"
        raise InvalidValueError(msg, errors=(FieldError(unknown[:80], msg, allowed),))


def _wanted(name: str | None, body: dict[str, Any]) -> BuiltinSpec | dict[str, Any]:
    """The builtin that a body asks for, or the body of the job that draws from its target."""
    data = body if name is None else {"name": name} | body
    if isinstance(data.get("name"), str):
        validate_dataset_name(data["name"])
    if "builtin" in data:
        return _builtin(data)
    if "target" not in data:
        msg = (
            "the body has neither 'builtin' nor 'target'; name a builtin, or a target to draw from, or send npy or npz"
        )
        raise InvalidValueError(msg, errors=(FieldError("builtin", msg, "digits, bars_and_stripes, bitstrings"),))
    if data.get("kind", "dataset") != "dataset":
        msg = f"kind is {in_json_words(data['kind'])}; here it is 'dataset', or left out (other jobs go to /v1/jobs)"
        raise InvalidValueError(msg, errors=(FieldError("kind", msg, "dataset"),))
    return data | {"kind": "dataset"}


async def _generate(context: Context, data: dict[str, Any], caller: str, idempotency_key: str | None) -> Response:
    """What ``POST /v1/jobs`` does with the same body and ``"kind": "dataset"``."""
    job, _ = await submit_job(context, data, caller, idempotency_key)
    return json_response(as_json(job), 202, {"Location": f"/v1/jobs/{job.id}"})


def _upload(kind: str, body: bytes, space: UploadSpace, settings: Settings) -> Upload:
    """The arrays in a body.

    Raises:
        MalformedError, InvalidValueError, LimitExceededError: as the readers do; or a npz without samples.
    """
    if kind == NPY:
        return Upload(array_from_npy(body, settings), None, space)
    arrays = npz.read(body, _ARRAYS, settings)
    if "samples" not in arrays:
        msg = "the npz file has no array 'samples'; write it with numpy.savez(file, samples=..., labels=...)"
        raise InvalidValueError(msg, errors=(FieldError("samples", msg, "an array of this name"),))
    return Upload(arrays["samples"], arrays.get("labels"), space)


def _space(text: str | None) -> UploadSpace:
    """The space in a query string: a kind, or a JSON object.

    Raises:
        InvalidValueError: none, or not one; the message lists the kinds.
    """
    if text is None:
        msg = f"an upload needs ?space=, the kind of its configurations: {_KINDS}"
        raise InvalidValueError(msg, errors=(FieldError("space", msg, _KINDS),))
    if not text.startswith("{"):
        return parse(UploadSpace, {"kind": text}, "space")
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        msg = f'space is not JSON: {error}; give a kind, or an object such as {{"kind": "categorical"}}'
        raise InvalidValueError(msg, errors=(FieldError("space", msg, _KINDS),)) from None
    return parse(UploadSpace, fields, "space")


def _builtin(data: dict[str, Any]) -> BuiltinSpec:
    try:
        return _BUILTINS.validate_python(data)
    except ValidationError as error:
        raise invalid_value(error, data) from None


def _created(record: DatasetRecord) -> Response:
    return json_response(shown(record), 201, {"Location": f"/v1/datasets/{record.id}"})


def _encoded(data: LabelledSamples, media_type: str) -> Response:
    arrays = {"samples": data.samples} | ({} if data.labels is None else {"labels": data.labels})
    if media_type == JSON:
        return json_response(arrays)
    if media_type == NPY:
        return npy_response(data.samples, {})
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the arrays for its own option
    return Response(stream.getvalue(), media_type=NPZ)
