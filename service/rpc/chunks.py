"""Arrays of any length in messages of about 1 MiB: clients refuse more than 4 MiB unless they are told otherwise."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.use_cases.draw_samples import Part

CHUNK_BYTES = 2**20 - 2**12
"""Bytes of arrays in one message; what stands beside them fits into the rest of 1 MiB."""

Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Chunk:
    """Rows of several arrays of equal length."""

    arrays: Arrays
    first: bool
    last: bool


async def in_chunks(parts: AsyncGenerator[Part, None]) -> AsyncGenerator[Chunk, None]:
    """The rows of all parts in order, as few chunks as ``CHUNK_BYTES`` allows; a row that is larger comes alone.

    Leaving the iterator closes ``parts``.
    """
    held: list[Arrays] = []
    rows, first = 0, True
    async with aclosing(parts):
        async for part in parts:
            arrays = {name: value for name, value in part.items() if isinstance(value, np.ndarray)}
            length, most = _rows(arrays), _rows_of_a_chunk(arrays)
            start = 0
            while start < length:
                if rows >= most:
                    yield Chunk(_joined(held), first, last=False)
                    held, rows, first = [], 0, False
                end = min(length, start + most - rows)
                held.append({name: array[start:end] for name, array in arrays.items()})
                rows, start = rows + end - start, end
    if held:
        yield Chunk(_joined(held), first, last=True)


async def one_part(arrays: Mapping[str, NDArray[np.generic] | None]) -> AsyncGenerator[Part, None]:
    """A single part with those arrays that are there."""
    yield {name: array for name, array in arrays.items() if array is not None}


async def chunks_of(arrays: Mapping[str, NDArray[np.generic] | None]) -> AsyncIterator[Chunk]:
    """The rows of arrays that are there already, in chunks."""
    async for chunk in in_chunks(one_part(arrays)):
        yield chunk


def _rows(arrays: Arrays) -> int:
    return len(next(iter(arrays.values()))) if arrays else 0


def _rows_of_a_chunk(arrays: Arrays) -> int:
    """How many rows fit into a chunk, at least one."""
    row_bytes = sum(array.nbytes for array in arrays.values()) / max(_rows(arrays), 1)
    return max(1, int(CHUNK_BYTES // max(row_bytes, 1)))


def _joined(held: list[Arrays]) -> Arrays:
    if len(held) == 1:
        return held[0]
    return {name: np.concatenate([arrays[name] for arrays in held]) for name in held[0]}
