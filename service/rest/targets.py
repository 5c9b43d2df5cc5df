"""Routes of the targets: energies and exact references, computed in an engine."""

import time
from functools import partial
from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import Depends, Query, Request, Response
from numpy.typing import NDArray

from service.rest.answers import ArrayAnswer, array_response
from service.rest.bodies import read_as
from service.rest.dependencies import ContextOf, SecondsAllowed, while_connected
from service.rest.encoding import json_response, negotiate, one_array_only
from service.rest.formats.media_types import BINARY, JSON, NPY
from service.rest.formats.parted import with_first
from service.rest.masked_bodies import Asked, read_masked
from service.rest.openapi import also_as, json_body, problems
from service.rest.query import ONLY_KNOWN
from service.rest.routing import make_router
from service.use_cases.compute_energy import Energies, compute_energy
from service.use_cases.find_reference import find_reference
from service.use_cases.specs import parse
from zoo.catalog import AnyTarget
from zoo.specs.base import Spec
from zoo.specs.errors import FieldError, InvalidValueError

router = make_router("/v1", "targets")


class EnergyOptions(Spec):
    """Which energy is asked."""

    target: AnyTarget
    force: bool = False
    """Whether to answer -grad E too, for continuous targets."""


class EnergyRequest(EnergyOptions):
    """Configurations whose energy is asked."""

    samples: Any
    """Nested lists, shape (n, *event_shape)."""


class ReferenceRequest(Spec):
    """A target whose exact free energy is asked."""

    target: AnyTarget


async def energy_by_query(
    target: Annotated[str | None, Query(description="The target as JSON, where it is not in the body")] = None,
    force: Annotated[bool | None, Query(description="Whether to answer -grad E, where it is not in the body")] = None,
) -> dict[str, Any]:
    """The fields in the query, as they would be in a JSON body: beside a binary body they travel there.

    Raises:
        InvalidValueError: ``target`` is not JSON.
    """
    asked: dict[str, Any] = {} if force is None else {"force": force}
    if target is None:
        return asked
    try:
        return asked | {"target": orjson.loads(target)}
    except orjson.JSONDecodeError:
        message = f'{target[:80]!r} came; a JSON object such as {{"kind": "ising", "shape": [4, 4]}} was expected'
        raise InvalidValueError(f"target: {message}", errors=(FieldError("target", message),)) from None


EnergyByQuery = Annotated[dict[str, Any], Depends(energy_by_query)]


@router.post(
    "/targets:energy",
    openapi_extra=json_body(EnergyRequest, *BINARY),
    responses=also_as(*BINARY) | problems(400, 406, 408, 409, 413, 415, 422, 503, 504),
    dependencies=[ONLY_KNOWN],
)
async def energy(request: Request, context: ContextOf, seconds: SecondsAllowed, asked: EnergyByQuery) -> Response:
    """E(x) of each configuration, in the target's unit, and with `force` -grad E.

    The body is JSON, or npy, npz, safetensors or an Arrow stream with the array `samples`; beside these `target` and
    `force` travel in the query string.  Answers exist in the same formats.
    """
    started = time.perf_counter()
    media_type = negotiate(request)
    wanted = Asked(EnergyRequest, EnergyOptions, asked, arrays=frozenset({"samples"}))
    body = await read_masked(request, context.settings, wanted)
    if media_type == NPY and body.options.force:
        raise one_array_only(["energy", "force"])
    work = compute_energy(context, body.options.target, body.samples, seconds, force=body.options.force)
    found = await while_connected(request, work)
    return await array_response(request, media_type, _answer(found, media_type), started, context.settings)


@router.post(
    "/targets:reference",
    openapi_extra=json_body(ReferenceRequest),
    responses=problems(400, 404, 413, 415, 422, 503, 504),
    dependencies=[ONLY_KNOWN],
)
async def reference(request: Request, context: ContextOf, seconds: SecondsAllowed) -> Response:
    """The exact beta_f = -ln Z of a target, with its method and citation."""
    asked = await read_as(request, context.settings, partial(parse, ReferenceRequest))
    exact = await while_connected(request, find_reference(context, asked.target, seconds))
    return json_response(exact.model_dump(mode="json"))


def _answer(found: Energies, media_type: str) -> ArrayAnswer:
    fields = _warnings(found.parted) if media_type == JSON else {}
    return ArrayAnswer(with_first("energy", found.parted), fields, found.compute_seconds)


def _warnings(parted: dict[str, tuple[NDArray[np.generic], ...]]) -> dict[str, list[str]]:
    """What JSON cannot say: which fields hold null for numbers that are not finite."""
    infinite = {name: sum(int((~np.isfinite(part)).sum()) for part in parts) for name, parts in parted.items()}
    told = [f"{n} values of {name} are not finite and shown as null" for name, n in infinite.items() if n]
    return {"warnings": told} if told else {}
