"""Functions of hidden units."""

import torch
from torch import Tensor
from torch.nn.functional import silu

from zoo.specs.models.flow import Activation


def activated(hidden: Tensor, activation: Activation) -> Tensor:
    """The function of every unit, in place of ``hidden`` where no gradient needs it."""
    if activation == "relu":
        return torch.relu_(hidden)  # whose derivative is known from what it gives
    return silu(hidden, inplace=not torch.is_grad_enabled())
