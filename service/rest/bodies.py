"""Request bodies: bounded, decoded by content type, never pickled."""

import asyncio
import re
from collections.abc import Callable
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import orjson
from fastapi import Request
from numpy.typing import NDArray
from starlette.requests import ClientDisconnect

from service.rest.compression import ENCODINGS, IDENTITY, inflate
from service.rest.dependencies import ClientGoneError
from service.rest.formats.media_types import JSON
from service.use_cases.off_the_loop import off_the_loop
from service.use_cases.spec_errors import in_json_words
from workers.settings import PREFIX, Settings
from zoo.specs.errors import (
    BodyTooSlowError,
    FieldError,
    InvalidValueError,
    MalformedError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)

_EXPECTED = "nested lists of numbers, all rows of equal length"
_PART = 2**14  # numbers that are looked at between two chances for other threads
_BYTES = 2**20  # the same, where numpy does all the work

_CHARSET = re.compile(r"charset\s*=\s*\"?([^\s;\"]+)", re.IGNORECASE)

ResultT = TypeVar("ResultT")


def content_type(request: Request) -> str:
    """The media type of the body, JSON when none is named."""
    return request.headers.get("content-type", JSON).partition(";")[0].strip().lower()


async def read_bytes(request: Request, settings: Settings) -> bytes:
    """The whole body, inflated where it comes compressed with gzip or zstd.

    Raises:
        PayloadTooLargeError: it has, or announces, more than ``max_body_bytes``, as it comes or inflated; reading
            and inflating stop there.
        BodyTooSlowError: it has not arrived within ``body_seconds``.
        MalformedError: it is not compressed as it says.
        UnsupportedMediaTypeError: it is compressed in another way, or in another character set than UTF-8.
        ClientGoneError: the client closed the connection in the middle of it.
    """
    encoding = _encoding_of(request)
    try:
        async with asyncio.timeout(settings.body_seconds):
            body = await _read_as_it_comes(request, settings.max_body_bytes)
    except TimeoutError:
        seconds = settings.body_seconds
        msg = f"the body had not arrived after {seconds:g} s, the time it may take (setting {PREFIX}BODY_SECONDS)"
        raise BodyTooSlowError(msg) from None
    if encoding == IDENTITY:
        return body
    most = settings.max_body_bytes
    return await off_the_loop(most, inflate, body, encoding, most)


async def _read_as_it_comes(request: Request, limit: int) -> bytes:
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
    except ClientDisconnect:
        msg = "the client closed the connection in the middle of its request"
        raise ClientGoneError(msg) from None
    return b"".join(chunks)


def _encoding_of(request: Request) -> str:
    """The content coding of the body, after this and its character set were found to be read here."""
    encoding = request.headers.get("content-encoding", IDENTITY).strip().lower()
    if encoding not in {*ENCODINGS, IDENTITY}:
        known = " and ".join(ENCODINGS)
        msg = f"Content-Encoding {encoding[:80]!r} is not read here; {known} are, and bodies as they are"
        raise UnsupportedMediaTypeError(msg)
    charset = _CHARSET.search(request.headers.get("content-type", ""))
    if charset is not None and charset.group(1).lower() not in {"utf-8", "utf8"}:
        msg = f"charset {charset.group(1)[:80]!r} is not read here; send UTF-8"
        raise UnsupportedMediaTypeError(msg)
    return encoding


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"the body has more than {limit} bytes, the most that is read here")


async def read_object(request: Request, settings: Settings, *, default: dict[str, Any] | None = None) -> dict[str, Any]:
    """The JSON body, which is an object; raises as ``read_as`` does."""
    return await read_as(request, settings, lambda data: data, default=default)


async def read_as(
    request: Request,
    settings: Settings,
    convert: Callable[[dict[str, Any]], ResultT],
    *,
    default: dict[str, Any] | None = None,
) -> ResultT:
    """What ``convert`` makes of the JSON body, an object; a large one is decoded and converted off the event loop.

    Raises:
        UnsupportedMediaTypeError: another content type.
        MalformedError: not JSON, or nested too deeply.
        InvalidValueError: it is something else; or as ``convert`` does.
    """
    body = await _read_json_bytes(request, settings)

    def work() -> ResultT:
        data = _decoded(body, settings, default)
        if not isinstance(data, dict):
            msg = f"the body is {in_json_words(data)}; an object {{...}} was expected"
            raise InvalidValueError(msg)
        return convert(data)

    return await off_the_loop(len(body), work)


async def _read_json_bytes(request: Request, settings: Settings) -> bytes:
    kind = content_type(request)
    if kind != JSON:
        msg = f"content type {kind!r} is not read here; send {JSON}"
        raise UnsupportedMediaTypeError(msg)
    return await read_bytes(request, settings)


def _decoded(body: bytes, settings: Settings, default: object) -> Any:  # noqa: ANN401 - JSON
    if not body and default is not None:
        return default
    brackets = body.count(b"[") + body.count(b"{")
    if brackets > settings.max_json_depth and _depth(body) > settings.max_json_depth:
        msg = f"the JSON is nested more than {settings.max_json_depth} levels deep"
        raise MalformedError(msg)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        msg = f"the body is not JSON: {error}; NaN and infinity do not exist in JSON"
        raise MalformedError(msg) from None


def json_from_bytes(body: bytes | memoryview, settings: Settings) -> Any:  # noqa: ANN401 - JSON
    """The JSON in bytes.

    Raises:
        MalformedError: not JSON, or nested too deeply.
    """
    return _decoded(bytes(body), settings, None)


def array_from_json(data: object, name: str = "samples") -> NDArray[np.generic]:
    """The array in nested JSON lists.

    Raises:
        InvalidValueError: not lists of numbers, or lists of unequal lengths.
    """
    if not isinstance(data, list) or not data:
        came = "an empty list" if data == [] else in_json_words(data)
        raise _not_an_array(name, f"is {came}; {_EXPECTED} were expected", _EXPECTED)
    try:
        return _array_in_parts(data, name)
    except ValueError:
        raise _not_an_array(name, f"has rows of unequal lengths; {_EXPECTED} were expected", _EXPECTED) from None


def _array_in_parts(rows: list[Any], name: str) -> NDArray[np.generic]:
    """``np.array(rows)``, some rows at a time: numpy lets no other thread run while it walks through lists."""
    if len(rows) == 1 and isinstance(rows[0], list) and rows[0]:
        return _array_in_parts(rows[0], name)[None]
    values, row = 1, rows[0]
    while isinstance(row, list) and row:
        values, row = values * len(row), row[0]
    step = max(1, _PART // values)
    return np.concatenate([_array_of_numbers(rows[i : i + step], name) for i in range(0, len(rows), step)])


def _array_of_numbers(rows: list[Any], name: str) -> NDArray[np.generic]:
    # before numpy sees them: an array of texts takes the memory of the longest one for each of them
    if not _leaf_types(rows) <= {int, float, bool}:
        raise _not_an_array(name, f"holds values that are not numbers; {_EXPECTED} were expected", _EXPECTED)
    return np.array(rows)


def _leaf_types(level: list[Any]) -> set[type]:
    """The types of what nested lists hold, lists aside."""
    found: set[type] = set()
    while list in (types := set(map(type, level))):
        found |= types - {list}
        level = list(chain.from_iterable(item for item in level if isinstance(item, list)))
    return found | types


def _not_an_array(name: str, message: str, allowed: str) -> InvalidValueError:
    return InvalidValueError(f"{name} {message}", errors=(FieldError(name, message, allowed),))


def _depth(body: bytes) -> int:
    """The deepest nesting of brackets, an upper bound on the JSON's (brackets inside strings count too)."""
    deepest = depth = 0
    for start in range(0, len(body), _BYTES):
        characters = np.frombuffer(body, np.uint8, min(_BYTES, len(body) - start), start)
        opening = (characters == ord("[")) | (characters == ord("{"))
        closing = (characters == ord("]")) | (characters == ord("}"))
        depths = depth + np.cumsum(opening.astype(np.int8) - closing.astype(np.int8), dtype=np.int64)
        deepest, depth = max(deepest, int(depths.max())), int(depths[-1])
    return deepest
