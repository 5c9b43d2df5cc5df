"""What a training knows between two steps, and how that is written down and read back, bit for bit."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Adam

from zoo.core.models import ConditionalModel, TargetedModel, Weighable
from zoo.specs.errors import CorruptArtifactError
from zoo.training.gradient_choice import GradientChoice

StopReason = Literal["max_steps", "max_seconds", "effective_sample_fraction", "plateau"]

_FORMAT = 2


@dataclass(frozen=True)
class Plateau:
    """Exponential moving average of the loss, its lowest value, and the step of that."""

    average: float | None = None
    lowest: float | None = None
    lowest_step: int = 0


@dataclass(frozen=True)
class HeldOut:
    """Negative log-likelihood of the held-out data in nats: the last one, the lowest, and the step of that."""

    last: float | None = None
    lowest: float | None = None
    lowest_step: int = 0


@dataclass(frozen=True)
class TrainState:
    """Everything the next step depends on, beside the trainer and the step's random numbers.

    ``model`` and ``optimizer`` are changed in place by a step, so an earlier state is spent once a later one exists.
    ``log_weights`` are those of the most recent steps at the same beta, oldest first, float64.  ``kept`` are the
    weights with the lowest negative log-likelihood of held-out data, by name; empty where there is no such data.
    ``learning_rate_factor`` multiplies the schedule's rate: less than 1 after a divergence.  ``gradient`` is the one
    that was chosen by measurement; None where there is nothing to choose, and before the first step.
    """

    model: Weighable | ConditionalModel | TargetedModel
    optimizer: Adam
    log_weights: Float[Tensor, " recent"]
    log_weights_beta: float = 0.0
    step: int = 0
    seconds: float = 0.0
    plateau: Plateau = field(default_factory=Plateau)
    held_out: HeldOut = field(default_factory=HeldOut)
    kept: dict[str, Tensor] = field(default_factory=dict)
    stop_reason: StopReason | None = None
    learning_rate_factor: float = 1.0
    gradient: GradientChoice | None = None


@dataclass(frozen=True)
class StepInfo:
    """What one step shows of itself; ``step`` counts the steps done, ``seconds`` their computing time.

    ``parts`` are those of the loss by name, dimensionless averages over one batch, at ``beta`` where there is a target:
    for reverse KL ``variational_beta_f`` with its ``standard_error``, for data ``negative_log_likelihood``.
    ``effective_sample_fraction`` is (sum w)^2 / (N sum w^2) of the last N = ``num_log_weights`` training samples at
    this ``beta``, None where none are drawn.  ``held_out_nll`` is the negative log-likelihood of held-out data in nats
    when it was last measured.  ``gradient_norm`` is that before clipping; ``gradient`` the one that the step took and
    the variances it was chosen by, None where there was nothing to choose.  The last step of a training has a
    ``stop_reason``.
    """

    step: int
    loss: float
    beta: float
    parts: dict[str, float]
    effective_sample_fraction: float | None
    num_log_weights: int
    held_out_nll: float | None
    learning_rate: float
    gradient_norm: float
    seconds: float
    stop_reason: StopReason | None
    gradient: GradientChoice | None = None


def state_tensors(state: TrainState) -> dict[str, Tensor]:
    """The arrays of ``state`` by name, contiguous and detached: weights, Adam's moments, recent log-weights."""
    tensors = {f"model.{name}": value for name, value in state.model.state_dict().items()}
    for name, parameter in state.model.named_parameters():
        moments = state.optimizer.state.get(parameter, {})
        tensors |= {f"adam.{name}.{key}": value for key, value in moments.items()}
    tensors["log_weights"] = state.log_weights
    tensors |= {f"kept.{name}": value for name, value in state.kept.items()}
    return {name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}


def state_metadata(state: TrainState) -> dict[str, Any]:
    """The numbers and words of ``state``, as JSON data."""
    return {
        "format": _FORMAT,
        "step": state.step,
        "seconds": state.seconds,
        "log_weights_beta": state.log_weights_beta,
        "plateau": [state.plateau.average, state.plateau.lowest, state.plateau.lowest_step],
        "held_out": [state.held_out.last, state.held_out.lowest, state.held_out.lowest_step],
        "stop_reason": state.stop_reason,
        "learning_rate_factor": state.learning_rate_factor,
        "gradient": None if state.gradient is None else asdict(state.gradient),
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
            held_out=HeldOut(*metadata["held_out"]),
            kept={key.removeprefix("kept."): value for key, value in tensors.items() if key.startswith("kept.")},
            stop_reason=metadata["stop_reason"],
            learning_rate_factor=metadata.get("learning_rate_factor", 1.0),
            gradient=GradientChoice(**gradient) if (gradient := metadata.get("gradient")) else None,
        )
    except (KeyError, RuntimeError) as error:
        msg = f"the checkpoint does not belong to this model and training: {error}; start the training anew"
        raise CorruptArtifactError(msg) from error
