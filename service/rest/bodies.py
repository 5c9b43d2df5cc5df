"""Request bodies: bounded, decoded by content type, never pickled."""

import re
from typing import Any

import numpy as np
import orjson
from fastapi import Request
from numpy.typing import NDArray
from starlette.requests import ClientDisconnect

from service.rest.arrays import array_from_npy
from service.rest.dependencies import ClientGoneError
from workers.settings import Settings
from zoo.specs.errors import (
    FieldError,
    InvalidValueError,
    MalformedError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)

JSON = "application/json"
NPY = "application/x-npy"
NPZ = "application/x-npz"


def content_type(request: Request) -> str:
    """The media type of the body, JSON when none is named."""
    return request.headers.get("content-type", JSON).partition(";")[0].strip().lower()


async def read_bytes(request: Request, settings: Settings) -> bytes:
    """The whole body.

    Raises:
        PayloadTooLargeError: it has, or announces, more than ``max_body_bytes``; reading stops there.
        UnsupportedMediaTypeError: it is compressed, or in another character set than UTF-8.
        ClientGoneError: the client closed the connection in the middle of it.
    """
    _refuse_encodings(request)
    limit = settings.max_body_bytes
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


def _refuse_encodings(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        msg = f"Content-Encoding {encoding[:80]!r} is not read here; send the body as it is"
        raise UnsupportedMediaTypeError(msg)
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]+)", request.headers.get("content-type", ""), re.IGNORECASE)
    if charset is not None and charset.group(1).lower() not in {"utf-8", "utf8"}:
        msg = f"charset {charset.group(1)[:80]!r} is not read here; send UTF-8"
        raise UnsupportedMediaTypeError(msg)


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"the body has more than {limit} bytes, the most that is read here")


async def read_json(request: Request, settings: Settings, *, default: object = None) -> Any:  # noqa: ANN401 - JSON
    """The JSON body; ``default`` when it is empty and one is given.

    Raises:
        UnsupportedMediaTypeError: another content type.
        MalformedError: not JSON, or nested too deeply.
    """
    kind = content_type(request)
    if kind != JSON:
        msg = f"content type {kind!r} is not read here; send {JSON}"
        raise UnsupportedMediaTypeError(msg)
    body = await read_bytes(request, settings)
    if not body and default is not None:
        return default
    if _depth(body) > settings.max_json_depth:
        msg = f"the JSON is nested more than {settings.max_json_depth} levels deep"
        raise MalformedError(msg)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        msg = f"the body is not JSON: {error}; NaN and infinity do not exist in JSON"
        raise MalformedError(msg) from None


async def read_object(request: Request, settings: Settings, *, default: object = None) -> dict[str, Any]:
    """The JSON body, which is an object.

    Raises:
        InvalidValueError: it is something else.
    """
    data = await read_json(request, settings, default=default)
    if not isinstance(data, dict):
        msg = f"the body is a JSON {type(data).__name__}; an object {{...}} was expected"
        raise InvalidValueError(msg)
    return data


def array_from_json(data: object, name: str = "samples") -> NDArray[np.generic]:
    """The array in nested JSON lists.

    Raises:
        InvalidValueError: not lists of numbers, or lists of unequal lengths.
    """
    expected = "nested lists of numbers, all rows of equal length"
    if not isinstance(data, list) or not data:
        came = "an empty list" if data == [] else f"a {type(data).__name__}"
        raise _not_an_array(name, f"is {came}; {expected} were expected", expected)
    # before numpy sees them: an array of texts takes the memory of the longest one for each of them
    if not _leaf_types(data) <= {int, float, bool}:
        raise _not_an_array(name, f"holds values that are not numbers; {expected} were expected", expected)
    try:
        return np.array(data)
    except ValueError:
        raise _not_an_array(name, f"has rows of unequal lengths; {expected} were expected", expected) from None


async def read_npy(request: Request, settings: Settings) -> NDArray[np.generic]:
    """The array of a npy body; raises as ``array_from_npy`` and ``read_bytes`` do."""
    return array_from_npy(await read_bytes(request, settings))


def _leaf_types(data: list[Any]) -> set[type]:
    """The types of what nested lists hold, lists aside."""
    types = set(map(type, data))
    if list in types:
        types.remove(list)
        types = types.union(*(_leaf_types(row) for row in data if isinstance(row, list)))
    return types


def _not_an_array(name: str, message: str, allowed: str) -> InvalidValueError:
    return InvalidValueError(f"{name} {message}", errors=(FieldError(name, message, allowed),))


def _depth(body: bytes) -> int:
    """The deepest nesting of brackets, an upper bound on the JSON's (brackets inside strings count too)."""
    characters = np.frombuffer(body, dtype=np.uint8)
    opening = (characters == ord("[")) | (characters == ord("{"))
    closing = (characters == ord("]")) | (characters == ord("}"))
    steps = opening.astype(np.int8) - closing.astype(np.int8)
    return int(np.cumsum(steps, dtype=np.int64).max(initial=0))
