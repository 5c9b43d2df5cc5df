"""Records as messages: JSON objects, times, and pages that fit into a message."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import orjson
from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]

from service.rpc.tensors import refused

LARGEST_DOCUMENT = 2**19
"""Bytes of one JSON object in a message; larger ones are left out, and named."""
LARGEST_PAGE = 4 * 2**20 - 2**12
"""Bytes of a page: clients refuse messages of more than 4 MiB by default."""
PAGE_SIZE = 100
LARGEST_PAGE_SIZE = 1000


class Page(Protocol):
    """A message with one page of a list."""

    def ByteSize(self) -> int:  # noqa: N802 - protobuf's name
        """Bytes on the wire."""
        ...


PageT = TypeVar("PageT", bound=Page)


def documents(objects: Mapping[str, object]) -> dict[str, Any]:
    """A field ``NAME_json`` for each object that is there, and ``omitted``: the names of those that are too large."""
    texts = {f"{name}_json": orjson.dumps(value) for name, value in objects.items() if value is not None}
    omitted = [name for name, text in texts.items() if len(text) > LARGEST_DOCUMENT]
    return {name: text.decode() for name, text in texts.items() if name not in omitted} | {"omitted": omitted}


def timestamp(seconds: float | None) -> Timestamp | None:
    """Seconds since 1970 as protobuf has them, to the microsecond."""
    if seconds is None:
        return None
    moment = Timestamp()
    moment.FromDatetime(datetime.fromtimestamp(seconds, UTC))
    return moment


def page_size(asked: int) -> int:
    """The length of a page: what was asked, or the default for 0.

    Raises:
        InvalidValueError: negative, or longer than a page may be.
    """
    if not 0 <= asked <= LARGEST_PAGE_SIZE:
        raise refused("page_size", f"{asked} asked; 1 to {LARGEST_PAGE_SIZE} were expected, or 0 for {PAGE_SIZE}")
    return asked or PAGE_SIZE


async def fitting_page(read: Callable[[int], Awaitable[PageT]], size: int) -> PageT:
    """The page of ``size`` entries that ``read`` makes, or a shorter one that fits into a message."""
    page = await read(size)
    while size > 1 and page.ByteSize() > LARGEST_PAGE:
        size = max(1, min(size // 2, size * LARGEST_PAGE // page.ByteSize()))
        page = await read(size)
    return page
