"""Warm models: built from verified registry versions, the least recently used dropped first."""

from collections import OrderedDict
from dataclasses import dataclass

import torch

from models_registry.artifacts import unpack
from models_registry.versions import VersionRecord, Versions
from workers.jobs.specs import TrainJobSpec
from zoo.catalog import build_model, build_target
from zoo.core.models import Model
from zoo.core.targets import ThermodynamicState


@dataclass(frozen=True)
class WarmModel:
    """A model in memory beside the system that it was trained on."""

    record: VersionRecord
    model: Model
    state: ThermodynamicState


class WarmModels:
    """At most ``capacity`` models in memory, by weight digest and version."""

    def __init__(self, versions: Versions, capacity: int, device: torch.device) -> None:
        self._versions = versions
        self._capacity = capacity
        self._device = device
        self._models: OrderedDict[tuple[str, int], WarmModel] = OrderedDict()

    def get(self, model: str, version: int) -> WarmModel:
        """The model of an immutable version, loaded on first use.

        Raises:
            NotFoundError: no such version.
            CorruptArtifactError: its weights do not have the digest that it was published with.
        """
        key = (model, version)
        if key not in self._models:
            self._models[key] = self._load(self._versions.get(model, str(version)))
        self._models.move_to_end(key)
        while len(self._models) > self._capacity:
            self._models.popitem(last=False)
        return self._models[key]

    def _load(self, record: VersionRecord) -> WarmModel:
        arrays, _ = unpack(self._versions.read_weights(record))
        spec = TrainJobSpec.model_validate({"target": record.target, "model": record.model_spec})
        target = build_target(spec.target)
        model = build_model(spec.model, target.space, seed=0)
        model.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()})
        model.eval().requires_grad_(requires_grad=False)
        return WarmModel(record, model.to(self._device), ThermodynamicState(target, spec.target.state_beta))
