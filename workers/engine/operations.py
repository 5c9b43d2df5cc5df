"""What an engine computes, tile by tile: each operation yields the parts of its answer, the last one marked."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter

from workers.engine.models import WarmModel, WarmModels
from workers.engine.references import References
from zoo.catalog import AnyTarget, build_target
from zoo.core.random import RandomStream
from zoo.core.targets import ContinuousTarget, Target
from zoo.core.tiles import tile_plan
from zoo.estimators.free_energy import importance_beta_f, variational_beta_f
from zoo.specs.errors import CapabilityMissingError
from zoo.specs.targets.base import TargetSpec

type_of_target: TypeAdapter[TargetSpec] = TypeAdapter(AnyTarget)

MAX_ENERGY_ROWS = 2048
MAX_ENERGY_PAIRS = 2**24
"""Rows of one part of an energy, and pairs of sites in it, which bound its time where every pair interacts."""

Part = dict[str, Any]
Operation = Callable[["Engine", Part], Iterator[Part | None]]
"""Yields the parts of an answer, and None where there is none yet and the request may be given up."""


class Engine:
    """The operations on warm models; ``progress`` between two parts is where a request can be cancelled."""

    def __init__(self, models: WarmModels, device: torch.device, references: References | None = None) -> None:
        self.models = models
        self.device = device
        self.references = references or References()

    def run(self, operation: str, payload: Part) -> Iterator[Part | None]:
        """The parts of the answer to one request; see OPERATIONS."""
        with torch.inference_mode():
            yield from OPERATIONS[operation](self, payload)


def sample(engine: Engine, payload: Part) -> Iterator[Part]:
    """One part for each tile: ``samples`` and what ``include`` names; ``log_weight`` beside log_prob and energy."""
    warm = engine.models.get(payload["model"], payload["version"])
    rng = RandomStream(payload["seed"])
    for tile in tile_plan(payload["n"]):
        x, log_prob = warm.model.sample_and_log_prob(tile.rows, rng.at(tile.start))
        x, log_prob = x[: tile.used], log_prob[: tile.used]
        yield {"samples": x.cpu().numpy()} | _extras(warm, x, log_prob, payload["include"])


def log_likelihood(engine: Engine, payload: Part) -> Iterator[Part]:
    """One part for each tile: ``log_likelihood`` of the payload's ``samples``, float64."""
    warm = engine.models.get(payload["model"], payload["version"])
    samples = payload["samples"]
    for tile in tile_plan(len(samples)):
        rows = samples[tile.start : tile.start + tile.used]
        padding = np.repeat(rows[:1], tile.rows - tile.used, axis=0)
        batch = torch.from_numpy(np.concatenate([rows, padding])).to(engine.device)
        yield {"log_likelihood": warm.model.log_prob(batch)[: tile.used].cpu().numpy()}


def free_energy(engine: Engine, payload: Part) -> Iterator[Part]:
    """Progress parts, then the estimate: by importance weights or the variational bound of ``n`` samples."""
    warm = engine.models.get(payload["model"], payload["version"])
    rng = RandomStream(payload["seed"])
    weights: list[NDArray[np.float64]] = []
    energies: list[NDArray[np.float64]] = []
    done = 0
    for tile in tile_plan(payload["n"]):
        x, log_prob = warm.model.sample_and_log_prob(tile.rows, rng.at(tile.start))
        reduced = warm.state.reduced_energy(x)
        weights.append((-reduced - log_prob)[: tile.used].cpu().numpy())
        energies.append((reduced / warm.state.beta)[: tile.used].cpu().numpy())
        done += tile.used
        yield {"progress": {"num_samples": done, "fraction": done / payload["n"]}}
    log_weights = np.concatenate(weights)
    bound = variational_beta_f(log_weights)
    estimate = bound if payload["method"] == "variational" else importance_beta_f(log_weights)
    yield {"estimate": estimate.model_dump(mode="json"), "upper_bound": bound.model_dump(mode="json")}


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


OPERATIONS: dict[str, Operation] = {
    "sample": sample,
    "log_likelihood": log_likelihood,
    "free_energy": free_energy,
    "energy": energy,
    "reference": reference,
}


def _continuous(target: Target) -> ContinuousTarget:
    """The target as one that has forces.

    Raises:
        CapabilityMissingError: its space is discrete.
    """
    if isinstance(target, ContinuousTarget):
        return target
    msg = f"forces exist for continuous targets; this one lives on {target.space.spec.kind}"
    raise CapabilityMissingError(msg)


def _extras(warm: WarmModel, x: torch.Tensor, log_prob: torch.Tensor, include: list[str]) -> Part:
    part: Part = {}
    if "log_prob" in include:
        part["log_prob"] = log_prob.cpu().numpy()
    if "energy" in include:
        part["energy"] = warm.state.target.energy(x).cpu().numpy()
    if len(part) == 2:
        part["log_weight"] = -warm.state.beta * part["energy"] - part["log_prob"]
    return part
