"""Digests of structured data: equal meaning, equal digest."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from zoo.specs.errors import InvalidValueError


def canonical_digest(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Sha256, 64 hexadecimal digits, of the canonical JSON of ``value``.

    Canonical means: keys sorted, no white space, the shortest decimal that reads back as the same double, and whole
    numbers without a fraction, so that ``1.0`` and ``1``, the same number in JSON, have the same digest.

    Raises:
        InvalidValueError: a number is not finite, a key is not a string, or a value has no form in JSON.
    """
    try:
        text = json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()
    except UnicodeEncodeError:
        msg = "a string holds half of a surrogate pair, which is no Unicode text; send valid Unicode"
        raise InvalidValueError(msg) from None


def _canonical(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The same value with every number that is whole written as an integer."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return _canonical_number(value)
        case list() | tuple():
            return [_canonical(item) for item in value]
        case Mapping():
            return {_key(key): _canonical(item) for key, item in value.items()}
    msg = f"expected null, bool, number, string, list or object; a value of type {type(value).__name__} came"
    raise InvalidValueError(msg)


def _canonical_number(value: float) -> float | int:
    if not math.isfinite(value):
        msg = f"numbers must be finite, {value!r} came"
        raise InvalidValueError(msg)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _key(key: object) -> str:
    if not isinstance(key, str):
        msg = f"keys of an object must be strings, {key!r} came"
        raise InvalidValueError(msg)
    return key
