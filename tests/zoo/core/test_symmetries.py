"""Images of configurations are groups: closed, with inverses, and as many as the specification says."""

from itertools import product

import pytest
import torch
from torch import Tensor

from tests.conformance.symmetries import lattice_images
from zoo.core.spaces import build_space
from zoo.core.symmetries import Images, images
from zoo.specs.spaces import SpaceKind, SpaceSpec
from zoo.specs.symmetries import ModelSymmetry, group_order

SYMMETRIES: tuple[ModelSymmetry, ...] = ("z2", "lattice_translation", "lattice_point_group")
NAMES: tuple[tuple[ModelSymmetry, ...], ...] = (
    *((name,) for name in SYMMETRIES),
    ("z2", "lattice_translation"),
    ("lattice_point_group", "z2"),
    SYMMETRIES,
)
SHAPES = ((5,), (3, 3), (3, 4), (1, 4), (3, 3, 3))


def spins(shape: tuple[int, ...]) -> SpaceSpec:
    return SpaceSpec(kind="spins", event_shape=shape)


def elements_of(group: Images) -> list[tuple[int, ...]]:
    """Each element as its sites and its sign."""
    return [(*sites, sign) for sites, sign in zip(group.sites.tolist(), group.signs.tolist(), strict=True)]


def products(group: Images) -> set[tuple[int, ...]]:
    """All products of two elements, from the rule (g h x)_i = x_(h_(g_i))."""
    pairs = zip(group.sites.tolist(), group.signs.tolist(), strict=True)
    return {(*(h[site] for site in g), sign * other) for (g, sign), (h, other) in product(list(pairs), repeat=2)}


def lacks_closure(group: Images) -> bool:
    return not products(group) <= set(elements_of(group))


@pytest.mark.parametrize("names", NAMES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
class TestGroup:
    def test_its_order_is_the_number_of_distinct_elements(
        self, names: tuple[ModelSymmetry, ...], shape: tuple[int, ...]
    ) -> None:
        elements = elements_of(images(names, spins(shape)))
        assert len(elements) == len(set(elements)) == group_order(names, spins(shape))
        assert elements[0] == (*range(spins(shape).num_sites), 1)

    def test_it_is_closed(self, names: tuple[ModelSymmetry, ...], shape: tuple[int, ...]) -> None:
        group = images(names, spins(shape))
        if len(group) <= 100:
            assert not lacks_closure(group)

    def test_inverses_bring_back_what_was_moved(self, names: tuple[ModelSymmetry, ...], shape: tuple[int, ...]) -> None:
        group, space = images(names, spins(shape)), build_space(spins(shape))
        x = 2 * torch.randint(2, (len(group), *shape), generator=torch.Generator().manual_seed(1)) - 1
        each = torch.arange(len(group))
        moved = group.of(x, each)
        space.validate(moved)
        assert torch.equal(group.inverse().of(moved, each), x)
        assert torch.equal(moved[-1:], group.of(x[-1:], len(group) - 1))

    def test_it_holds_what_the_symmetries_do(self, names: tuple[ModelSymmetry, ...], shape: tuple[int, ...]) -> None:
        x = 2 * torch.randint(2, (1, *shape), generator=torch.Generator().manual_seed(2)) - 1
        group = images(names, spins(shape))
        orbit = {tuple(group.of(x, g).flatten().tolist()) for g in range(len(group))}
        for name in names:
            for image in lattice_images(name, x, build_space(spins(shape))):
                assert tuple(image.flatten().tolist()) in orbit


def test_a_set_that_lacks_one_element_is_not_closed() -> None:
    whole = images(("lattice_point_group",), spins((3, 3)))
    assert lacks_closure(Images(whole.sites[:-1], whole.signs[:-1], whole.kind))


@pytest.mark.parametrize("names", NAMES, ids=str)
def test_on_sides_of_two_every_element_comes_equally_often(names: tuple[ModelSymmetry, ...]) -> None:
    # a shift by one is a reflection there; an average over all is still one over the group
    elements = elements_of(images(names, spins((2, 2))))
    assert len(elements) == group_order(names, spins((2, 2)))
    counts = {elements.count(element) for element in elements}
    assert len(counts) == 1


KINDS: tuple[tuple[SpaceKind, Tensor, Tensor], ...] = (
    ("spins", torch.tensor([[1, -1, -1]], dtype=torch.int8), torch.tensor([[-1, 1, 1]], dtype=torch.int8)),
    ("bits", torch.tensor([[1, 0, 0]], dtype=torch.uint8), torch.tensor([[0, 1, 1]], dtype=torch.uint8)),
    ("reals", torch.tensor([[0.5, -2.0, 0.0]]), torch.tensor([[-0.5, 2.0, 0.0]])),
)


@pytest.mark.parametrize(("kind", "x", "flipped"), KINDS, ids=[kind for kind, _, _ in KINDS])
def test_the_sign_means_what_it_means_in_each_space(kind: SpaceKind, x: Tensor, flipped: Tensor) -> None:
    group = images(("z2",), SpaceSpec(kind=kind, event_shape=(3,)))
    assert torch.equal(group.of(x, 1), flipped)
    assert group.of(x, 1).dtype == x.dtype
    assert torch.equal(group.of(x.repeat(2, 1), torch.tensor([0, 1])), torch.cat([x, flipped]))
