"""Initial weights: drawn from an explicit generator, scaled by what a unit sees."""

import torch
from torch import Tensor, nn


def generator_of(seed: int) -> torch.Generator:
    """A generator whose numbers are a function of ``seed`` alone."""
    return torch.Generator().manual_seed(seed)


def normal_parameter(
    shape: tuple[int, ...], standard_deviation: float | Tensor, generator: torch.Generator
) -> nn.Parameter:
    """Independent normal weights of mean 0; ``standard_deviation`` broadcasts against ``shape``."""
    return nn.Parameter(torch.randn(shape, generator=generator) * standard_deviation)
