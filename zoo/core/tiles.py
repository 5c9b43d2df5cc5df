"""The tile plan: how n rows are cut into batches of a few fixed sizes, so that equal requests give equal bits."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain, repeat

TILE_ROWS = (2048, 1024, 256, 32)
SHARED_ROWS = TILE_ROWS[-1]
"""The size of the tiles that rows of several requests may share."""

_OVERHEAD_ROWS = 48  # rows drawn in the time that a batch takes beside its rows: 17 to 500, the family decides

_LONGEST_NANOSECONDS = 1.5e9


@dataclass(frozen=True)
class Tile:
    """Rows ``start`` to ``start + used`` of a request, computed in a batch of ``rows`` >= ``used`` rows."""

    start: int
    used: int
    rows: int


def largest_tile(nanoseconds: float) -> int:
    """The size of the largest tile that is computed in a moment, where a row takes so long; never less than 32.

    A request can be given up, and others have their turn, between two tiles.
    """
    return next((rows for rows in TILE_ROWS if rows * nanoseconds <= _LONGEST_NANOSECONDS), TILE_ROWS[-1])


def tile_plan(num_rows: int, largest: int = TILE_ROWS[0]) -> Iterator[Tile]:
    """Tiles that cover ``num_rows`` rows in order, the larger ones first; the last one may be padded.

    As many of the ``largest`` size as fit, and for the rest the tiles of least cost, where one of r rows costs r + 48:
    1000 rows are one tile of 1024 with padding, and not three of 256 and eight of 32.

    A pure function of its arguments: a batch's size decides how a matrix product rounds, so the same request must be
    cut the same way whatever else is being computed.
    """
    start = 0
    whole, rest = divmod(num_rows, largest)
    for rows in chain(repeat(largest, whole), _cheapest(rest, largest)):
        used = min(rows, num_rows - start)
        yield Tile(start, used, rows)
        start += used


@cache
def _cheapest(num_rows: int, largest: int) -> tuple[int, ...]:
    """The sizes of least total cost that hold ``num_rows`` rows, largest first; of equals the ones with fewer tiles."""
    found: tuple[int, ...] = ()
    least = float("inf")
    for rows in TILE_ROWS if num_rows else ():
        if rows > largest:
            continue
        count, rest = divmod(num_rows, rows)
        for sizes in ((rows,) * (count + 1), (rows,) * count + (_cheapest(rest, largest) if count and rest else ())):
            cost = sum(sizes) + _OVERHEAD_ROWS * len(sizes)
            if sum(sizes) >= num_rows and cost < least:
                found, least = sizes, cost
    return found
