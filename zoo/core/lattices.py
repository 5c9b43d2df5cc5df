"""Lattices: bonds, tables of neighbours, and colourings in which no two neighbours share a colour."""

from itertools import pairwise
from math import prod

import torch
from jaxtyping import Int
from torch import Tensor


def lattice_bonds(shape: tuple[int, ...], *, periodic: bool, triangular: bool = False) -> Int[Tensor, "bond 2"]:
    """The bonds of a hypercubic lattice, or of the triangular one: sites (i, j) in raster order, one row for each bond.

    A periodic length of 2 gives each of its bonds twice (both neighbours coincide), a length of 1 none.  The triangular
    lattice is the square one with the diagonals from (r, c) to (r + 1, c + 1); a diagonal that leads from a site to
    itself (both lengths 1) is none.
    """
    index = torch.arange(prod(shape)).reshape(shape)
    steps = [tuple(int(axis == a) for a in range(len(shape))) for axis in range(len(shape))]
    if triangular:
        steps.append((1, 1))
    bonds = [_bonds_along(index, step, periodic=periodic) for step in steps]
    return torch.cat(bonds) if bonds else torch.zeros(0, 2, dtype=torch.int64)


def _bonds_along(index: Tensor, step: tuple[int, ...], *, periodic: bool) -> Tensor:
    """The bonds from each site to the one a ``step`` of zeros and ones away."""
    other = index
    kept = torch.ones_like(index, dtype=torch.bool)
    for axis, (move, side) in enumerate(zip(step, index.shape, strict=True)):
        other = other.roll(-move, axis)
        if move and not periodic:
            kept.select(axis, side - 1).fill_(False)  # noqa: FBT003 - the value
    ends = torch.stack([index[kept], other[kept]], 1)
    return ends[ends[:, 0] != ends[:, 1]]


def neighbour_table(num_sites: int, bonds: Int[Tensor, "bond 2"]) -> Int[Tensor, "site neighbour"]:
    """The sites joined to each site, once for each bond; N stands for no neighbour.  At least one column."""
    table, _ = bond_table(num_sites, bonds)
    return table


def bond_table(
    num_sites: int, bonds: Int[Tensor, "bond 2"]
) -> tuple[Int[Tensor, "site neighbour"], Int[Tensor, "site neighbour"]]:
    """For each site the neighbour at the end of each of its bonds, and the index of that bond.

    Where a site has fewer bonds than others, the neighbour is N and the bond index is the number of bonds.
    """
    ends = torch.cat([bonds, bonds.flip(1)])
    which = torch.arange(len(bonds)).repeat(2)
    order = ends[:, 0].argsort(stable=True)
    site, neighbour, which = ends[order, 0], ends[order, 1], which[order]
    degree = torch.bincount(site, minlength=num_sites)
    slot = torch.arange(len(site)) - (degree.cumsum(0) - degree)[site]
    columns = max(1, int(degree.max()) if len(site) else 1)
    table = torch.full((num_sites, columns), num_sites)
    bond = torch.full((num_sites, columns), len(bonds))
    table[site, slot], bond[site, slot] = neighbour, which
    return table, bond


def colouring(neighbours: Int[Tensor, "site neighbour"]) -> Int[Tensor, " site"]:
    """A colour for each site, different for neighbours: greedy, in breadth-first order.

    Two colours wherever the graph is bipartite (square lattices with open or even sides), since then a site's coloured
    neighbours, in breadth-first order, all have the other colour; at most one more than the largest degree.
    """
    num_sites = len(neighbours)
    rows = [[j for j in row if j != num_sites] for row in neighbours.tolist()]
    colour = [-1] * num_sites
    for start in range(num_sites):
        queue = [start] if colour[start] < 0 else []
        for site in queue:  # grows while it is read
            if colour[site] >= 0:
                continue
            taken = {colour[j] for j in rows[site]}
            colour[site] = next(c for c in range(len(taken) + 1) if c not in taken)
            queue.extend(j for j in rows[site] if colour[j] < 0)
    return torch.tensor(colour)


def sublattices(colour: Int[Tensor, " site"]) -> tuple[Int[Tensor, " site"], list[slice]]:
    """The sites ordered colour after colour, and the slice of each colour in that order."""
    ends = [0, *colour.bincount().cumsum(0).tolist()]
    return colour.argsort(stable=True), [slice(start, end) for start, end in pairwise(ends)]
