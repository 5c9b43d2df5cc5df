"""The tile plan: how n rows are cut into batches of a few fixed sizes, so that equal requests give equal bits."""

from collections.abc import Iterator
from dataclasses import dataclass

TILE_ROWS = (2048, 256, 32)


@dataclass(frozen=True)
class Tile:
    """Rows ``start`` to ``start + used`` of a request, computed in a batch of ``rows`` >= ``used`` rows."""

    start: int
    used: int
    rows: int


def tile_plan(num_rows: int) -> Iterator[Tile]:
    """Tiles that cover ``num_rows`` rows: greedily 2048, 256 and 32 of them, the rest padded to 32.

    A pure function of ``num_rows``: a batch's size decides how a matrix product rounds, so the same request must be cut
    the same way whatever else is being computed.
    """
    start = 0
    for rows in TILE_ROWS:
        while num_rows - start >= rows:
            yield Tile(start, rows, rows)
            start += rows
    if start < num_rows:
        yield Tile(start, num_rows - start, TILE_ROWS[-1])
