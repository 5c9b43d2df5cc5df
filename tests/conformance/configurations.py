"""Random configurations of any space: where targets are measured."""

from math import pi

import torch
from torch import Tensor

from zoo.core.spaces import DiscreteSpace, Particles, Space, Torus


def random_configurations(space: Space, number: int, seed: int = 1) -> Tensor:
    """Shape (number, *event_shape): even values, uniform angles and boxes, normal coordinates of width 1.5."""
    generator = torch.Generator().manual_seed(seed)
    shape = (number, *space.event_shape)
    if isinstance(space, DiscreteSpace):
        return space.from_indices(torch.randint(space.num_values, shape, generator=generator))
    if isinstance(space, Torus):
        return 2 * pi * (torch.rand(shape, generator=generator, dtype=torch.float64) - 0.5)
    if isinstance(space, Particles) and space.box is not None:
        return space.box * (torch.rand(shape, generator=generator, dtype=torch.float64) - 0.5)
    x = 1.5 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return space.canonical(x) if isinstance(space, Particles) else x
