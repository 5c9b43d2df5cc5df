"""Small trainings that all tests of the loop share."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from zoo.catalog import build_model, build_objective, build_target
from zoo.core.models import Model
from zoo.core.targets import ThermodynamicState
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem
from zoo.training.trainer import Trainer

TARGET = IsingSpec(shape=(4, 4), beta=0.4)

MakeTrainer = Callable[..., Trainer]
MakeModel = Callable[..., Model]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def make_trainer() -> MakeTrainer:
    """A trainer on the 4x4 Ising model; keywords are fields of its training spec."""

    def make(**training: Any) -> Trainer:  # noqa: ANN401 - fields of a spec
        spec = TrainingSpec.model_validate({"batch_size": 200, "max_steps": 20, "learning_rate": 0.02} | training)
        state = ThermodynamicState(build_target(TARGET), TARGET.beta)
        return Trainer(build_objective(ReverseKlSpec()), Problem(state), spec)

    return make


@pytest.fixture
def make_model() -> MakeModel:
    """An untrained model on the 4x4 lattice."""

    def make(spec: ModelSpec | None = None) -> Model:
        return build_model(spec or MadeSpec(width=32), build_target(TARGET).space, seed=1)

    return make
