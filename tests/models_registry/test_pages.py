"""Pages: every row once, whatever is inserted or deleted meanwhile; and no token but one's own."""

import base64
import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from models_registry import tables
from models_registry.database import Database
from models_registry.pages import decode_token, encode_token
from models_registry.versions import VersionRecord, Versions
from zoo.specs.errors import InvalidValueError

Publish = Callable[..., VersionRecord]

KEYS = st.lists(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), max_size=3).map(tuple)


@settings(deadline=None)
@given(st.text(max_size=80), KEYS)
def test_a_token_names_its_row_exactly_and_fits_into_a_url(listing: str, key: tuple[float | int | str, ...]) -> None:
    token = encode_token(listing, key)
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    if len(token) <= 1024:
        assert decode_token(listing, token) == key


@settings(deadline=None)
@given(st.text(max_size=30) | st.binary(max_size=30).map(lambda b: base64.urlsafe_b64encode(b).decode()))
def test_any_other_text_is_refused(token: str) -> None:
    with pytest.raises(InvalidValueError, match="page_token is not one that this list gave"):
        decode_token("versions of m", token)


def forged(*content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "A" * 100_000,
        "W" * 1001,
        "[" * 1000,
        forged(),
        forged("models", 3),
        forged("versions of m"),
        forged("versions of m", 1, 2),
        forged("versions of m", "1"),
        forged("versions of m", None),
        forged("versions of m", [True]),
        forged("versions of m", 1.5),
        forged("versions of m", 2**70),
        forged("versions of m", [1]),
        forged("versions of other", 3),
        base64.urlsafe_b64encode(b'["versions of m", NaN]').decode(),
        base64.urlsafe_b64encode(b"[" * 700).decode(),
    ],
)
def test_a_broken_token_is_refused(publish: Publish, versions: Versions, token: str) -> None:
    publish()
    with pytest.raises(InvalidValueError, match="page_token is not one that this list gave"):
        versions.versions("m", page_token=token)


@pytest.mark.parametrize("page_size", [-1, 0, 1001, 10**12])
def test_the_size_of_a_page_has_bounds(publish: Publish, versions: Versions, page_size: int) -> None:
    publish()
    with pytest.raises(InvalidValueError, match="page_size must be 1 to 1000"):
        versions.versions("m", page_size)


@pytest.mark.parametrize("page_size", [1, 2, 3, 6, 7, 8])
def test_pages_join_to_the_whole_list(publish: Publish, versions: Versions, page_size: int) -> None:
    for _ in range(7):
        publish()
    assert numbers(versions, page_size) == [7, 6, 5, 4, 3, 2, 1]


def test_pages_stand_still_while_versions_come_and_go(publish: Publish, versions: Versions) -> None:
    for _ in range(6):
        publish()
    first = versions.versions("m", 3)
    publish()
    versions.delete_version("m", 5)  # was shown already
    rest = versions.versions("m", 3, first.next_page_token)
    assert [record.version for record in (*first.items, *rest.items)] == [6, 5, 4, 3, 2, 1]
    assert rest.next_page_token is None


def test_pages_by_offset_would_show_a_row_twice(publish: Publish, database: Database) -> None:
    """What the cursor is for: the test above, done the usual wrong way, fails."""
    query = select(tables.versions.c.version).order_by(tables.versions.c.version.desc()).limit(3)
    shown: list[int] = []
    for _ in range(6):
        publish()
    for offset in (0, 3):
        with database.read() as connection:
            shown += connection.execute(query.offset(offset)).scalars()
        publish()
    assert shown == [6, 5, 4, 4, 3, 2]


def test_models_of_one_instant_are_all_listed(publish: Publish, versions: Versions, database: Database) -> None:
    names = [f"m{i}" for i in range(9)]
    for name in names:
        publish(name)
    with database.transaction() as connection:
        connection.execute(update(tables.models).values(created_at=1_700_000_000.123))
    seen, token = [], None
    while True:
        page = versions.models(2, token)
        seen += [record.model for record in page.items]
        token = page.next_page_token
        if token is None:
            break
    assert seen == sorted(names, reverse=True)


def test_a_page_after_a_deleted_row_goes_on(publish: Publish, versions: Versions, database: Database) -> None:
    for _ in range(4):
        publish()
    token = versions.versions("m", 2).next_page_token
    with database.transaction() as connection:
        connection.execute(delete(tables.versions).where(tables.versions.c.version == 3))
    assert [record.version for record in versions.versions("m", 2, token).items] == [2, 1]


def numbers(versions: Versions, page_size: int) -> list[int]:
    found, token = [], None
    while True:
        page = versions.versions("m", page_size, token)
        assert len(page.items) <= page_size
        found += [record.version for record in page.items]
        token = page.next_page_token
        if token is None:
            return found
