"""npz: a zip archive of npy files, in untrusted bytes; and arrays as such bytes.

https://numpy.org/doc/stable/reference/generated/numpy.savez.html
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import IO, cast

from service.rest.formats.checks import unknown_name
from service.rest.formats.npy import array_from_npy, npy_header
from service.rest.formats.parted import Array, Buffer, PartedArray
from workers.settings import PREFIX, Settings
from zoo.specs.errors import FieldError, InvalidValueError, LimitExceededError, MalformedError

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip file knows: equal arrays make equal files
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


def read(data: bytes, known: frozenset[str], settings: Settings) -> dict[str, Array]:
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
        raise unknown_name("the npz file has a member", entry.filename, known)
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


def write(arrays: Mapping[str, PartedArray], metadata: Mapping[str, str]) -> list[Buffer]:
    """The arrays as a npz file, not deflated; the format has no place for ``metadata``."""
    sink = _Sink()
    with zipfile.ZipFile(cast("IO[bytes]", sink), "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            header, entry = npy_header(array), zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            entry.file_size = len(header) + array.nbytes
            with archive.open(entry, "w") as member:
                member.write(header)
                for numbers in array.buffers():
                    member.write(numbers)
    return sink.written


class _Sink:
    """Keeps what a zip file writes as it comes: the bytes of arrays are not copied.

    It cannot seek, so sizes and checksums follow the data.
    """

    def __init__(self) -> None:
        self.written: list[Buffer] = []

    def write(self, data: Buffer) -> int:
        self.written.append(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: what is written is kept."""


def _not_npz(why: str) -> MalformedError:
    return MalformedError(f"the body is not a npz file: {why}; write it with numpy.savez or numpy.savez_compressed")


def _too_large(most: int) -> LimitExceededError:
    msg = f"the arrays of the npz file take more than {most} bytes (setting {PREFIX}MAX_BODY_BYTES)"
    return LimitExceededError(msg, errors=(FieldError("body", msg, f"at most {most} bytes"),))
