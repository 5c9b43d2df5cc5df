"""Routes of the Open Inference Protocol, version 2, under /v2.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
"""

import time
from dataclasses import asdict
from typing import Any

from fastapi import Request, Response

from service.open_inference.binary import HEADER_LENGTH, decode, encode
from service.open_inference.compression import read_inflated
from service.open_inference.datatypes import refused
from service.open_inference.questions import Answer, answer, seconds_of
from service.open_inference.repository import (
    EXTENSIONS,
    NAME,
    cannot_unload,
    index,
    is_ready,
    load,
    model_is_ready,
    service_version,
    version_numbers,
)
from service.open_inference.vocabulary import PLATFORM, Slot, inputs_of, outputs_of
from service.rest.answers import response_of
from service.rest.bodies import json_from_bytes
from service.rest.dependencies import ContextOf, SecondsAllowed, while_connected
from service.rest.encoding import json_response, timing
from service.rest.query import ONLY_KNOWN
from service.rest.routing import make_router
from service.use_cases.off_the_loop import off_the_loop
from service.use_cases.resolve import resolve_version

router = make_router("/v2", "open inference protocol")

_MODEL = "/models/{model:segment}"
_VERSION = _MODEL + "/versions/{ref:segment}"
_INFER_BODY = {
    "requestBody": {
        "required": True,
        "description": f"JSON as the protocol has it; with {HEADER_LENGTH}, followed by tensors as bytes",
        "content": {"application/json": {"schema": {"type": "object"}}, "application/octet-stream": {}},
    }
}


@router.get("")
async def server_metadata() -> dict[str, Any]:
    """Name, version and the extensions of the protocol that are spoken here."""
    return {"name": NAME, "version": service_version(), "extensions": list(EXTENSIONS)}


@router.get("/health/live")
async def server_live() -> dict[str, bool]:
    """Answers while the gateway is alive."""
    return {"live": True}


@router.get("/health/ready")
async def server_ready(context: ContextOf) -> Response:
    """200 when every dependency answers, else 503."""
    ready = await is_ready(context)
    return json_response({"ready": ready}, 200 if ready else 503)


@router.get(_MODEL)
@router.get(_VERSION)
async def model_metadata(model: str, context: ContextOf, ref: str | None = None) -> dict[str, Any]:
    """The tensors that a version is given and that it answers."""
    record = await resolve_version(context, model, ref)
    return {
        "name": record.model,
        "versions": await version_numbers(context, model),
        "platform": PLATFORM,
        "inputs": [asdict(slot) for slot in inputs_of(record)],
        "outputs": [asdict(slot) for slot in outputs_of(record)],
    }


@router.get(_MODEL + "/ready")
@router.get(_VERSION + "/ready")
async def model_ready(model: str, context: ContextOf, ref: str | None = None) -> Response:
    """200 when the version would answer now, 503 when it would not, 404 when there is none."""
    ready = await model_is_ready(context, model, ref)
    if not ready:
        await resolve_version(context, model, ref)  # says what is wrong with the version itself
    return json_response({"name": model, "ready": ready}, 200 if ready else 503)


@router.get(_MODEL + "/config")
@router.get(_VERSION + "/config")
async def model_config(model: str, context: ContextOf, ref: str | None = None) -> dict[str, Any]:
    """The metadata in the words of Triton's model configuration; batching is the service's own affair."""
    record = await resolve_version(context, model, ref)
    return {
        "name": record.model,
        "platform": PLATFORM,
        "backend": PLATFORM,
        "max_batch_size": 0,
        "input": [_configured(slot) | {"optional": True} for slot in inputs_of(record)],
        "output": [_configured(slot) for slot in outputs_of(record)],
    }


@router.post(_MODEL + "/infer", openapi_extra=_INFER_BODY, dependencies=[ONLY_KNOWN])
@router.post(_VERSION + "/infer", openapi_extra=_INFER_BODY, dependencies=[ONLY_KNOWN])
async def infer(
    model: str, request: Request, context: ContextOf, seconds: SecondsAllowed, ref: str | None = None
) -> Response:
    """Samples where the input ``n`` came, log-likelihoods where ``samples`` came; in JSON, or followed by bytes."""
    started = time.perf_counter()
    body = await read_inflated(request, context.settings)
    asked = await off_the_loop(len(body), decode, body, request.headers.get(HEADER_LENGTH), context.settings)
    seconds = seconds_of(asked.parameters, seconds, context.settings.max_wait_seconds)
    found = await while_connected(request, answer(context, model, ref, asked.question, seconds))
    headers = _headers(found, time.perf_counter() - started)
    size = sum(array.nbytes for array in found.outputs.values())
    head, tensors = await off_the_loop(size, encode, found, asked)
    if not tensors:
        return response_of([head], headers, "application/json", context.settings)
    headers[HEADER_LENGTH] = str(len(head))
    return response_of([head, *tensors], headers, "application/octet-stream", context.settings)


@router.post("/repository/index")
async def repository_index(request: Request, context: ContextOf) -> Response:
    """Every version of every model with its state; with ``{"ready": true}`` those alone that can answer."""
    body = await read_inflated(request, context.settings)
    asked = json_from_bytes(body, context.settings) if body else {}
    ready_only = asked.get("ready", False) if isinstance(asked, dict) else None
    if not isinstance(ready_only, bool):
        raise refused("body", 'an object such as {"ready": true} was expected')
    found = await index(context, ready_only=ready_only)
    return json_response([asdict(entry) for entry in found])


@router.post("/repository/models/{model:segment}/load")
async def repository_model_load(model: str, request: Request, context: ContextOf) -> Response:
    """Makes the model ready to answer at once."""
    await read_inflated(request, context.settings)
    await while_connected(request, load(context, model))
    return json_response({})


@router.post("/repository/models/{model:segment}/unload")
async def repository_model_unload(model: str) -> Response:
    """Refused: models leave the memory by themselves."""
    raise cannot_unload(model)


def _configured(slot: Slot) -> dict[str, Any]:
    return {"name": slot.name, "data_type": f"TYPE_{slot.datatype}", "dims": slot.shape}


def _headers(found: Answer, total: float) -> dict[str, str]:
    headers = {
        "X-Model-Version": str(found.record.version),
        "X-Model-Digest": found.record.digest,
        "Server-Timing": timing(queue=max(0.0, total - found.compute_seconds), compute=found.compute_seconds),
    }
    return headers | {"X-Seed": str(found.parameters["seed"])} if "seed" in found.parameters else headers
