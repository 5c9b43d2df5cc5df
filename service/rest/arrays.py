"""Arrays in untrusted bytes: npy and npz, bounded before anything is made of them, never pickled.

A npy file is six bytes of magic, two bytes of version, the length of the header, the header (a Python literal with the
keys ``descr``, ``fortran_order`` and ``shape``), and the numbers, row-major or column-major.  A npz file is a zip
archive of them.  https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import ast
import io
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from workers.settings import PREFIX, Settings
from zoo.specs.errors import FieldError, InvalidValueError, LimitExceededError, MalformedError

Array = NDArray[np.generic]

_MAGIC = b"\x93NUMPY"
_MAX_HEADER_BYTES = 10_000  # numpy's own bound
_MAX_AXES = 32
_NUMBER = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")

_ENTRY = b"PK\x01\x02"  # begins each entry of a zip archive's directory
_END = b"PK\x05\x06"  # begins its last 22 bytes
_END_BYTES = 22
_MAX_ENTRIES = 64
_ENCRYPTED = 0x1
# what zipfile raises over a broken archive
_ZIP_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ValueError,
    EOFError,
    OSError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    IndexError,
    KeyError,
)


@dataclass(frozen=True)
class _Header:
    """What a npy file says of its numbers, which begin at byte ``start``."""

    dtype: np.dtype[np.generic]
    column_major: bool
    shape: tuple[int, ...]
    start: int


def array_from_npy(data: bytes, settings: Settings | None = None, name: str = "the body") -> Array:
    """The array in the bytes of a npy file, version 1 to 3, as a view of them that cannot be written to.

    Raises:
        MalformedError: not npy, cut short, with trailing bytes, a header that lies, or pickled objects.
        InvalidValueError: something else than booleans, integers or floating-point numbers of 2, 4 or 8 bytes.
        LimitExceededError: more numbers than ``settings`` allow; without settings the bytes are the only bound.
    """
    header = _read_header(data, name)
    count = prod(header.shape)
    if settings is not None and count > settings.max_sample_values:
        most = settings.max_sample_values
        msg = f"{name} has {count} numbers; at most {most} are read here (setting {PREFIX}MAX_SAMPLE_VALUES)"
        raise LimitExceededError(msg, errors=(FieldError("samples", msg, f"at most {most} numbers"),))
    end = header.start + count * header.dtype.itemsize
    if end > len(data):
        raise _not_npy(
            name, f"its header promises {count} numbers of {header.dtype}, {end} bytes, and {len(data)} came"
        )
    if end < len(data):
        msg = f"the npy array of {name} ends at byte {end} and {len(data) - end} bytes follow it"
        raise MalformedError(msg)
    return _numbers(data, header, count, name)


def arrays_from_npz(data: bytes, known: frozenset[str], settings: Settings) -> dict[str, Array]:
    """The arrays in the bytes of a npz file, whose names are among ``known``.

    Members may be deflated; all of them together hold at most ``max_body_bytes`` when inflated.

    Raises:
        MalformedError: not a zip archive, one that is broken, encrypted, or has bytes before or after it.
        InvalidValueError: a member that is not ``known``, or that comes twice.
        LimitExceededError: members that are, or claim to be, larger; or arrays of more numbers than are read here.
    """
    try:
        members = _members(data, known, settings.max_body_bytes)
    except _ZIP_FAULTS as error:
        raise _not_npz(str(error) or type(error).__name__) from None
    return {
        name: array_from_npy(member, settings, f"array {name!r} of the npz file") for name, member in members.items()
    }


def _members(data: bytes, known: frozenset[str], most: int) -> dict[str, bytes]:
    """The inflated members by their names without ``.npy``."""
    _check_archive(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        for entry in entries:
            _check_entry(entry, known)
        if len({entry.filename for entry in entries}) < len(entries):
            msg = "an array comes twice in the npz file; each has a name of its own"
            raise InvalidValueError(msg)
        if sum(entry.file_size for entry in entries) > most:
            raise _too_large(most)
        return {entry.filename.removesuffix(".npy"): _inflated(archive, entry, most) for entry in entries}


def _check_archive(data: bytes) -> None:
    """Before a zip reader sees it: an archive of few entries with nothing before or after it."""
    if not data.startswith(b"PK\x03\x04") or data[-_END_BYTES : 4 - _END_BYTES] != _END or data[-2:] != b"\0\0":
        raise _not_npz("it is no zip archive from its first to its last byte, or an empty one")
    if data.count(_ENTRY) > _MAX_ENTRIES:
        raise _not_npz("its directory has too many entries")


def _check_entry(entry: zipfile.ZipInfo, known: frozenset[str]) -> None:
    if entry.filename not in {f"{name}.npy" for name in known}:
        allowed = " and ".join(sorted(known))
        message = f"the npz file has a member {entry.filename[:80]!a}; arrays named {allowed} are read"
        raise InvalidValueError(message, errors=(FieldError("body", message, allowed),))
    if entry.flag_bits & _ENCRYPTED:
        raise _not_npz("it is encrypted")
    if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise _not_npz("its compression is neither none nor deflate")


def _inflated(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    """The bytes of a member; the reader stops at the announced size, and checks the sum of the bytes there."""
    with archive.open(entry) as member:
        content = member.read(most + 1)
        if len(content) > most:
            raise _too_large(most)
    if len(content) != entry.file_size:
        raise _not_npz(f"member {entry.filename!a} announces {entry.file_size} bytes and has {len(content)}")
    return content


def _numbers(data: bytes, header: _Header, count: int, name: str) -> Array:
    if header.dtype.kind == "b" and np.frombuffer(data, np.uint8, count, header.start).max(initial=0) > 1:
        raise _not_npy(name, "it holds booleans that are neither 0 nor 1")
    try:
        numbers = np.frombuffer(data, header.dtype, count, header.start)
        return numbers.reshape(header.shape, order="F" if header.column_major else "C")
    except ValueError:  # no numbers at all, along axes whose product overflows
        raise _not_npy(name, "its shape is larger than any array can be") from None


def _read_header(data: bytes, name: str) -> _Header:
    if data[:6] != _MAGIC or len(data) < 10:
        raise _not_npy(name, "it does not begin as one")
    version = tuple(data[6:8])
    if version not in {(1, 0), (2, 0), (3, 0)}:
        raise _not_npy(name, f"version {version[0]}.{version[1]} is not known; 1.0, 2.0 and 3.0 are")
    width = 2 if version == (1, 0) else 4
    length = int.from_bytes(data[8 : 8 + width], "little")
    start = 8 + width + length
    if length > _MAX_HEADER_BYTES or start > len(data):
        raise _not_npy(
            name, f"its header claims {length} bytes; at most {_MAX_HEADER_BYTES} are read, and they must be there"
        )
    try:
        fields = ast.literal_eval(data[8 + width : start].decode("utf-8" if version == (3, 0) else "latin1"))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise _not_npy(name, "its header is not readable") from None
    return _checked(fields, start, name)


def _checked(fields: object, start: int, name: str) -> _Header:
    """The header, after what it says was found to make sense."""
    match fields:
        case {"descr": descr, "fortran_order": bool(column_major), "shape": tuple(shape)} if (
            isinstance(fields, dict) and len(fields) == 3 and len(shape) <= _MAX_AXES and all(map(_is_length, shape))
        ):
            return _Header(_dtype(descr, name), column_major, shape, start)
    raise _not_npy(name, "its header does not say descr, fortran_order and shape as it should")


def _dtype(descr: object, name: str) -> np.dtype[np.generic]:
    if isinstance(descr, str) and descr.lstrip("<>|=") == "O":
        raise _not_npy(name, "pickled objects are not read")
    if not isinstance(descr, str) or not _NUMBER.fullmatch(descr):
        message = f"{name} has dtype {str(descr)[:80]!a}; numbers were expected: booleans, integers, float16 to float64"
        raise InvalidValueError(message, errors=(FieldError("samples", message, "a numeric dtype"),))
    return np.dtype(descr)


def _is_length(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _not_npy(name: str, why: str) -> MalformedError:
    return MalformedError(f"{name} is not a npy array: {why}; write it with numpy.save(..., allow_pickle=False)")


def _not_npz(why: str) -> MalformedError:
    return MalformedError(f"the body is not a npz file: {why}; write it with numpy.savez or numpy.savez_compressed")


def _too_large(most: int) -> LimitExceededError:
    msg = f"the arrays of the npz file take more than {most} bytes (setting {PREFIX}MAX_BODY_BYTES)"
    return LimitExceededError(msg, errors=(FieldError("body", msg, f"at most {most} bytes"),))
