"""What the conformance suite runs over: every family and target of the catalogue, in a few small forms."""

from dataclasses import dataclass
from functools import cache

import torch

from zoo.catalog import build_model, build_objective, build_target
from zoo.core.models import Model
from zoo.core.spaces import Spins
from zoo.core.targets import ThermodynamicState
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.pixelcnn import PixelCnnSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.training import TrainingSpec
from zoo.training.trainer import Trainer, train

MODEL_SPECS: dict[type[ModelSpec], tuple[ModelSpec, ...]] = {
    MadeSpec: (
        MadeSpec(width=24),
        MadeSpec(width=5, depth=2),
        MadeSpec(width=24, depth=3, symmetry="z2"),
    ),
    PixelCnnSpec: (
        PixelCnnSpec(width=8, depth=2),
        PixelCnnSpec(width=5, depth=3, half_kernel=2),
        PixelCnnSpec(width=6, depth=3, symmetry="z2"),
    ),
}

TARGET_SPECS: dict[type[TargetSpec], tuple[TargetSpec, ...]] = {
    IsingSpec: (
        IsingSpec(shape=(7,), beta=0.7),
        IsingSpec(shape=(3, 3), beta=0.44),
        IsingSpec(shape=(3, 4), beta=0.3, J=-1, periodic=False),
        IsingSpec(shape=(2, 5), beta=0.5, h=0.25),
        IsingSpec(shape=(2, 2, 3), beta=0.2),
    ),
}

STATES = ("untrained", "trained", "scrambled")


@dataclass(frozen=True)
class ModelCase:
    """A model to be built: its spec and what has happened to its weights."""

    spec: ModelSpec
    state: str

    def __str__(self) -> str:
        parameters = self.spec.model_dump(exclude_defaults=True, exclude={"family"})
        return "-".join([self.spec.family, *(f"{k}={v}" for k, v in parameters.items()), self.state])

    def model(self, shape: tuple[int, ...] = (4, 4)) -> Model:
        """The model on a lattice of this shape; a fresh copy at every call."""
        model = build_model(self.spec, spins(shape), seed=1)
        model.load_state_dict(_weights(self, shape))
        return model


MODEL_CASES = tuple(ModelCase(spec, state) for specs in MODEL_SPECS.values() for spec in specs for state in STATES)
SCRAMBLED_CASES = tuple(case for case in MODEL_CASES if case.state == "scrambled")


def spins(shape: tuple[int, ...]) -> Spins:
    """Spins of this event shape."""
    return Spins(SpaceSpec(kind="spins", event_shape=shape))


def scramble(model: Model, scale: float = 0.3) -> None:
    """Add normal noise to every weight, so that conditionals are far from even and no part of the network is idle."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=scale)


@cache
def _weights(case: ModelCase, shape: tuple[int, ...]) -> dict[str, torch.Tensor]:
    model = build_model(case.spec, spins(shape), seed=1)
    if case.state == "scrambled":
        scramble(model)
    if case.state == "trained":
        state = ThermodynamicState(build_target(IsingSpec(shape=shape, beta=0.4)), 0.4)
        training = TrainingSpec(batch_size=200, max_steps=30, learning_rate=0.02)
        trainer = Trainer(build_objective(ReverseKlSpec()), state, training)
        for _ in train(trainer, trainer.init(model)):
            pass
    return model.state_dict()
