"""An array that came in parts, and stays in them until its bytes leave."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import prod

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Buffer = bytes | memoryview
"""Bytes of a body; a memoryview has items of one byte."""


def with_first(name: str, parted: Mapping[str, tuple[Array, ...]]) -> dict[str, "PartedArray"]:
    """The arrays, the one called ``name`` before the others."""
    first = {name: PartedArray(parted[name])}
    return first | {other: PartedArray(parts) for other, parts in parted.items() if other != name}


@dataclass(frozen=True)
class PartedArray:
    """At least one part, each of shape (its rows, *row shape) and of one dtype, in the order of the rows."""

    parts: tuple[Array, ...]

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The type of the numbers on the wire: little-endian."""
        return self.parts[0].dtype.newbyteorder("<")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array."""
        return (sum(len(part) for part in self.parts), *self.parts[0].shape[1:])

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array."""
        return prod(self.shape) * self.dtype.itemsize

    def rows(self, start: int, stop: int) -> Array:
        """Rows from ``start`` to before ``stop``; a view of the array where they lie in one part."""
        ends = accumulate(len(part) for part in self.parts)
        cuts = [(part, end - len(part)) for part, end in zip(self.parts, ends, strict=True)]
        found = [part[max(0, start - at) : max(0, stop - at)] for part, at in cuts]
        found = [rows for rows in found if len(rows)] or found[:1]
        return found[0] if len(found) == 1 else np.concatenate(found)

    def in_rows(self, most_bytes: int) -> Iterator[Array]:
        """All rows in order, as many at a time as take ``most_bytes``, at least one; views of the parts."""
        for part in self.parts:
            step = max(1, most_bytes * len(part) // max(1, part.nbytes))
            yield from (part[i : i + step] for i in range(0, len(part), step))

    def buffers(self) -> Iterator[memoryview]:
        """The numbers row-major and little-endian; without a copy where they lie so."""
        for part in self.parts:
            if part.size:
                numbers = np.ascontiguousarray(part, dtype=self.dtype)
                yield numbers.reshape(-1).view(np.uint8).data
