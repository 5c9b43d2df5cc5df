"""A training that is written down and taken up again ends in the same bits as one that never stopped."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.specs.errors import CorruptArtifactError
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.pixelcnn import PixelCnnSpec
from zoo.training.state import StepInfo, TrainState, state_metadata, state_tensors
from zoo.training.trainer import Trainer, train

MakeTrainer = Callable[..., Trainer]
MakeModel = Callable[..., Model]

TRAINING = {"max_steps": 20, "beta_anneal_steps": 5, "warmup_steps": 3, "stop_when": {"plateau_steps": 50}}


def run(trainer: Trainer, state: TrainState, steps: int) -> tuple[TrainState, list[StepInfo]]:
    infos = []
    for _, (after, info) in zip(range(steps), train(trainer, state), strict=False):
        state = after
        infos.append(replace(info, seconds=0.0))
    return state, infos


def weights_equal(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def written_and_read(state: TrainState, trainer: Trainer, model: Model) -> TrainState:
    tensors, metadata = save(state_tensors(state)), json.dumps(state_metadata(state), allow_nan=False)
    return trainer.restore(model, load(tensors), json.loads(metadata))


@pytest.mark.parametrize("spec", [MadeSpec(width=32), PixelCnnSpec(width=6, symmetry="z2")], ids=lambda s: s.family)
def test_ten_steps_restored_and_ten_more_are_twenty_to_the_last_bit(
    make_trainer: MakeTrainer, make_model: MakeModel, spec: ModelSpec
) -> None:
    trainer = make_trainer(**TRAINING)
    whole, infos = run(trainer, trainer.init(make_model(spec)), 20)
    half, first = run(trainer, trainer.init(make_model(spec)), 10)
    resumed = written_and_read(half, trainer, make_model(spec))
    rest, second = run(trainer, resumed, 10)
    assert weights_equal(whole.model, rest.model)
    assert first + second == infos
    assert whole.stop_reason == rest.stop_reason == "max_steps"
    assert torch.equal(whole.log_weights, rest.log_weights)
    assert whole.plateau == rest.plateau


def test_forgetting_the_moments_of_adam_is_caught(make_trainer: MakeTrainer, make_model: MakeModel) -> None:
    trainer = make_trainer(**TRAINING)
    whole, _ = run(trainer, trainer.init(make_model()), 20)
    half, _ = run(trainer, trainer.init(make_model()), 10)
    tensors = {name: value for name, value in state_tensors(half).items() if not name.startswith("adam.")}
    rest, _ = run(trainer, trainer.restore(make_model(), tensors, state_metadata(half)), 10)
    assert not weights_equal(whole.model, rest.model)


def test_a_state_before_the_first_step_can_be_restored(make_trainer: MakeTrainer, make_model: MakeModel) -> None:
    trainer = make_trainer(max_steps=3)
    restored = written_and_read(trainer.init(make_model()), trainer, make_model())
    assert run(trainer, restored, 3)[1] == run(trainer, trainer.init(make_model()), 3)[1]


def test_a_finished_training_stays_finished(make_trainer: MakeTrainer, make_model: MakeModel) -> None:
    trainer = make_trainer(max_steps=2)
    ended, _ = run(trainer, trainer.init(make_model()), 9)
    assert ended.step == 2
    assert list(train(trainer, written_and_read(ended, trainer, make_model()))) == []


def test_a_checkpoint_of_another_model_is_refused(make_trainer: MakeTrainer, make_model: MakeModel) -> None:
    trainer = make_trainer()
    state, _ = run(trainer, trainer.init(make_model()), 1)
    with pytest.raises(CorruptArtifactError, match="does not belong to this model"):
        trainer.restore(make_model(PixelCnnSpec(width=6)), state_tensors(state), state_metadata(state))


def test_a_step_depends_on_its_random_numbers(make_trainer: MakeTrainer, make_model: MakeModel) -> None:
    trainer = make_trainer()
    first, _ = trainer.step(trainer.init(make_model()), RandomStream(0, domain=1))
    other, _ = trainer.step(trainer.init(make_model()), RandomStream(0, domain=2))
    assert not torch.equal(first.log_weights, other.log_weights)
