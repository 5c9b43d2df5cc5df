"""How a condition enters a network: encoded once, then a scale and a shift of every unit."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import one_hot, silu

from zoo.nn.weights import normal_parameter
from zoo.specs.models.conditions import ConditionOn

FEATURES = 32

Features = Float[Tensor, "row feature"] | None
"""What is known of the conditions: one row for all configurations or one for each; None for models without."""


@final
class ConditionEncoder(nn.Module):
    """Features of the conditions: parameters scaled to [-1, 1] over their range, classes one-hot, two dense layers."""

    def __init__(self, condition_on: ConditionOn, generator: torch.Generator) -> None:
        super().__init__()
        self.condition_on = condition_on
        inputs = condition_on.label or len(condition_on.ranges)
        self.input_weight = normal_parameter((FEATURES, inputs), 1.0, generator)
        self.input_bias = normal_parameter((FEATURES,), 1.0, generator)
        self.output_weight = normal_parameter((FEATURES, FEATURES), FEATURES**-0.5, generator)
        self.output_bias = nn.Parameter(torch.zeros(FEATURES))
        ranges = torch.tensor(list(condition_on.ranges.values()), dtype=torch.float64).reshape(-1, 2)
        self.register_buffer("_low", ranges[:, 0], persistent=False)
        self.register_buffer("_width", ranges[:, 1] - ranges[:, 0], persistent=False)

    _low: Tensor
    _width: Tensor

    def forward(self, values: Float[Tensor, "row condition"]) -> Float[Tensor, "row feature"]:
        """The features of each row of ``values``, whose columns are in the order of ``condition_on.names``."""
        if self.condition_on.label is not None:
            inputs = one_hot(values[:, 0].long(), self.condition_on.label).to(self.input_weight.dtype)
        else:
            inputs = (2 * (values.double() - self._low) / self._width - 1).to(self.input_weight.dtype)
        hidden = silu(torch.addmm(self.input_bias, inputs, self.input_weight.t()))
        return torch.tanh(torch.addmm(self.output_bias, hidden, self.output_weight.t()))


@final
class Modulation(nn.Module):
    """h -> h (1 + a(c)) + b(c) for each unit, a and b linear in the features and zero at first.

    Source: Perez et al., arXiv:1709.07871 (FiLM).
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2 * units, FEATURES))

    def forward(self, features: Float[Tensor, "row feature"]) -> tuple[Tensor, Tensor]:
        """1 + a and b, each of shape (row, unit)."""
        scale, shift = (features @ self.weight.t()).chunk(2, 1)
        return 1 + scale, shift


def encoder_of(condition_on: ConditionOn, generator: torch.Generator) -> ConditionEncoder | None:
    """The encoder of the conditions, or None where there are none."""
    return ConditionEncoder(condition_on, generator) if condition_on.names else None


@dataclass(frozen=True)
class Modulated:
    """Scale and shift of rows of units as columns: shape (unit, 1) or (unit, batch)."""

    scale: Tensor
    shift: Tensor

    def rows(self, begin: int, end: int, hidden: Tensor) -> Tensor:
        """``hidden`` of the units from ``begin`` to ``end``, scaled and shifted."""
        return torch.addcmul(self.shift[begin:end], hidden, self.scale[begin:end])


def modulated_columns(modulation: nn.Module, features: Tensor) -> Modulated:
    """What a ``Modulation`` makes of the features, for batches on the last axis."""
    scale, shift = modulation(features)
    return Modulated(scale.t().contiguous(), shift.t().contiguous())
