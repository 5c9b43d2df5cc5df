"""The loop learns, anneals, clips and stops when it should."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest
import torch
from jaxtyping import Float, Num
from pydantic import ValidationError
from torch import Tensor, nn

from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.spaces import Space
from zoo.core.targets import HasExactFreeEnergy
from zoo.specs.errors import NumericalError
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.pixelcnn import PixelCnnSpec
from zoo.specs.training import TrainingSpec
from zoo.training.schedules import annealed_at, learning_rate_at
from zoo.training.state import StepInfo
from zoo.training.trainer import WINDOW_SAMPLES, Trainer, train

MakeTrainer = Callable[..., Trainer]
MakeModel = Callable[..., Model]


def infos(trainer: Trainer, model: Model) -> list[StepInfo]:
    return [info for _, info in train(trainer, trainer.init(model))]


@pytest.mark.parametrize("spec", [MadeSpec(width=64), PixelCnnSpec(width=8, symmetry="z2")], ids=lambda s: s.family)
def test_training_reaches_the_exact_free_energy_and_never_undercuts_it(
    make_trainer: MakeTrainer, make_model: MakeModel, spec: ModelSpec
) -> None:
    trainer, model = make_trainer(max_steps=200, batch_size=500), make_model(spec)
    infos(trainer, model)
    state = trainer.problem.state
    assert state is not None
    assert isinstance(state.target, HasExactFreeEnergy)
    exact = state.target.exact_beta_f(state.beta)
    x, log_prob = model.sample_and_log_prob(10_000, RandomStream(77, domain=10**6))
    log_weights = state.unnormalized_log_prob(x) - log_prob
    bound, error = -float(log_weights.mean()), float(log_weights.std()) / 100
    assert bound - exact > -3 * error
    assert bound - exact < 1e-3 * 16


def test_the_effective_sample_fraction_is_that_of_the_recent_weights(
    make_trainer: MakeTrainer, make_model: MakeModel
) -> None:
    trainer = make_trainer(max_steps=12, batch_size=1500, beta_anneal_steps=3)
    for state, info in train(trainer, trainer.init(make_model())):
        weights = (state.log_weights - state.log_weights.max()).exp()
        fraction = float(weights.sum() ** 2 / (weights**2).sum()) / len(weights)
        assert info.effective_sample_fraction == pytest.approx(fraction, rel=1e-12)
        annealed = max(0, info.step - 3)
        assert info.num_log_weights == len(weights) == 1500 * min(7, max(1, annealed))
    assert 6 * 1500 < WINDOW_SAMPLES <= 7 * 1500


def test_the_effective_sample_stop_waits_for_ten_thousand_samples_at_the_final_beta(
    make_trainer: MakeTrainer, make_model: MakeModel
) -> None:
    easy = {"stop_when": {"effective_sample_fraction_above": 0.01}}
    steps = infos(make_trainer(max_steps=200, batch_size=500, beta_anneal_steps=10, **easy), make_model())
    assert steps[-1].stop_reason == "effective_sample_fraction"
    assert steps[-1].step == 10 + WINDOW_SAMPLES // 500
    assert all(info.stop_reason is None for info in steps[:-1])


def test_a_plateau_stops_once_the_loss_no_longer_falls(make_trainer: MakeTrainer, make_model: MakeModel) -> None:
    still = {"learning_rate": 1e-12, "beta_anneal_steps": 0, "stop_when": {"plateau_steps": 5}}
    steps = infos(make_trainer(max_steps=500, **still), make_model())
    assert steps[-1].stop_reason == "plateau"
    assert steps[-1].step < 500


def test_seconds_are_those_of_the_clock_and_stop_the_training(make_trainer: MakeTrainer, make_model: MakeModel) -> None:
    ticks = count()
    trainer = replace(make_trainer(max_steps=50, max_seconds=7), clock=lambda: float(next(ticks)))
    steps = infos(trainer, make_model())
    assert [info.seconds for info in steps] == [1, 2, 3, 4, 5, 6, 7]
    assert steps[-1].stop_reason == "max_seconds"


def test_the_gradient_is_clipped_before_adam_sees_it(make_trainer: MakeTrainer, make_model: MakeModel) -> None:
    trainer, model = make_trainer(gradient_clip_norm=1e-3), make_model()
    state, info = trainer.step(trainer.init(model), RandomStream(0))
    norm = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).norm()
    assert info.gradient_norm > 1e-3
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)
    assert state.step == 1


def test_annealing_goes_linearly_and_then_stays() -> None:
    spec = TrainingSpec(max_steps=10, beta_anneal_steps=4)
    assert [annealed_at(step, spec) for step in range(6)] == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1])
    assert annealed_at(0, TrainingSpec(beta_anneal_steps=0)) == 1
    assert TrainingSpec(max_steps=10).anneal_steps == 2


def test_the_learning_rate_warms_up_and_follows_its_schedule() -> None:
    cosine = TrainingSpec(max_steps=8, learning_rate=1.0, warmup_steps=2)
    rates = [learning_rate_at(step, cosine) for step in range(9)]
    assert rates[0] == pytest.approx(0.5)
    assert rates[4] == pytest.approx(0.5)
    assert rates[8] == pytest.approx(0, abs=1e-12)
    constant = cosine.model_copy(update={"learning_rate_schedule": "constant"})
    assert [learning_rate_at(step, constant) for step in range(4)] == [0.5, 1, 1, 1]


def test_a_beta_that_would_never_be_reached_is_refused() -> None:
    with pytest.raises(ValidationError, match="expected at most max_steps, which is 10"):
        TrainingSpec(max_steps=10, beta_anneal_steps=11)


def test_a_loss_that_is_not_finite_ends_the_training_with_the_weights_before_it(make_trainer: MakeTrainer) -> None:
    model = _Broken()
    trainer = make_trainer()
    with pytest.raises(NumericalError, match=r"training step 0 gave .*loss = nan"):
        trainer.step(trainer.init(model), RandomStream(0))
    assert float(model.weight.detach()) == 1


class _Broken(Model):
    """Has a density that is not a number."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    @property
    def space(self) -> Space:
        raise NotImplementedError

    def sample(self, num_samples: int, rng: RandomStream) -> Num[Tensor, "batch *event"]:
        return torch.ones(num_samples, 4, 4)

    def log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        return self.weight * torch.full((len(x),), torch.nan, dtype=torch.float64)

    def sample_and_log_prob(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        x = self.sample(num_samples, rng)
        return x, self.log_prob(x)


def test_a_model_frozen_again_after_more_training_samples_from_its_new_weights(
    make_trainer: MakeTrainer, make_model: MakeModel
) -> None:
    """What a frozen model makes of its weights for sampling is made anew after a step."""
    trainer, model = make_trainer(max_steps=1, learning_rate=0.1), make_model()
    model.requires_grad_(requires_grad=False)
    before, _ = model.sample_and_log_prob(200, RandomStream(3))
    model.requires_grad_(requires_grad=True)
    infos(trainer, model)
    model.requires_grad_(requires_grad=False)
    x, log_prob = model.sample_and_log_prob(200, RandomStream(3))
    assert not torch.equal(x, before)
    torch.testing.assert_close(log_prob, model.log_prob(x), atol=1e-4, rtol=1e-5)
