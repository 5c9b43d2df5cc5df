"""Images of configurations under symmetries, as permutations of sites and changes of sign."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from math import prod
from typing import final

import torch
from jaxtyping import Int, Num
from torch import Tensor

from zoo.specs.spaces import SpaceKind, SpaceSpec
from zoo.specs.symmetries import ModelSymmetry


@final
@dataclass(frozen=True)
class Images:
    """Elements g of a group: (g x)_i = ``signs`` x_(``sites``_i), sites in raster order; for bits -1 means 1 - b.

    Components of vectors count as sites that stay together.
    """

    sites: Int[Tensor, "element site"]
    signs: Int[Tensor, " element"]
    kind: SpaceKind

    def __len__(self) -> int:
        return len(self.sites)

    def of(self, x: Num[Tensor, "batch *event"], element: Int[Tensor, " batch"] | int) -> Num[Tensor, "batch *event"]:
        """The images g x, with one element for all rows or one for each."""
        index = torch.as_tensor(element, device=x.device).expand(len(x))
        flat = x.flatten(1).gather(1, self.sites.to(x.device)[index])
        flip = (self.signs.to(x.device)[index] < 0)[:, None]
        flipped = 1 - flat if self.kind == "bits" else -flat
        return (
            torch.where(flip, flipped, flat).reshape(x.shape) if bool((self.signs < 0).any()) else flat.reshape(x.shape)
        )

    def inverse(self) -> "Images":
        """The inverses of the elements, in the same order."""
        return Images(self.sites.argsort(1), self.signs, self.kind)


def images(symmetries: Iterable[ModelSymmetry], space: SpaceSpec) -> Images:
    """All products of the elements of the symmetries, the identity first; ``group_order`` of them."""
    names = tuple(symmetries)
    lattice = space.lattice_shape
    sites = torch.arange(prod(lattice))[None]
    if "lattice_translation" in names:
        sites = _composed(sites, _translations(lattice))
    if "lattice_point_group" in names:
        sites = _composed(sites, _point_group(lattice))
    components = space.num_sites // prod(lattice)
    sites = (components * sites[:, :, None] + torch.arange(components)).flatten(1)
    signs = torch.ones(len(sites), dtype=torch.int64)
    if "z2" in names:
        sites, signs = sites.repeat(2, 1), torch.cat([signs, -signs])
    return Images(sites, signs, space.kind)


def _composed(first: Tensor, second: Tensor) -> Tensor:
    """Every product of an element of each: (g h x)_i = x_(h_(g_i))."""
    return torch.stack([h[g] for h in second for g in first])


def _translations(shape: Sequence[int]) -> Tensor:
    index = torch.arange(prod(shape)).reshape(*shape)
    axes = tuple(range(len(shape)))
    return torch.stack([index.roll(steps, axes).flatten() for steps in product(*map(range, shape))])


def _point_group(shape: Sequence[int]) -> Tensor:
    index = torch.arange(prod(shape)).reshape(*shape)
    long = [axis for axis, side in enumerate(shape) if side > 1]
    exchanges = [
        order
        for order in permutations(range(len(shape)))
        if all(shape[a] == shape[b] and (shape[a] > 1 or a == b) for a, b in enumerate(order))
    ]
    flips = [
        tuple(axis for axis, flip in zip(long, choice, strict=True) if flip)
        for choice in product((0, 1), repeat=len(long))
    ]
    return torch.stack([index.permute(order).flip(flip).flatten() for order in exchanges for flip in flips])
