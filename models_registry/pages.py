"""Pages of a list: a cursor names the last row that was seen, so inserts and deletions move nothing."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Column, ColumnElement, Row, Select, tuple_

from zoo.specs.errors import InvalidValueError

MAX_PAGE_SIZE: Final = 1000
MAX_TOKEN_LENGTH: Final = 1024

Item = TypeVar("Item")
AnyRow = Row[*tuple[Any, ...]]
AnySelect = Select[*tuple[Any, ...]]
Key = tuple[float | int | str, ...]


@dataclass(frozen=True)
class Page(Generic[Item]):
    """Some items of a list, and the token that asks for the next ones; None at the end."""

    items: tuple[Item, ...]
    next_page_token: str | None


@dataclass(frozen=True)
class Listing:
    """One list: its name, and the columns (all descending, together unique) that order it."""

    name: str
    columns: tuple[Column[float] | Column[int] | Column[str], ...]

    def statement(self, select: AnySelect, page_size: int, token: str | None) -> AnySelect:
        """``select`` cut to the rows after ``token``, one more than the page holds.

        Raises:
            InvalidValueError: a page size out of range, or a token that this list did not give.
        """
        if not 1 <= page_size <= MAX_PAGE_SIZE:
            msg = f"page_size must be 1 to {MAX_PAGE_SIZE}, {page_size} came"
            raise InvalidValueError(msg)
        ordered = select.order_by(*(column.desc() for column in self.columns)).limit(page_size + 1)
        return ordered if token is None else ordered.where(self._after(decode_token(self.name, token)))

    def _after(self, key: Key) -> ColumnElement[bool]:
        kinds = tuple(column.type.python_type for column in self.columns)
        if len(key) != len(kinds) or not all(_fits(part, kind) for part, kind in zip(key, kinds, strict=True)):
            raise _broken_token()
        return tuple_(*self.columns) < tuple_(*key)

    def page(self, rows: Sequence[AnyRow], page_size: int, item: Callable[[AnyRow], Item]) -> Page[Item]:
        """The page that ``rows``, fetched by ``statement``, make up."""
        shown = rows[:page_size]
        more = len(rows) > page_size
        token = encode_token(self.name, tuple(shown[-1]._mapping[c] for c in self.columns)) if more else None
        return Page(tuple(item(row) for row in shown), token)


def encode_token(listing: str, key: Key) -> str:
    """An opaque token, safe in a URL, that names the row ``key`` of ``listing``."""
    return base64.urlsafe_b64encode(json.dumps([listing, *key]).encode()).decode().rstrip("=")


def decode_token(listing: str, token: str) -> Key:
    """The key that the token names.

    Raises:
        InvalidValueError: the token was not given by ``listing``.
    """
    if len(token) > MAX_TOKEN_LENGTH:
        raise _broken_token()
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        content = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeError, binascii.Error, ValueError, RecursionError):
        raise _broken_token() from None
    if not isinstance(content, list) or content[:1] != [listing]:
        raise _broken_token()
    return tuple(content[1:])


def _fits(part: object, kind: type) -> bool:
    """Whether a part of a key can be compared with a column of Python type ``kind``."""
    if kind is str:
        return isinstance(part, str)
    if isinstance(part, bool) or not isinstance(part, int | float):
        return False
    return isinstance(part, int) and abs(part) < 2**31 if kind is int else abs(part) < 1e15


def _broken_token() -> InvalidValueError:
    return InvalidValueError(
        "page_token is not one that this list gave; pass next_page_token unchanged, or leave it out to start again"
    )
