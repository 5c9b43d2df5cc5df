"""Matrices of derivatives by reverse differentiation, one row at a time."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def derivatives(function: Callable[[Tensor], Tensor], z: Float[Tensor, "batch in"]) -> Float[Tensor, "batch out in"]:
    """d function(z)_bi / d z_bj of every row b of the batch; rows of the function know nothing of each other."""
    position = z.detach().clone().requires_grad_()
    values = function(position)
    rows = [torch.autograd.grad(column.sum(), position, retain_graph=True)[0] for column in values.unbind(1)]
    return torch.stack(rows, 1)
