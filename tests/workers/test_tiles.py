"""The tile plan: exact cover, a few fixed sizes, and nothing but n decides."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.core.tiles import TILE_ROWS, Tile, largest_tile, tile_plan

SIZES = (2048, 1024, 256, 32)


def cost(sizes: list[int]) -> int:
    return sum(rows + 48 for rows in sizes)


def covers(num_rows: int, largest: int) -> list[list[int]]:
    """All ways to hold so many rows in at most 20 tiles of at most 256 rows, none of them superfluous."""
    most = min(largest, 256)
    return [
        [256] * large + [32] * small
        for large in range((num_rows // 256 + 2) if most == 256 else 1)
        for small in range(num_rows // 32 + 2)
        if 256 * large + 32 * small >= num_rows
    ]


@settings(deadline=None, max_examples=200, derandomize=True, database=None)
@given(num_rows=st.integers(0, 30_000), largest=st.sampled_from(SIZES))
def test_the_plan_covers_every_row_once_in_order(num_rows: int, largest: int) -> None:
    plan = list(tile_plan(num_rows, largest))
    rows = [row for tile in plan for row in range(tile.start, tile.start + tile.used)]
    assert rows == list(range(num_rows))
    assert {tile.rows for tile in plan} <= {size for size in SIZES if size <= largest}
    assert all(1 <= tile.used <= tile.rows for tile in plan)
    assert [tile for tile in plan[:-1] if tile.used != tile.rows] == []
    assert plan == list(tile_plan(num_rows, largest))
    sizes = [tile.rows for tile in plan]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes.count(largest) >= num_rows // largest


@settings(deadline=None, max_examples=100, derandomize=True, database=None)
@given(num_rows=st.integers(1, 600), largest=st.sampled_from((256, 32)))
def test_no_other_plan_costs_less(num_rows: int, largest: int) -> None:
    found = cost([tile.rows for tile in tile_plan(num_rows, largest)])
    whole = num_rows // largest * largest
    best = min(cost(sizes) for sizes in covers(num_rows - whole, largest)) if num_rows > whole else 0
    assert found == whole // largest * (largest + 48) + best


@pytest.mark.parametrize(
    ("num_rows", "largest", "sizes"),
    [
        (0, 2048, []),
        (1, 2048, [32]),
        (32, 2048, [32]),
        (33, 2048, [32, 32]),
        (100, 2048, [256]),
        (300, 2048, [256, 32, 32]),
        (1000, 2048, [1024]),
        (1000, 256, [256, 256, 256, 256]),
        (1000, 32, [32] * 32),
        (2049, 2048, [2048, 32]),
        (10_000, 2048, [2048] * 4 + [1024] + [256] * 3 + [32]),
    ],
)
def test_known_plans(num_rows: int, largest: int, sizes: list[int]) -> None:
    plan = list(tile_plan(num_rows, largest))
    assert [tile.rows for tile in plan] == sizes
    assert plan == [
        Tile(start, min(rows, num_rows - start), rows)
        for rows, start in zip(sizes, [sum(sizes[:i]) for i in range(len(sizes))], strict=True)
    ]


def test_the_largest_tile_takes_a_moment() -> None:
    assert TILE_ROWS == SIZES
    assert [largest_tile(ns) for ns in (1.0, 7e5, 8e5, 2e6, 5e6, 6e6, 1e9)] == [2048, 2048, 1024, 256, 256, 32, 32]
