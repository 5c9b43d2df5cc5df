"""Arrays in messages of about 1 MiB: the same rows in the same order, few messages, none too large."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.rpc import chunks
from service.rpc.chunks import CHUNK_BYTES, Chunk, chunks_of, in_chunks
from service.rpc.tensors import to_tensor
from service.rpc.v1 import inference_pb2 as pb
from service.use_cases.draw_samples import Part


def parts_of(lengths: list[int], row: int) -> list[Part]:
    """Parts with a row of ``row`` bytes and a number of 8 bytes for each configuration."""
    starts = np.cumsum([0, *lengths])
    arrays = [(np.arange(a, b)[:, None] + np.arange(row)).astype(np.uint8) for a, b in pairwise(starts)]
    return [
        {"samples": samples, "log_prob": np.arange(a, a + len(samples), dtype=np.float64), "warnings": []}
        for a, samples in zip(starts, arrays, strict=False)
    ]


def cut(parts: list[Part]) -> list[Chunk]:
    async def told() -> AsyncGenerator[Part, None]:
        for part in parts:
            yield part

    async def run() -> list[Chunk]:
        return [chunk async for chunk in in_chunks(told())]

    return asyncio.run(run())


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=8), row=st.integers(1, 300), bound=st.integers(1, 2000)
)
def test_rows_are_neither_lost_nor_reordered(lengths: list[int], row: int, bound: int) -> None:
    parts = parts_of(lengths, row)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_BYTES", bound)
        found = cut(parts)
    for name in ("samples", "log_prob"):
        whole = np.concatenate([part[name] for part in parts])
        if found:
            np.testing.assert_array_equal(np.concatenate([chunk.arrays[name] for chunk in found]), whole)
    rows = [len(chunk.arrays["samples"]) for chunk in found]
    most = max(1, bound // (row + 8))
    assert sum(rows) == sum(lengths)
    assert rows[:-1] == [most] * (len(rows) - 1), "all but the last are full"
    assert all(0 < n <= most for n in rows)
    assert [chunk.last for chunk in found] == [False] * (len(found) - 1) + [True] * bool(found)
    assert [chunk.first for chunk in found] == [True] * bool(found) + [False] * (len(found) - 1)


def test_a_message_has_at_most_a_mebibyte_and_hardly_less() -> None:
    found = cut(parts_of([2048] * 8, 1024))
    sizes = [
        pb.SampleChunk(
            samples=to_tensor(chunk.arrays["samples"]),
            log_prob=to_tensor(chunk.arrays["log_prob"]),
            model="m" * 63,
            warnings=["x" * 1000] if chunk.first else [],
        ).ByteSize()
        for chunk in found
    ]
    assert max(sizes) <= 2**20
    assert min(sizes[:-1]) > 0.99 * 2**20
    assert len(sizes) == 17


def test_a_row_that_is_larger_comes_alone() -> None:
    rows = np.zeros((3, CHUNK_BYTES + 1), np.uint8)
    found = cut([{"samples": rows}])
    assert [len(chunk.arrays["samples"]) for chunk in found] == [1, 1, 1]


def test_leaving_closes_what_gives_the_parts() -> None:
    async def run() -> bool:
        closed = False

        async def told() -> AsyncGenerator[Part, None]:
            nonlocal closed
            try:
                for part in parts_of([1000] * 10, 1000):
                    yield part
            finally:
                closed = True

        async with aclosing(in_chunks(told())) as found:
            await anext(found)
        return closed

    assert asyncio.run(run())


def test_arrays_that_are_there_already_are_cut_too() -> None:
    async def run() -> list[Chunk]:
        return [chunk async for chunk in chunks_of({"log_likelihood": np.arange(300_000.0), "standard_error": None})]

    found = asyncio.run(run())
    assert len(found) == 3
    assert all(set(chunk.arrays) == {"log_likelihood"} for chunk in found)
