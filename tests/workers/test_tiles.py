"""The tile plan: exact cover, a few fixed sizes, and nothing but n decides."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.core.tiles import TILE_ROWS, Tile, tile_plan


@settings(deadline=None, max_examples=200, derandomize=True, database=None)
@given(num_rows=st.integers(0, 30_000))
def test_the_plan_covers_every_row_once_in_order(num_rows: int) -> None:
    plan = list(tile_plan(num_rows))
    rows = [row for tile in plan for row in range(tile.start, tile.start + tile.used)]
    assert rows == list(range(num_rows))
    assert {tile.rows for tile in plan} <= {2048, 256, 32}
    assert all(1 <= tile.used <= tile.rows for tile in plan)
    assert [tile for tile in plan[:-1] if tile.used != tile.rows] == []
    assert plan == list(tile_plan(num_rows))


@settings(deadline=None, max_examples=100, derandomize=True, database=None)
@given(num_rows=st.integers(1, 30_000))
def test_the_plan_is_greedy(num_rows: int) -> None:
    sizes = [tile.rows for tile in tile_plan(num_rows)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes.count(2048) == num_rows // 2048
    assert sizes.count(256) == num_rows % 2048 // 256
    assert sizes.count(32) == -(-(num_rows % 256) // 32)


@pytest.mark.parametrize(
    ("num_rows", "plan"),
    [
        (0, []),
        (1, [Tile(0, 1, 32)]),
        (32, [Tile(0, 32, 32)]),
        (33, [Tile(0, 32, 32), Tile(32, 1, 32)]),
        (300, [Tile(0, 256, 256), Tile(256, 32, 32), Tile(288, 12, 32)]),
        (2305, [Tile(0, 2048, 2048), Tile(2048, 256, 256), Tile(2304, 1, 32)]),
    ],
)
def test_known_plans(num_rows: int, plan: list[Tile]) -> None:
    assert list(tile_plan(num_rows)) == plan


def test_the_sizes_are_those_of_the_contract() -> None:
    assert TILE_ROWS == (2048, 256, 32)
