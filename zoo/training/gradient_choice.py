"""Which of several estimators of a gradient is taken: the one with the least noise for its work, as measured."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import ceil, inf, isfinite
from typing import Any, final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.core.models import Weighable
from zoo.core.random import RandomStream
from zoo.objectives.base import Batch, HasAlternatives, Objective

MINIBATCHES = 2
"""Independent minibatches, each of a step's size, that a variance is measured on."""
SHARE = 0.008
"""Part of a training's work that measuring may take; counting the work takes at most half as much."""

_MEASURED_STREAM = 2**23  # indices of the minibatches' streams, apart from those that objectives and problems use
_PER_OPERATION, _PER_NUMBER = 4.0, 0.001  # microseconds of one CPU core

_ALLOCATIONS = frozenset({torch.ops.aten.empty.memory_format, torch.ops.aten.empty_strided.default})
"""Not work; and networks keep memory, so that their number depends on what was computed before in this process."""

Draw = Callable[[RandomStream], tuple[Weighable, Batch]]
"""The model with the conditions of one minibatch, and the minibatch, as functions of a stream."""


@final
@dataclass(frozen=True)
class GradientChoice:
    """The gradient that is taken, and what it was chosen by.

    ``variances`` are <|g - <g>|^2> of the gradient g that one step takes, before clipping, by name: the squared norm of
    its noise, in squared nats per squared unit of a weight.  ``costs`` are the work of a step with each, in units of
    the first's, without those that cost too much to be measured.  ``measured_at`` is the step, counted from 0, whose
    weights the variances belong to; None and no variances as long as nothing has been measured, and the first gradient
    is taken.
    """

    name: str
    costs: dict[str, float] = field(default_factory=dict)
    variances: dict[str, float] = field(default_factory=dict)
    measured_at: int | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What is told of it: ``gradient`` by name, and once measured ``gradient_variance_*`` and the step of that."""
        measured = {f"gradient_variance_{name}": value for name, value in self.variances.items()}
        at = {} if self.measured_at is None else {"gradient_measured_at_step": self.measured_at}
        return {"gradient": self.name} | measured | at

    def is_due(self, moment: "Moment") -> bool:
        """Whether to measure: so seldom that it takes ``SHARE`` of the work; never where there is no choice.

        As long as costs are not known it is as if all were one.
        """
        if len(self.costs) == 1:
            return False
        total = max(2.0, sum(self.costs.values()))
        return moment.is_middle_of(ceil(MINIBATCHES * total / SHARE))


@final
@dataclass(frozen=True)
class Moment:
    """A step, counted from 0; how many have passed since beta was the target's, and how many are left, this included.

    What is measured before beta is the target's, or far from the target, says little of what comes after.
    """

    step: int
    passed: int
    left: int

    def is_middle_of(self, interval: int) -> bool:
        """Whether it is in the middle of one of the whole intervals that the training has from there."""
        half = interval // 2
        return self.passed >= half and (self.passed - half) % interval == 0 and self.left >= interval - half


def alternatives_of(objective: Objective, model: Weighable) -> Mapping[str, Objective]:
    """The objective with each of the gradients that can be chosen for ``model``; none where nothing can."""
    return objective.alternatives(model) if isinstance(objective, HasAlternatives) else {}


def rechosen(
    choice: GradientChoice, alternatives: Mapping[str, Objective], draw: Draw, rng: RandomStream, moment: Moment
) -> GradientChoice:
    """The gradient with the smallest product of variance and cost, or ``choice`` where nothing is to be measured.

    After k steps of cost c the mean of their gradients has the variance v / k, which for the same work is proportional
    to v c.  Where a variance is not finite the choice stays what it was.
    """
    if not choice.is_due(moment):
        return choice
    if not choice.costs:  # known now, they may say that it is not worth it
        affordable = SHARE * (moment.passed + moment.left) / MINIBATCHES - 1
        choice = replace(choice, costs=relative_costs(alternatives, draw, rng, affordable))
        if not choice.is_due(moment):
            return choice
    variances = {name: variance(objective, draw, rng) for name, objective in alternatives.items()}
    if not all(map(isfinite, variances.values())):
        return choice
    best = min(variances, key=lambda name: variances[name] * choice.costs[name])
    return GradientChoice(best, choice.costs, variances, moment.step)


def variance(objective: Objective, draw: Draw, rng: RandomStream, minibatches: int = MINIBATCHES) -> float:
    """Sum_m |g_m - mean g|^2 / (M - 1) of the gradients g_m on M independent minibatches."""
    gradients = [_gradient(objective, draw, rng.spawn(_MEASURED_STREAM + m)) for m in range(minibatches)]
    by_parameter = zip(*gradients, strict=True)
    return float(torch.stack([torch.stack(same).double().var(0).sum() for same in by_parameter]).sum())


def relative_costs(
    alternatives: Mapping[str, Objective], draw: Draw, rng: RandomStream, affordable: float = inf
) -> dict[str, float]:
    """The work of a gradient by each of the alternatives, in units of the first's: a count, and no clock.

    What is more than ``affordable`` is counted no further, and is left out.
    """
    work: dict[str, float] = {}
    first = inf
    for name, objective in alternatives.items():
        counted = _Work(affordable * first)
        with suppress(_TooMuchError), counted:
            _gradient(objective, draw, rng.spawn(_MEASURED_STREAM))
        work[name] = counted.microseconds
        first = next(iter(work.values()))
    return {name: found / first for name, found in work.items() if found <= affordable * first}


def _gradient(objective: Objective, draw: Draw, rng: RandomStream) -> tuple[Tensor, ...]:
    """The gradient on one minibatch, in each of the weights."""
    model, batch = draw(rng)
    parameters: Sequence[Tensor] = [p for p in model.parameters() if p.requires_grad]
    return torch.autograd.grad(objective(model, batch, rng).value, parameters, materialize_grads=True)


class _TooMuchError(Exception):
    """More work than can be afforded."""


@final
class _Work(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what a computation asks of the library: so much for each operation, and for each number it makes.

    On 4x4 lattices with 2 to 1,024 samples its ratios are within a sixth of those of times for coupling, spline and
    masked autoregressive flows and ``glow`` (1.0 to 2.0), and within a half for ``iaf`` (6 to 9).
    """

    def __init__(self, limit: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.microseconds = 0.0
        self._limit = limit

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the operation gives
        """What the operation gives."""
        result = func(*args, **(kwargs or {}))
        if func in _ALLOCATIONS:
            return result
        made = result.numel() if isinstance(result, Tensor) else 0
        self.microseconds += _PER_OPERATION + _PER_NUMBER * made
        if self.microseconds > self._limit:
            raise _TooMuchError
        return result
