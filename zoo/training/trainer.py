"""The training loop: (state, random stream) -> (state, info), resumable bit for bit."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam

from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.targets import ThermodynamicState
from zoo.objectives.base import Loss, Objective
from zoo.specs.errors import NumericalError
from zoo.specs.training import TrainingSpec
from zoo.training.schedules import beta_at, learning_rate_at
from zoo.training.state import Plateau, StepInfo, StopReason, TrainState, restored

WINDOW_SAMPLES = 10_000
"""Training samples that an effective sample fraction is measured on before anything is decided by it."""

_AVERAGE_DECAY = 0.98


@final
@dataclass(frozen=True)
class Trainer:
    """Minimises ``objective`` for the system ``target`` by Adam, as ``spec`` says; ``clock`` counts seconds."""

    objective: Objective
    target: ThermodynamicState
    spec: TrainingSpec
    clock: Callable[[], float] = time.monotonic

    def init(self, model: Model) -> TrainState:
        """The state before the first step; ``model`` will be trained in place, on the device it is on."""
        parameters = list(model.parameters())
        nothing = torch.zeros(0, dtype=torch.float64, device=parameters[0].device)
        return TrainState(model, Adam(parameters, lr=self.spec.learning_rate, fused=True), nothing)

    def restore(self, model: Model, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> TrainState:
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
        beta = beta_at(state.step, self.target.beta, self.spec)
        loss = self.objective(state.model, replace(self.target, beta=beta), self.spec.batch_size, rng)
        gradient_norm = self._gradient(state, loss.value)
        log_weights = _recent(state, loss.log_weights, beta)
        numbers = _on_host(loss, log_weights, gradient_norm)
        _require_finite(numbers, state.step)
        learning_rate = learning_rate_at(state.step, self.spec)
        _adam_step(state.optimizer, learning_rate)
        after = replace(
            state,
            step=state.step + 1,
            seconds=state.seconds + self.clock() - started,
            log_weights=log_weights,
            log_weights_beta=beta,
            plateau=self._plateau(state, numbers["loss"]),
        )
        fraction = numbers["effective_sample_fraction"]
        after = replace(after, stop_reason=self._stop_reason(after, fraction))
        info = StepInfo(
            step=after.step,
            beta=beta,
            num_log_weights=len(log_weights),
            learning_rate=learning_rate,
            seconds=after.seconds,
            stop_reason=after.stop_reason,
            **numbers,
        )
        return after, info

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

    def _stop_reason(self, state: TrainState, effective_sample_fraction: float) -> StopReason | None:
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
            and effective_sample_fraction > enough,
            "plateau": when.plateau_steps is not None
            and annealed
            and state.step - state.plateau.lowest_step >= when.plateau_steps,
        }
        return next((reason for reason, holds in reasons.items() if holds), None)


def train(trainer: Trainer, state: TrainState) -> Iterator[tuple[TrainState, StepInfo]]:
    """State and info after each step, to the end; between two steps the caller may write down, report or leave.

    Step t takes its random numbers from the stream (training seed, domain t), so no random state is hidden anywhere,
    and a restored state goes on exactly as it would have.  Yields nothing when ``state`` has ended already.
    """
    while state.stop_reason is None:
        state, info = trainer.step(state, RandomStream(trainer.spec.seed, domain=state.step))
        yield state, info


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


def _recent(state: TrainState, new: Float[Tensor, " batch"], beta: float) -> Float[Tensor, " recent"]:
    """The log-weights of the last steps at ``beta``, just enough whole batches to make WINDOW_SAMPLES."""
    if beta != state.log_weights_beta:
        return new
    batches = -(-WINDOW_SAMPLES // len(new))
    return torch.cat([state.log_weights, new])[-batches * len(new) :]


def _on_host(loss: Loss, log_weights: Tensor, gradient_norm: Tensor) -> dict[str, float]:
    """The numbers of a step, in one transfer."""
    doubled = torch.logsumexp(2 * log_weights, 0)
    fraction = torch.exp(2 * torch.logsumexp(log_weights, 0) - doubled) / len(log_weights)
    numbers = {
        "loss": loss.value.detach(),
        "variational_beta_f": loss.parts["variational_beta_f"],
        "standard_error": loss.parts["standard_error"],
        "effective_sample_fraction": fraction,
        "gradient_norm": gradient_norm.double(),
    }
    return dict(zip(numbers, torch.stack(list(numbers.values())).tolist(), strict=True))


def _require_finite(numbers: dict[str, float], step: int) -> None:
    broken = [f"{name} = {value}" for name, value in numbers.items() if not isfinite(value)]
    if broken:
        msg = f"training step {step} gave {', '.join(broken)}; a smaller learning rate or beta_anneal_steps may help"
        raise NumericalError(msg)
