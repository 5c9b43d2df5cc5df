"""The training loop: (state, random stream) -> (state, info), resumable bit for bit."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Any, final

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.autograd.graph import increment_version
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam

from zoo.core.models import Weighable
from zoo.core.random import RandomStream
from zoo.objectives.base import Batch, Loss, Objective
from zoo.specs.errors import NumericalError
from zoo.specs.training import TrainingSpec
from zoo.training.gradient_choice import GradientChoice, Moment, alternatives_of, rechosen
from zoo.training.problem import Problem, Trainable
from zoo.training.schedules import annealed_at, learning_rate_at
from zoo.training.state import HeldOut, Plateau, StepInfo, StopReason, TrainState, restored

WINDOW_SAMPLES = 10_000
"""Training samples that an effective sample fraction is measured on before anything is decided by it."""

_HELD_OUT_DOMAIN = 2**42  # apart from those of training steps
HELD_OUT_ROWS = 1024
"""Configurations whose likelihood is evaluated at once."""

_AVERAGE_DECAY = 0.98


@final
@dataclass(frozen=True)
class Trainer:
    """Minimises ``objective`` on ``problem`` by Adam, as ``spec`` says; ``clock`` counts seconds."""

    objective: Objective
    problem: Problem
    spec: TrainingSpec
    clock: Callable[[], float] = time.monotonic

    def init(self, model: Trainable) -> TrainState:
        """The state before the first step; ``model`` will be trained in place, on the device it is on."""
        parameters = list(model.parameters())
        nothing = torch.zeros(0, dtype=torch.float64, device=parameters[0].device)
        return TrainState(model, Adam(parameters, lr=self.spec.learning_rate, fused=True), nothing)

    def restore(self, model: Trainable, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> TrainState:
        """The state that ``state_tensors`` and ``state_metadata`` wrote down, with ``model`` taking its weights.

        Raises:
            CorruptArtifactError: what was written belongs to another model.
        """
        return restored(self.init(model), tensors, metadata)

    def step(self, state: TrainState, rng: RandomStream) -> tuple[TrainState, StepInfo]:
        """One step of Adam on one batch drawn with ``rng``; the numbers come to the host once.

        Raises:
            NumericalError: the loss or its gradient is not finite; the weights are then those before the step.
        """
        started = self.clock()
        annealed = annealed_at(state.step, self.spec)
        beta = self.problem.beta(annealed)
        model, batch = self.problem.batch(state.model, self.spec.batch_size, annealed, rng)
        alternatives = alternatives_of(self.objective, model)
        choice = self._choice(state, alternatives, annealed, rng)
        loss = (self.objective if choice is None else alternatives[choice.name])(model, batch, rng)
        gradient_norm = self._gradient(state, loss.value)
        log_weights = _recent(state, loss.log_weights, beta)
        numbers = _on_host(loss, log_weights, gradient_norm)
        _require_finite(numbers, state.step)
        learning_rate = state.learning_rate_factor * learning_rate_at(state.step, self.spec)
        _adam_step(state.optimizer, learning_rate)
        after = replace(
            self._judged(replace(state, step=state.step + 1)),
            log_weights=log_weights,
            log_weights_beta=beta,
            plateau=self._plateau(state, numbers["loss"]),
            gradient=choice,
        )
        after = replace(after, seconds=state.seconds + self.clock() - started)
        fraction = numbers.get("effective_sample_fraction")
        after = replace(after, stop_reason=self._stop_reason(after, fraction))
        if after.stop_reason is not None and after.step % self.spec.evaluate_every:
            after = self._measured(after)  # the last weights are judged too
        info = StepInfo(
            step=after.step,
            loss=numbers["loss"],
            beta=beta,
            parts={name: numbers[name] for name in loss.parts},
            effective_sample_fraction=fraction,
            num_log_weights=len(log_weights),
            held_out_nll=after.held_out.last,
            learning_rate=learning_rate,
            gradient_norm=numbers["gradient_norm"],
            seconds=after.seconds,
            stop_reason=after.stop_reason,
            gradient=choice,
        )
        return after, info

    @property
    def judges_by_held_out(self) -> bool:
        """Whether the best weights are those with the largest likelihood of held-out data."""
        return self.problem.data is not None and self.problem.state is None and len(self.problem.data.held_out) > 0

    def held_out_nll(self, model: Trainable) -> Float64[Tensor, " sample"]:
        """-ln q of each held-out configuration, in nats; -l of models without a likelihood, the same each time."""
        count = 0 if self.problem.data is None else len(self.problem.data.held_out)
        parts = []
        with torch.no_grad():
            for begin in range(0, count, HELD_OUT_ROWS):
                view, rows = self.problem.held_out(model, begin, begin + HELD_OUT_ROWS)
                parts.append(-view.log_ratio(rows, RandomStream(self.spec.seed, _HELD_OUT_DOMAIN, begin)))
        return torch.cat(parts)

    def _choice(
        self, state: TrainState, alternatives: Mapping[str, Objective], annealed: float, rng: RandomStream
    ) -> GradientChoice | None:
        """The gradient that this step takes, measured anew where that is due; None where there is none to choose."""
        if not alternatives:
            return None

        def draw(stream: RandomStream) -> tuple[Weighable, Batch]:
            return self.problem.batch(state.model, self.spec.batch_size, annealed, stream)

        before = state.gradient or GradientChoice(next(iter(alternatives)))
        spec, step = self.spec, state.step
        return rechosen(before, alternatives, draw, rng, Moment(step, step - spec.anneal_steps, spec.max_steps - step))

    def _judged(self, state: TrainState) -> TrainState:
        """The state with the likelihood of held-out data measured where it is due, and the best weights kept."""
        return state if state.step % self.spec.evaluate_every else self._measured(state)

    def _measured(self, state: TrainState) -> TrainState:
        """The state with the likelihood of held-out data measured and the best weights kept, where there is any."""
        if not self.judges_by_held_out:
            return state
        nll = float(self.held_out_nll(state.model).mean())
        lowest = state.held_out.lowest
        if lowest is not None and not nll < lowest:
            return replace(state, held_out=replace(state.held_out, last=nll))
        kept = {name: value.detach().clone() for name, value in state.model.state_dict().items()}
        return replace(state, held_out=HeldOut(nll, nll, state.step), kept=kept)

    def _gradient(self, state: TrainState, value: Tensor) -> Float[Tensor, ""]:
        """Leaves the clipped gradient in the parameters; its norm before that."""
        state.optimizer.zero_grad()
        torch.autograd.backward(value)
        limit = self.spec.gradient_clip_norm
        return clip_grad_norm_(state.model.parameters(), inf if limit is None else limit)

    def _plateau(self, state: TrainState, loss: float) -> Plateau:
        """The moving average with ``loss``; while beta changes there is nothing to compare it with."""
        if state.step < self.spec.anneal_steps:
            return Plateau()
        seen = state.plateau
        average = loss if seen.average is None else _AVERAGE_DECAY * seen.average + (1 - _AVERAGE_DECAY) * loss
        if seen.lowest is None or average < seen.lowest:
            return Plateau(average, average, state.step + 1)
        return Plateau(average, seen.lowest, seen.lowest_step)

    def _stop_reason(self, state: TrainState, effective_sample_fraction: float | None) -> StopReason | None:
        """Why the training ends with ``state``, or None."""
        spec, when = self.spec, self.spec.stop_when
        enough = when.effective_sample_fraction_above
        annealed = state.step > spec.anneal_steps
        reasons: dict[StopReason, bool] = {
            "max_steps": state.step >= spec.max_steps,
            "max_seconds": spec.max_seconds is not None and state.seconds >= spec.max_seconds,
            "effective_sample_fraction": enough is not None
            and annealed
            and len(state.log_weights) >= WINDOW_SAMPLES
            and effective_sample_fraction is not None
            and effective_sample_fraction > enough,
            "plateau": when.plateau_steps is not None
            and annealed
            and state.step - self._best_step(state) >= when.plateau_steps,
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    def _best_step(self, state: TrainState) -> int:
        return state.held_out.lowest_step if self.judges_by_held_out else state.plateau.lowest_step


def train(trainer: Trainer, state: TrainState) -> Iterator[tuple[TrainState, StepInfo]]:
    """State and info after each step, to the end; between two steps the caller may write down, report or leave.

    Step t takes its random numbers from the stream (training seed, domain t), so no random state is hidden anywhere,
    and a restored state goes on exactly as it would have.  Yields nothing when ``state`` has ended already.
    """
    while state.stop_reason is None:
        state, info = trainer.step(state, RandomStream(trainer.spec.seed, domain=state.step))
        yield state, info


def take_best_weights(state: TrainState) -> None:
    """Nothing; the model of ``state`` then has the weights that held-out data found best, where there was some."""
    if state.kept:
        state.model.load_state_dict(state.kept)


def flush_denormals() -> None:
    """Nothing; from here on this thread and those it starts take numbers below 1e-38 for 0.

    Call it in a training process before its first tensor operation: arithmetic on denormal numbers can be ten times
    slower.
    """
    torch.set_flush_denormal(True)


def _adam_step(optimizer: Adam, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.step()
    # a fused step leaves version counters alone, by which frozen networks know that their weights have changed
    for group in optimizer.param_groups:
        increment_version(group["params"])


def _recent(state: TrainState, new: Float[Tensor, " batch"], beta: float) -> Float[Tensor, " recent"]:
    """The log-weights of the last steps at ``beta``, just enough whole batches to make WINDOW_SAMPLES."""
    if beta != state.log_weights_beta or not len(new):
        return new
    batches = -(-WINDOW_SAMPLES // len(new))
    return torch.cat([state.log_weights, new])[-batches * len(new) :]


def _on_host(loss: Loss, log_weights: Tensor, gradient_norm: Tensor) -> dict[str, float]:
    """The numbers of a step, in one transfer."""
    numbers = {"loss": loss.value.detach(), "gradient_norm": gradient_norm.double()} | loss.parts
    if len(log_weights):
        doubled = torch.logsumexp(2 * log_weights, 0)
        numbers["effective_sample_fraction"] = (2 * torch.logsumexp(log_weights, 0) - doubled).exp() / len(log_weights)
    return dict(zip(numbers, torch.stack([value.double() for value in numbers.values()]).tolist(), strict=True))


def _require_finite(numbers: dict[str, float], step: int) -> None:
    broken = [f"{name} = {value}" for name, value in numbers.items() if not isfinite(value)]
    if broken:
        msg = f"training step {step} gave {', '.join(broken)}; a smaller learning rate or beta_anneal_steps may help"
        raise NumericalError(msg)
