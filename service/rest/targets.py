"""Routes of the targets: energies and exact references, computed in an engine."""

from functools import partial
from typing import Any

import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray

from service.rest.bodies import NPY, array_from_json, read_as
from service.rest.dependencies import ContextOf, SecondsAllowed, while_connected
from service.rest.encoding import arrays_response, json_response, negotiate, npy_response, one_array_only
from service.rest.openapi import also_as, json_body, problems
from service.rest.routing import make_router
from service.use_cases.compute_energy import compute_energy
from service.use_cases.find_reference import find_reference
from service.use_cases.specs import parse
from zoo.catalog import AnyTarget
from zoo.specs.base import Spec
from zoo.specs.targets.base import TargetSpec

router = make_router("/v1", "targets")


class EnergyRequest(Spec):
    """Configurations whose energy is asked."""

    target: AnyTarget
    samples: Any
    """Nested lists, shape (n, *event_shape)."""
    force: bool = False
    """Whether to answer -grad E too, for continuous targets."""


class ReferenceRequest(Spec):
    """A target whose exact free energy is asked."""

    target: AnyTarget


@router.post(
    "/targets:energy",
    openapi_extra=json_body(EnergyRequest),
    responses=also_as(NPY) | problems(400, 406, 409, 413, 415, 422, 503, 504),
)
async def energy(request: Request, context: ContextOf, seconds: SecondsAllowed) -> Response:
    """E(x) of each configuration, in the target's unit, and with ``force`` -grad E."""
    media_type = negotiate(request)
    target, samples, force = await read_as(request, context.settings, _energy_asked)
    if media_type == NPY and force:
        raise one_array_only(["energy", "force"])
    work = compute_energy(context, target, samples, seconds, force=force)
    arrays = await while_connected(request, work)
    if media_type == NPY:
        return npy_response(arrays["energy"], {})
    return await arrays_response(arrays | _warnings(arrays))


@router.post(
    "/targets:reference",
    openapi_extra=json_body(ReferenceRequest),
    responses=problems(400, 404, 413, 415, 422, 503, 504),
)
async def reference(request: Request, context: ContextOf, seconds: SecondsAllowed) -> Response:
    """The exact beta_f = -ln Z of a target, with its method and citation."""
    asked = await read_as(request, context.settings, partial(parse, ReferenceRequest))
    exact = await while_connected(request, find_reference(context, asked.target, seconds))
    return json_response(exact.model_dump(mode="json"))


def _energy_asked(data: dict[str, Any]) -> tuple[TargetSpec, NDArray[np.generic], bool]:
    asked = parse(EnergyRequest, data)
    return asked.target, array_from_json(asked.samples), asked.force


def _warnings(arrays: dict[str, NDArray[np.generic]]) -> dict[str, list[str]]:
    """What JSON cannot say: which fields hold null for numbers that are not finite."""
    infinite = {name: int((~np.isfinite(array)).sum()) for name, array in arrays.items()}
    told = [f"{n} values of {name} are not finite and shown as null" for name, n in infinite.items() if n]
    return {"warnings": told} if told else {}
