"""The process that finds exact references and tells them over a pipe."""

import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from pydantic import TypeAdapter

from workers.compute import prepare_thread
from workers.messages import error_fields, pack
from workers.process_group import die_with_parent
from zoo.catalog import AnyTarget, build_target
from zoo.core.targets import HasExactFreeEnergy
from zoo.specs.errors import HelmholtzError
from zoo.specs.targets.base import TargetSpec

_TYPE_OF_TARGET: TypeAdapter[TargetSpec] = TypeAdapter(AnyTarget)


def solve(pipe: Connection, specs_json: Sequence[str], threads: int) -> None:
    """Send ``{"answer": ...}`` or ``{"error": ...}`` for each target, in their order."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the engine, which ends this
    prepare_thread(threads)
    for spec_json in specs_json:
        try:
            told = {"answer": exact_reference(_TYPE_OF_TARGET.validate_json(spec_json))}
        except HelmholtzError as error:
            told = {"error": error_fields(error)}
        pipe.send_bytes(pack(told))


def exact_reference(spec: TargetSpec) -> dict[str, Any]:
    """The exact reference of ``spec``.

    Raises:
        NoExactReferenceError: there is none.
    """
    target = build_target(spec)
    if not isinstance(target, HasExactFreeEnergy):
        why = "this kind has no solution in closed form"
        raise spec.no_exact_reference(why)
    return target.exact_reference(spec.state_beta).model_dump(mode="json")
