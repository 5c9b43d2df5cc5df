"""Routes of the targets: energies and exact references, computed in an engine."""

from typing import Any

from fastapi import Request, Response

from service.rest.bodies import NPY, array_from_json, read_object
from service.rest.dependencies import ContextOf, SecondsAllowed, while_connected
from service.rest.encoding import json_response, negotiate, npy_response
from service.rest.openapi import json_body
from service.rest.routing import make_router
from service.use_cases.compute_energy import compute_energy
from service.use_cases.find_reference import find_reference
from service.use_cases.specs import parse
from zoo.catalog import AnyTarget
from zoo.specs.base import Spec
from zoo.specs.errors import CapabilityMissingError

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


@router.post("/targets:energy", openapi_extra=json_body(EnergyRequest))
async def energy(request: Request, context: ContextOf, seconds: SecondsAllowed) -> Response:
    """E(x) of each configuration, in the target's unit."""
    media_type = negotiate(request)
    data = await read_object(request, context.settings)
    asked = parse(EnergyRequest, data)
    if asked.force:
        msg = f"forces exist for continuous targets; {asked.target.kind!r} lives on {asked.target.space.kind}"
        raise CapabilityMissingError(msg)
    samples = array_from_json(asked.samples)
    values = await while_connected(request, compute_energy(context, asked.target, samples, seconds))
    return npy_response(values, {}) if media_type == NPY else json_response({"energy": values})


@router.post("/targets:reference", openapi_extra=json_body(ReferenceRequest))
async def reference(request: Request, context: ContextOf, seconds: SecondsAllowed) -> Response:
    """The exact beta_f = -ln Z of a target, with its method and citation."""
    asked = parse(ReferenceRequest, await read_object(request, context.settings))
    exact = await while_connected(request, find_reference(context, asked.target, seconds))
    return json_response(exact.model_dump(mode="json"))
