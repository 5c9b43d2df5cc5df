"""Arrays that lie in blobs, put together as one npz and one safetensors file without copying them."""

import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import IO, Any, cast, final
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from models_registry.blobs import BlobStore
from models_registry.composite_files import CompositeFile, FileParts, FileSet

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip file knows: equal arrays make equal files
_ALIGNMENT = 8
_SAFETENSORS_NAMES = {"int8": "I8", "uint8": "U8", "float32": "F32", "float64": "F64"}


@dataclass(frozen=True)
class StoredArray:
    """A row-major little-endian array whose bytes are those of ``blobs``, one after the other."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    blobs: tuple[str, ...]

    @property
    def num_bytes(self) -> int:
        """Bytes of the array."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


def assembled(arrays: Sequence[StoredArray], blobs: BlobStore, pause: Callable[[], None]) -> FileSet:
    """The files of ``arrays`` in both formats; each blob is read, and so verified, once, ``pause`` called before.

    Arrays with the largest numbers come first, so that all of them are aligned in the safetensors file.

    Raises:
        CorruptArtifactError: the bytes of a blob have changed.
        NotFoundError: a blob is missing.
    """
    ordered = sorted(arrays, key=lambda array: (-np.dtype(array.dtype).itemsize, array.name))
    writers: dict[str, _Writer] = {"npz": _NpzWriter(), "safetensors": _SafetensorsWriter(ordered)}
    for array in ordered:
        for writer in writers.values():
            writer.begin(array)
        for digest in array.blobs:
            pause()
            data = blobs.get(digest)
            for writer in writers.values():
                writer.add(digest, data)
        for writer in writers.values():
            writer.end()
    return FileSet(files={name: writer.finished() for name, writer in writers.items()})


class _Writer(ABC):
    """Writes the arrays of a file one after the other."""

    @abstractmethod
    def begin(self, array: StoredArray) -> None:
        """Write what stands before the array's bytes."""

    @abstractmethod
    def add(self, digest: str, data: bytes) -> None:
        """Write the array's next bytes, which are a blob."""

    @abstractmethod
    def end(self) -> None:
        """Write what stands after the array's bytes."""

    @abstractmethod
    def finished(self) -> CompositeFile:
        """The file, when all arrays have been written."""


@final
class _NpzWriter(_Writer):
    """``numpy.savez``'s format: a zip file with an npy file for each array, not compressed, of any size."""

    def __init__(self) -> None:
        self._parts = FileParts()
        self._sink = _Sink()
        self._zip = ZipFile(cast("IO[bytes]", self._sink), "w", ZIP_STORED)
        self._member: IO[bytes] = io.BytesIO()

    def begin(self, array: StoredArray) -> None:
        self._member = self._zip.open(ZipInfo(array.name + ".npy", _EPOCH), "w", force_zip64=True)
        header: dict[str, Any] = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(array.dtype).newbyteorder("<")),
            "fortran_order": False,
            "shape": array.shape,
        }
        np.lib.format.write_array_header_1_0(self._member, header)

    def add(self, digest: str, data: bytes) -> None:
        self._parts.literal(self._sink.taken())
        self._member.write(data)
        self._parts.blob(digest, self._sink.taken())

    def end(self) -> None:
        self._member.close()

    def finished(self) -> CompositeFile:
        self._zip.close()
        self._parts.literal(self._sink.taken())
        return self._parts.finished()


class _Sink:
    """Takes what a zip file writes, piece by piece; it cannot seek, so sizes and checksums follow the data."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._written.append(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: what is written is taken."""

    def taken(self) -> bytes:
        """What was written since the last call."""
        written, self._written = self._written, []
        return written[0] if len(written) == 1 else b"".join(written)


@final
class _SafetensorsWriter(_Writer):
    """https://github.com/huggingface/safetensors#format: a JSON header of sizes and offsets, then the arrays."""

    def __init__(self, arrays: Sequence[StoredArray]) -> None:
        self._parts = FileParts()
        header, end = {}, 0
        for array in arrays:
            begin, end = end, end + array.num_bytes
            kind = _SAFETENSORS_NAMES[array.dtype]
            header[array.name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [begin, end]}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        self._parts.literal(len(text).to_bytes(8, "little") + text)

    def begin(self, array: StoredArray) -> None:
        """Nothing: all is in the header."""

    def add(self, digest: str, data: bytes) -> None:
        self._parts.blob(digest, data)

    def end(self) -> None:
        """Nothing: the next array follows at once."""

    def finished(self) -> CompositeFile:
        return self._parts.finished()
