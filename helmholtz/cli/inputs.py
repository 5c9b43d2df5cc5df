"""What a command line is given: JSON documents, overrides and arrays in files."""

import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from helmholtz.arrays import Array, to_npy
from helmholtz.errors import InvalidArgumentError

_WORDS: dict[type, str] = {list: "a list", bool: "true or false", int: "a number", float: "a number"}


def document(text: str, name: str, tag: str | None = None) -> dict[str, Any]:
    """The JSON object that ``text`` is, or that the file of ``@FILE`` holds, or ``{tag: text}`` for a bare word.

    Raises:
        InvalidArgumentError: broken JSON, something else than an object, or a file that cannot be read.
    """
    if tag is not None and text.replace("_", "").replace("-", "").isalnum():
        return {tag: text}
    source = f"{name} (file {text[1:]})" if text.startswith("@") else name
    try:
        value = json.loads(_read_text(text[1:], name) if text.startswith("@") else text)
    except json.JSONDecodeError as error:
        example = ' or a bare name such as "ising"' if tag == "kind" else ""
        msg = f"{source} is not JSON: {error}; give a JSON object, @FILE{example}"
        raise InvalidArgumentError(msg) from None
    if not isinstance(value, dict):
        came = "null" if value is None else _WORDS.get(type(value), "text")
        msg = f'{source} is {came}; expected a JSON object {{"name": value, ...}}'
        raise InvalidArgumentError(msg)
    return value


def override(fields: dict[str, Any], assignment: str) -> dict[str, Any]:
    """``fields`` with ``a.b=VALUE`` applied: VALUE is JSON, ``8,8`` a list, anything else text.

    Raises:
        InvalidArgumentError: no ``=``, or a path that leads through something that is not an object.
    """
    path, equals, text = assignment.partition("=")
    if not equals or not all(path.split(".")):
        msg = f"--set takes PATH=VALUE, such as target.beta=0.44; {assignment!r} came"
        raise InvalidArgumentError(msg)
    first, _, rest = path.partition(".")
    if not rest:
        return fields | {first: _value(text)}
    inner = fields.get(first, {})
    if not isinstance(inner, dict):
        msg = f"--set {assignment}: {first!r} is {inner!r}, not an object with fields"
        raise InvalidArgumentError(msg)
    return fields | {first: override(inner, f"{rest}={text}")}


def grid(text: str, name: str) -> list[float]:
    """``LOW:HIGH:COUNT``, evenly spaced with both ends, or a list ``0.2,0.3,0.44``.

    Raises:
        InvalidArgumentError: neither.
    """
    try:
        if ":" not in text:
            return [float(part) for part in text.split(",")]
        low, high, count = text.split(":")
        if int(count) < 1:
            raise ValueError
        return [float(value) for value in np.linspace(float(low), float(high), int(count))]
    except ValueError:
        msg = f"{name} is LOW:HIGH:COUNT, such as 0.2:1.0:9, or a list such as 0.2,0.3,0.44; {text!r} came"
        raise InvalidArgumentError(msg) from None


def assignments(texts: Iterable[str], name: str) -> dict[str, float]:
    """The numbers in ``NAME=VALUE`` words.

    Raises:
        InvalidArgumentError: no ``=``, or a value that is no number.
    """
    values: dict[str, float] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        try:
            values[key] = float(value)
        except ValueError:
            equals = ""
        if not equals or not key:
            msg = f"{name} takes NAME=NUMBER, such as h=0.1 or label=3; {text!r} came"
            raise InvalidArgumentError(msg)
    return values


def read_samples(path: Path, name: str = "samples") -> Array:
    """The configurations in a npy file, or under ``name`` in a npz file; never pickled objects.

    Raises:
        InvalidArgumentError: the file is missing, broken, or holds something else.
    """
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            array: Array = loaded if isinstance(loaded, np.ndarray) else loaded[name]
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror or error}"
        raise InvalidArgumentError(msg) from None
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile):
        msg = f"{path} is no npy file of numbers and no npz file with an array {name!r} (pickled objects are not read)"
        raise InvalidArgumentError(msg) from None
    return array


def write_arrays(path: Path, arrays: dict[str, Array | None]) -> None:
    """Write the first of ``arrays`` to a npy file, or all that are not None to a npz file.

    Raises:
        InvalidArgumentError: another ending, a npy file asked to hold more than one array, or a failed write.
    """
    present = {name: array for name, array in arrays.items() if array is not None}
    try:
        if path.suffix == ".npz":
            np.savez(path, **present)  # type: ignore[arg-type] # numpy's stub takes the arrays for its own option
        else:
            path.write_bytes(to_npy(next(iter(present.values()))))
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror or error}"
        raise InvalidArgumentError(msg) from None


def check_output(path: Path | None, num_arrays: int) -> None:
    """Before anything is computed: whether ``num_arrays`` arrays can be written to ``path``.

    Raises:
        InvalidArgumentError: they cannot, and what to write instead.
    """
    if path is None:
        return
    if path.suffix not in {".npy", ".npz"}:
        msg = f"--out is {str(path)!r}; expected a name that ends in .npy (one array) or .npz (several)"
        raise InvalidArgumentError(msg)
    if path.suffix == ".npy" and num_arrays > 1:
        msg = f"a npy file holds one array and {num_arrays} were asked for; write to {path.with_suffix('.npz')} instead"
        raise InvalidArgumentError(msg)
    if not path.absolute().parent.is_dir():
        msg = f"cannot write {path}: there is no folder {path.parent}"
        raise InvalidArgumentError(msg)


def _read_text(path: str, name: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        msg = f"cannot read {path} for {name}: {why}"
        raise InvalidArgumentError(msg) from None


def _value(text: str) -> object:
    for candidate in (text, f"[{text}]" if "," in text else text):
        try:
            return json.loads(candidate)
        except json.JSONDecodeError:
            continue
    return text
