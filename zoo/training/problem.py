"""What a model is trained on: a target, data, and the conditions that the model is given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Int, Num
from torch import Tensor

from zoo.core.known_densities import KnownDensity
from zoo.core.models import ConditionalModel, TargetedModel, Weighable
from zoo.core.random import RandomStream
from zoo.core.symmetries import Images
from zoo.core.targets import Ensemble, States, ThermodynamicState
from zoo.objectives.base import Batch
from zoo.specs.models.conditions import NO_CONDITION, ConditionOn

Trainable = Weighable | ConditionalModel | TargetedModel

MAX_STATES = 16
"""Most values of the conditions in one batch."""
MIN_ROWS_PER_STATE = 32
"""Fewest samples for each value: its baseline is the mean of so few."""
_CONDITION_STREAM, _ROW_STREAM = 2**22, 2**22 + 1  # indices of streams, apart from those that objectives use


@final
@dataclass(frozen=True)
class TrainingData:
    """Configurations to learn from and others to judge by, with labels where the model is conditioned on them."""

    samples: Num[Tensor, "sample *event"]
    held_out: Num[Tensor, "held_out *event"]
    labels: Int[Tensor, " sample"] | None = None
    held_out_labels: Int[Tensor, " held_out"] | None = None


@final
@dataclass(frozen=True)
class Problem:
    """A target, data, or both; ``state_at`` gives the target with other values of the parameters in ``condition_on``.

    ``images`` are symmetries that the target has and the model has not.  Where there is a ``teacher`` its density is
    learnt, and the target is only what the model is evaluated on.
    """

    state: ThermodynamicState | None = None
    data: TrainingData | None = None
    condition_on: ConditionOn = NO_CONDITION
    state_at: Callable[[Mapping[str, float]], ThermodynamicState] | None = None
    images: Images | None = None
    teacher: KnownDensity | None = None

    def beta(self, annealed: float) -> float:
        """Inverse temperature when ``annealed``, 0 to 1, of the way has been gone: of a range, its largest so far."""
        if self.condition_on.beta is not None:
            low, high = self.condition_on.beta
            return low + (high - low) * annealed
        learnt = self.teacher or self.state
        return 0.0 if learnt is None else learnt.beta * annealed

    def batch(self, model: Trainable, batch_size: int, annealed: float, rng: RandomStream) -> tuple[Weighable, Batch]:
        """The model with the conditions of one batch, and the batch; both are functions of ``rng``."""
        if self.data is not None:
            return self._data_batch(model, self.data, batch_size, annealed, rng)
        if self.condition_on.ranges:
            return self._conditional_batch(model, batch_size, annealed, rng)
        state = self._annealed_state(annealed)
        return _unconditional(model, state), Batch(batch_size, state, images=self.images)

    def held_out(self, model: Trainable, begin: int, end: int) -> tuple[Weighable, Num[Tensor, "row *event"]]:
        """The model with the conditions of held-out rows ``begin`` to ``end``, and those rows."""
        if self.data is None:
            msg = "there is no data"
            raise ValueError(msg)
        rows = self.data.held_out[begin:end]
        if self.data.held_out_labels is None or not isinstance(model, ConditionalModel):
            return _plain(model), rows
        return model.at(self.data.held_out_labels[begin:end, None]), rows

    def _data_batch(
        self, model: Trainable, data: TrainingData, batch_size: int, annealed: float, rng: RandomStream
    ) -> tuple[Weighable, Batch]:
        uniforms = rng.spawn(_ROW_STREAM).uniforms(batch_size, 1, data.samples.device)[:, 0].double()
        rows = (uniforms * len(data.samples)).long()
        batch = Batch(batch_size, self._annealed_state(annealed), data.samples[rows], self.images)
        if data.labels is None or not isinstance(model, ConditionalModel):
            return _plain(model), batch
        return model.at(data.labels[rows, None]), batch

    def _conditional_batch(
        self, model: Trainable, batch_size: int, annealed: float, rng: RandomStream
    ) -> tuple[Weighable, Batch]:
        """Values drawn evenly from as many equal parts of each range as there are states in the batch."""
        if not isinstance(model, ConditionalModel) or self.state_at is None:
            msg = "a range of conditions needs a conditional model and the target at every value"
            raise TypeError(msg)
        groups = max(1, min(MAX_STATES, batch_size // MIN_ROWS_PER_STATE))
        rows = batch_size // groups
        uniforms = rng.spawn(_CONDITION_STREAM).uniforms(len(self.condition_on.ranges), groups).double()
        columns: list[Tensor] = []
        for uniform, (name, (low, high)) in zip(uniforms, self.condition_on.ranges.items(), strict=True):
            part = torch.arange(groups) if not columns else uniform.argsort()  # parts of other ranges in another order
            width = (high - low) * (annealed if name == "beta" else 1.0)
            columns.append(low + width * (part + uniform) / groups)
        values = torch.stack(columns, 1)
        states = tuple(self.state_at(dict(zip(self.condition_on.ranges, row, strict=True))) for row in values.tolist())
        if self.condition_on.beta is None:
            states = tuple(replace(state, beta=state.beta * annealed) for state in states)
        view = model.at(values.repeat_interleave(rows, 0))
        return view, Batch(groups * rows, Ensemble(states), images=self.images)

    def _annealed_state(self, annealed: float) -> States | None:
        if self.teacher is not None:
            return replace(self.teacher, beta=self.teacher.beta * annealed)
        return None if self.state is None else replace(self.state, beta=self.state.beta * annealed)


def _plain(model: Trainable) -> Weighable:
    if isinstance(model, Weighable):
        return model
    if isinstance(model, TargetedModel):
        msg = "the model has no likelihood, and data say nothing else of it"
        raise TypeError(msg)
    msg = f"the model is conditioned on {', '.join(model.conditions)}, and the data and target say nothing of them"
    raise TypeError(msg)


def _unconditional(model: Trainable, state: States | None) -> Weighable:
    if isinstance(model, TargetedModel) and state is not None:
        return model.toward(state)
    return _plain(model)
