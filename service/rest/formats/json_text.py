"""JSON: arrays as nested lists."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import orjson

from service.rest.formats.parted import Buffer, PartedArray

_PART = 2**18  # bytes of an array that are written between two chances for other threads


def write(arrays: Mapping[str, PartedArray], fields: Mapping[str, Any]) -> list[Buffer]:
    """An object of the arrays and then the other ``fields``; numbers that are not finite become null."""
    text: list[Buffer] = []
    for name, array in arrays.items():
        text += [b"," if text else b"{", orjson.dumps(name), b":["]
        text += list(_lists(array))[1:]
        text.append(b"]")
    rest = orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)
    if not text:
        return [rest]
    return [*text, b"," if fields else b"", rest[1:]]


def _lists(array: PartedArray) -> Iterator[Buffer]:
    """The rows as lists, each piece of text after a comma."""
    for rows in array.in_rows(_PART):
        yield b","
        yield memoryview(orjson.dumps(np.ascontiguousarray(rows), option=orjson.OPT_SERIALIZE_NUMPY))[1:-1]
