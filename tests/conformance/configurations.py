"""Random configurations of any space: where targets are measured."""

from math import ceil, pi

import torch
from torch import Tensor

from zoo.core.spaces import DiscreteSpace, Particles, Space, Spheres, Torus


def random_configurations(space: Space, number: int, seed: int = 1) -> Tensor:
    """Shape (number, *event_shape): even values, uniform angles, vectors and boxes, normal coordinates of width 1.5."""
    generator = torch.Generator().manual_seed(seed)
    shape = (number, *space.event_shape)
    if isinstance(space, DiscreteSpace):
        return space.from_indices(torch.randint(space.num_values, shape, generator=generator))
    if isinstance(space, Torus):
        return 2 * pi * (torch.rand(shape, generator=generator, dtype=torch.float64) - 0.5)
    if isinstance(space, Particles) and space.box is not None:
        return space.box * (torch.rand(shape, generator=generator, dtype=torch.float64) - 0.5)
    x = 1.5 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return space.canonical(x) if isinstance(space, Particles | Spheres) else x


def spread_configurations(space: Space, number: int, seed: int = 1) -> Tensor:
    """The same, but particles near points of a cubic lattice, so that none overlap and forces are mild."""
    if not isinstance(space, Particles):
        return random_configurations(space, number, seed)
    side = ceil(space.num_particles ** (1 / space.dimension) - 1e-9)
    spacing = torch.full((space.dimension,), 1.3, dtype=torch.float64) if space.box is None else space.box / side
    points = torch.cartesian_prod(*[torch.arange(side)] * space.dimension).reshape(-1, space.dimension)
    generator = torch.Generator().manual_seed(seed)
    jitter = torch.rand(number, *space.event_shape, generator=generator, dtype=torch.float64) - 0.5
    return space.canonical((points[: space.num_particles] + 0.3 * jitter) * spacing)
