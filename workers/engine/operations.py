"""What an engine computes, tile by tile: each operation yields the parts of its answer, the last one marked."""

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import torch
from pydantic import TypeAdapter

from workers.engine.classes import class_log_likelihood
from workers.engine.completion import complete
from workers.engine.corrected import sample_corrected
from workers.engine.free_energies import free_energy, free_energy_curve
from workers.engine.models import WarmModels
from workers.engine.references import References
from workers.engine.tiled import LogLikelihood, Piece, Sample, TiledOperation
from zoo.catalog import AnyTarget, build_target
from zoo.core.models import TargetedModel, Weighable
from zoo.core.random import RandomStream
from zoo.core.targets import ContinuousTarget, Target
from zoo.core.tiles import SHARED_ROWS
from zoo.specs.errors import CapabilityMissingError
from zoo.specs.targets.base import TargetSpec

type_of_target: TypeAdapter[TargetSpec] = TypeAdapter(AnyTarget)

MAX_ENERGY_ROWS = 2048
MAX_ENERGY_PAIRS = 2**24
"""Rows of one part of an energy, and pairs of sites in it, which bound its time where every pair interacts."""

Part = dict[str, Any]
Operation = Callable[["Engine", Part], Iterator[Part | None]]
"""Yields the parts of an answer; where there is none yet ``PAUSE``, or None while it waits for another process."""


class Engine:
    """The operations on warm models; between two parts a request can be given up."""

    def __init__(self, models: WarmModels, device: torch.device, references: References | None = None) -> None:
        self.models = models
        self.device = device
        self.references = references or References()

    def run(self, operation: str, payload: Part) -> Generator[Part | None, None, None]:
        """The parts of the answer to one request; see OPERATIONS."""
        parts = OPERATIONS[operation](self, payload)
        try:
            while True:
                with torch.inference_mode():  # not across a yield: other generators come between
                    part = next(parts, _END)
                if part is _END:
                    return
                yield part
        finally:
            if isinstance(parts, Generator):
                parts.close()

    def run_together(self, operation: TiledOperation, pieces: Sequence[Piece]) -> list[Part]:
        """A part of the answer for each of the pieces, which share a tile."""
        with torch.inference_mode():
            return operation.compute(self, pieces)


def energy(engine: Engine, payload: Part) -> Iterator[Part]:
    """``energy`` of ``samples`` under ``target``, and ``force`` when asked, in parts of about equal work."""
    target = build_target(type_of_target.validate_python(payload["target"]))
    samples = payload["samples"]
    rows = max(1, min(MAX_ENERGY_ROWS, MAX_ENERGY_PAIRS // target.space.num_sites**2))
    for start in range(0, len(samples), rows):
        x = torch.tensor(samples[start : start + rows], device=engine.device)
        part = {"energy": target.energy(x).cpu().numpy()}
        if payload["force"]:
            part["force"] = _continuous(target).force(x).cpu().numpy()
        yield part


def reference(engine: Engine, payload: Part) -> Iterator[Part | None]:
    """None while it is being found, then one part: the exact reference of the payload's ``target``."""
    yield from engine.references.find(type_of_target.validate_python(payload["target"]))


def warm(engine: Engine, payload: Part) -> Iterator[Part]:
    """Loads a version, draws from it and tries its stacks, so that nobody waits for that later; ``num_bytes`` it takes.

    A model that is conditioned on something is loaded alone: no values of its conditions were asked for yet.
    """
    model = engine.models.get(payload["model"], payload["version"])
    if isinstance(model.trainable, Weighable | TargetedModel):
        view = model.model({})
        view.sample(SHARED_ROWS, RandomStream(0))
        model.stacking.try_once(view, model.nanoseconds)
    yield {"num_bytes": model.num_bytes}


OPERATIONS: dict[str, Operation] = {
    "warm": warm,
    "sample": Sample(),
    "sample_corrected": sample_corrected,
    "log_likelihood": LogLikelihood(),
    "class_log_likelihood": class_log_likelihood,
    "complete": complete,
    "free_energy": free_energy,
    "free_energy_curve": free_energy_curve,
    "energy": energy,
    "reference": reference,
}


_END: Part = {"end": "of an answer"}


def _continuous(target: Target) -> ContinuousTarget:
    """The target as one that has forces.

    Raises:
        CapabilityMissingError: its space is discrete.
    """
    if isinstance(target, ContinuousTarget):
        return target
    msg = f"forces exist for continuous targets; this one lives on {target.space.spec.kind}"
    raise CapabilityMissingError(msg)
