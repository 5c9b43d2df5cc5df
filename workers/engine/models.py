"""Warm models: built from verified registry versions, the least recently used dropped first."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from weakref import WeakValueDictionary

import torch
from pydantic import TypeAdapter

from models_registry.artifacts import unpack
from models_registry.versions import VersionRecord, Versions
from workers.engine.stacking import Stacking
from workers.published_weights import load_weights
from zoo.catalog import APPROXIMATIONS, AnyModel, AnyTarget, build_equations, build_trainable, states_of
from zoo.core.models import Model, TargetedModel, Weighable, density_of
from zoo.core.random import RandomStream
from zoo.core.self_consistency import FreeEnergyApproximation, Solution, Solving
from zoo.core.spaces import build_space
from zoo.core.targets import ThermodynamicState
from zoo.core.tiles import SHARED_ROWS, Tile, largest_tile, tile_plan
from zoo.specs.errors import CapabilityMissingError
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.fixed_point import FixedPointSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import TargetSpec
from zoo.training.problem import Trainable

_MODELS: TypeAdapter[ModelSpec] = TypeAdapter(AnyModel)
_TARGETS: TypeAdapter[TargetSpec] = TypeAdapter(AnyTarget)

_REMEMBERED = 4096  # versions whose tiles are known without asking the database

Key = tuple[str, int]
"""A model's name and its version."""
Condition = Mapping[str, float]
StateAt = Callable[[Condition], ThermodynamicState]


def nanoseconds_of(record: VersionRecord) -> float:
    """The nominal time of a row of a version: a function of what it is."""
    spec, target = _MODELS.validate_python(record.model_spec), record.target
    space = SpaceSpec.model_validate(record.space) if target is None else _TARGETS.validate_python(target).space
    return spec.nominal_nanoseconds(space)


@dataclass(frozen=True, eq=False)
class WarmModel:
    """A model in memory beside the system that it was trained on, where it was trained on one."""

    record: VersionRecord
    trainable: Trainable | None
    """None for families that have a free energy and no distribution."""
    state_at: StateAt | None
    stacking: Stacking = field(default_factory=Stacking)
    approximation: "WarmApproximation | None" = None
    """The free energy of families without a distribution."""

    @cached_property
    def nanoseconds(self) -> float:
        """The nominal time of a row."""
        return nanoseconds_of(self.record)

    def tiles(self, num_rows: int) -> Iterator[Tile]:
        """The tiles that rows of this model are computed in."""
        return tile_plan(num_rows, largest_tile(self.nanoseconds))

    @property
    def num_bytes(self) -> int:
        """Bytes of its weights, and as many again for what is made of them to sample faster."""
        tensors = [] if self.trainable is None else [*self.trainable.parameters(), *self.trainable.buffers()]
        return 2 * sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def density(self, condition: Condition) -> Model:
        """The model at ``condition``, as one with likelihoods; raises as ``model`` does, and where it has none."""
        return density_of(self.model(condition))

    def model(self, condition: Condition) -> Weighable:
        """The model at ``condition``, which has a value of each of its conditions; {} for models without.

        Raises:
            CapabilityMissingError: a condition has no value, or the family is no distribution.
        """
        if self.trainable is None:
            family = self.record.model_spec["family"]
            msg = (
                f"family {family!r} has no samples and no likelihoods; it can be asked for its free energy, at any beta"
            )
            raise CapabilityMissingError(msg)
        if isinstance(self.trainable, Weighable):
            return self.trainable
        if isinstance(self.trainable, TargetedModel):
            return self.trainable.toward(self.state(condition))
        names = self.trainable.conditions
        if set(names) != set(condition):
            msg = f"the model is conditioned on {', '.join(names)}; values of {', '.join(condition) or 'none'} came"
            raise CapabilityMissingError(msg)
        device = next(self.trainable.parameters()).device
        return self.trainable.at(
            torch.tensor([[condition[name] for name in names]], dtype=torch.float64, device=device)
        )

    def state(self, condition: Condition) -> ThermodynamicState:
        """The target at ``condition``, whose names are parameters of it.

        Raises:
            CapabilityMissingError: the model was learnt from data alone.
        """
        if self.state_at is None:
            msg = "the model was learnt from data alone: it has likelihoods, and there is no target with an energy"
            raise CapabilityMissingError(msg)
        return self.state_at({name: value for name, value in condition.items() if name != "label"})


@dataclass(frozen=True)
class WarmApproximation:
    """Equations with the solution that was found when the version was made."""

    equations: FreeEnergyApproximation
    found: Solution
    seed: int

    def solve(self, state: ThermodynamicState) -> Solving:
        """The solution at ``state``; that at the version's own beta is not found a second time."""
        if state.beta == self.found.beta:
            return self.found
        return (yield from self.equations.solve(state, RandomStream(self.seed)))


class WarmModels:
    """The models in memory: at most ``capacity`` of them, and as many as fit into ``max_bytes``, one always.

    The least recently used goes first.  What a running request still holds stays in memory until it has ended, and is
    counted until then.
    """

    def __init__(self, versions: Versions, capacity: int, device: torch.device, max_bytes: int = 2**62) -> None:
        self._versions = versions
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._device = device
        self._models: OrderedDict[Key, WarmModel] = OrderedDict()
        self._alive: WeakValueDictionary[int, WarmModel] = WeakValueDictionary()
        self._largest: dict[Key, int] = {}
        self._stacking: dict[Key, Stacking] = {}
        self.seconds_loading = 0.0
        self.num_loaded = 0
        self.num_evicted = 0

    def __len__(self) -> int:
        return len(self._models)

    def __contains__(self, key: object) -> bool:
        return key in self._models

    @property
    def num_bytes(self) -> int:
        """Bytes of all models that are in memory, those included that only a running request holds."""
        alive = (reference() for reference in self._alive.valuerefs())  # a list, which other threads leave alone
        return sum(model.num_bytes for model in alive if model is not None)

    def get(self, model: str, version: int) -> WarmModel:
        """The model of an immutable version, loaded on first use.

        Raises:
            NotFoundError: no such version.
            CorruptArtifactError: its weights do not have the digest that it was published with.
        """
        key = (model, version)
        if key not in self._models:
            started = time.perf_counter()
            loaded = self._load(self._versions.get(model, str(version)), self._stacking_of(key))
            self._models[key] = loaded
            self.seconds_loading += time.perf_counter() - started
            self._alive[id(loaded)] = loaded
            self.num_loaded += 1
            self._make_room(key)
        self._models.move_to_end(key)
        return self._models[key]

    def largest_tile(self, model: str, version: int) -> int:
        """The size of the largest tile of a version, which need not be in memory.

        Raises:
            NotFoundError: no such version.
        """
        key = (model, version)
        if key not in self._largest:
            if len(self._largest) >= _REMEMBERED:
                self._largest.clear()
            self._largest[key] = largest_tile(nanoseconds_of(self._versions.get(model, str(version))))
        return self._largest[key]

    def shared_rows(self, key: Key | None) -> int:
        """How many rows of several requests for a version are computed at once, as far as is known."""
        model = None if key is None else self._models.get(key)
        return SHARED_ROWS if model is None else model.stacking.rows

    def _stacking_of(self, key: Key) -> Stacking:
        """What was found out about a version, also when it was in memory before."""
        if len(self._stacking) >= _REMEMBERED:
            self._stacking.clear()
        return self._stacking.setdefault(key, Stacking())

    def _make_room(self, newest: Key) -> None:
        """Drop the least recently used, but never the newest."""
        while len(self._models) > self._capacity or (len(self._models) > 1 and self.num_bytes > self._max_bytes):
            oldest = next(key for key in self._models if key != newest)
            del self._models[oldest]
            self.num_evicted += 1

    @torch.inference_mode(mode=False)  # some operations differentiate what is made here
    def _load(self, record: VersionRecord, stacking: Stacking) -> WarmModel:
        arrays, _ = unpack(self._versions.read_weights(record))
        target = None if record.target is None else _TARGETS.validate_python(record.target)
        space = build_space(SpaceSpec.model_validate(record.space) if target is None else target.space)
        spec, state_at = _MODELS.validate_python(record.model_spec), None if target is None else states_of(target)
        if type(spec) in APPROXIMATIONS:
            tensors = {name: torch.tensor(array) for name, array in arrays.items()}
            return WarmModel(record, None, state_at, stacking, _approximation(spec, tensors, record.seed))
        model = build_trainable(spec, space, seed=0)
        load_weights(model, arrays, f"version {record.version} of {record.model!r}")
        model.eval().requires_grad_(requires_grad=False)
        return WarmModel(record, model.to(self._device), state_at, stacking)


def _approximation(spec: ModelSpec, tensors: dict[str, torch.Tensor], seed: int) -> WarmApproximation:
    equations = build_equations(spec) if isinstance(spec, FixedPointSpec) else None
    if not isinstance(equations, FreeEnergyApproximation):
        msg = f"family {spec.family!r} is no approximation of a free energy"
        raise TypeError(msg)
    return WarmApproximation(equations, Solution.of(tensors), seed)
