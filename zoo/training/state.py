"""What a training knows between two steps, and how that is written down and read back, bit for bit."""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Adam

from zoo.core.models import Model
from zoo.specs.errors import CorruptArtifactError

StopReason = Literal["max_steps", "max_seconds", "effective_sample_fraction", "plateau"]

_FORMAT = 1


@dataclass(frozen=True)
class Plateau:
    """Exponential moving average of the loss, its lowest value, and the step of that."""

    average: float | None = None
    lowest: float | None = None
    lowest_step: int = 0


@dataclass(frozen=True)
class TrainState:
    """Everything the next step depends on, beside the trainer and the step's random numbers.

    ``model`` and ``optimizer`` are changed in place by a step, so an earlier state is spent once a later one exists.
    ``log_weights`` are those of the most recent steps at the same beta, oldest first, float64.
    """

    model: Model
    optimizer: Adam
    log_weights: Float[Tensor, " recent"]
    log_weights_beta: float = 0.0
    step: int = 0
    seconds: float = 0.0
    plateau: Plateau = field(default_factory=Plateau)
    stop_reason: StopReason | None = None


@dataclass(frozen=True)
class StepInfo:
    """What one step shows of itself; ``step`` counts the steps done, ``seconds`` their computing time.

    ``loss`` and ``variational_beta_f`` with its ``standard_error`` (one batch, at ``beta``) are dimensionless.
    ``effective_sample_fraction`` is (sum w)^2 / (N sum w^2) of the last N = ``num_log_weights`` training samples at
    this ``beta``.  ``gradient_norm`` is that before clipping.  The last step of a training has a ``stop_reason``.
    """

    step: int
    loss: float
    beta: float
    variational_beta_f: float
    standard_error: float
    effective_sample_fraction: float
    num_log_weights: int
    learning_rate: float
    gradient_norm: float
    seconds: float
    stop_reason: StopReason | None


def state_tensors(state: TrainState) -> dict[str, Tensor]:
    """The arrays of ``state`` by name, contiguous and detached: weights, Adam's moments, recent log-weights."""
    tensors = {f"model.{name}": value for name, value in state.model.state_dict().items()}
    for name, parameter in state.model.named_parameters():
        moments = state.optimizer.state.get(parameter, {})
        tensors |= {f"adam.{name}.{key}": value for key, value in moments.items()}
    tensors["log_weights"] = state.log_weights
    return {name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}


def state_metadata(state: TrainState) -> dict[str, Any]:
    """The numbers and words of ``state``, as JSON data."""
    return {
        "format": _FORMAT,
        "step": state.step,
        "seconds": state.seconds,
        "log_weights_beta": state.log_weights_beta,
        "plateau": [state.plateau.average, state.plateau.lowest, state.plateau.lowest_step],
        "stop_reason": state.stop_reason,
    }


def restored(fresh: TrainState, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> TrainState:
    """The state that ``state_tensors`` and ``state_metadata`` described, in the model and optimizer of ``fresh``.

    Raises:
        CorruptArtifactError: the names or shapes are not those of this model's training.
    """
    device = fresh.log_weights.device
    try:
        weights = {name: tensors[f"model.{name}"] for name in fresh.model.state_dict()}
        fresh.model.load_state_dict(weights)
        for name, parameter in fresh.model.named_parameters():
            prefix = f"adam.{name}."
            moments = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            if moments:
                fresh.optimizer.state[parameter] = {key: value.to(device) for key, value in moments.items()}
        return TrainState(
            model=fresh.model,
            optimizer=fresh.optimizer,
            log_weights=tensors["log_weights"].to(device),
            log_weights_beta=metadata["log_weights_beta"],
            step=metadata["step"],
            seconds=metadata["seconds"],
            plateau=Plateau(*metadata["plateau"]),
            stop_reason=metadata["stop_reason"],
        )
    except (KeyError, RuntimeError) as error:
        msg = f"the checkpoint does not belong to this model and training: {error}; start the training anew"
        raise CorruptArtifactError(msg) from error
