"""Arrays on the wire: npy and npz bytes and JSON lists, to and from numpy.  Never pickle."""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from helmholtz.errors import InvalidArgumentError, UnexpectedAnswerError

NPY = "application/x-npy"
NPZ = "application/x-npz"
JSON = "application/json"

Array = NDArray[Any]


def as_samples(samples: ArrayLike) -> Array:
    """``samples`` as one numeric array, shape (n, *event_shape).

    Raises:
        InvalidArgumentError: ragged lists, or entries that are not real numbers.
    """
    try:
        array = np.asarray(samples)
    except ValueError as error:
        msg = f"samples must be one array of shape (n, *event_shape); a ragged list came ({error})"
        raise InvalidArgumentError(msg) from None
    if array.dtype.kind not in "biuf":
        msg = f"samples must be numbers in one array of shape (n, *event_shape); dtype {array.dtype} came"
        raise InvalidArgumentError(msg)
    return array


def to_npy(array: Array) -> bytes:
    """The bytes of a npy file that holds ``array``."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def from_npy(data: bytes) -> Array:
    """The array that a npy file holds.

    Raises:
        UnexpectedAnswerError: the bytes are not a npy file of plain numbers.
    """
    try:
        array: Array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        msg = f"the answer claims to be a npy array and cannot be read as one: {error}"
        raise UnexpectedAnswerError(msg) from None
    return array


def from_npz(data: bytes) -> dict[str, Array]:
    """The arrays that a npz file holds, by name.

    Raises:
        UnexpectedAnswerError: the bytes are not a npz file of plain numbers.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (
        ValueError,
        EOFError,
        OSError,
        KeyError,
        AttributeError,
        TypeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        msg = f"the answer claims to be a npz file and cannot be read as one: {error}"
        raise UnexpectedAnswerError(msg) from None


def from_json(values: object) -> Array:
    """Configurations from nested JSON lists in their wire dtype: whole numbers as int8, others as float32."""
    array: Array = np.asarray(values)
    return array.astype(np.int8 if array.dtype.kind in "biu" else np.float32)


def to_json(body: Mapping[str, Any]) -> bytes:
    """``body`` as JSON, with numpy numbers and arrays as plain ones.

    Raises:
        InvalidArgumentError: NaN, an infinity, or a value that JSON does not have.
    """
    try:
        return json.dumps(body, default=_plain, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        msg = f"the request cannot be written as JSON: {error}; use finite numbers, text, lists and mappings"
        raise InvalidArgumentError(msg) from None


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    msg = f"{type(value).__name__} {value!r}"
    raise TypeError(msg)
