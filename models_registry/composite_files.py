"""Large files that are never in memory as a whole: a list of stored blobs, and the few bytes between them.

The list is a blob itself.  It holds for good what a reader is sent, so neither format nor digest of a file changes with
the release that sends it.
"""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from pydantic import Field

from models_registry.blobs import BlobStore
from zoo.specs.base import Spec

PIECE_BYTES = 2**18
"""What a reader is given at a time."""

Digest = str


class FilePart(Spec):
    """A run of bytes of a file: one of the two."""

    blob: Digest | None = None
    literal: str | None = None
    """The bytes themselves in base64."""


class CompositeFile(Spec):
    """A file in parts, with the sha256 and the size of the whole."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int
    parts: tuple[FilePart, ...]

    def pieces(self, blobs: BlobStore) -> Iterator[memoryview]:
        """The bytes of the file in order; each blob is verified before a byte of it is given.

        Raises:
            CorruptArtifactError: the bytes of a blob have changed.
            NotFoundError: a blob is missing.
            UnavailableError: the store is away.
        """
        for part in self.parts:
            data = memoryview(blobs.get(part.blob) if part.blob is not None else base64.b64decode(part.literal or ""))
            for start in range(0, len(data), PIECE_BYTES):
                yield data[start : start + PIECE_BYTES]


class FileSet(Spec):
    """The same content as a file of each of several formats."""

    files: dict[str, CompositeFile]
    """By the name of the format."""

    def stored(self, blobs: BlobStore) -> Digest:
        """The digest of the blob that holds this list; the blobs that it names are stored before."""
        return blobs.put(self.model_dump_json(exclude_none=True).encode())

    @classmethod
    def read(cls, digest: Digest, blobs: BlobStore) -> Self:
        """The list in a blob, verified; raises as ``BlobStore.get`` does."""
        return cls.model_validate_json(blobs.get(digest))


@dataclass
class FileParts:
    """A composite file as it is put together, part by part."""

    _parts: list[FilePart] = field(default_factory=list)
    _hash: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    _size: int = 0

    def literal(self, data: bytes) -> None:
        """Bytes that are kept in the list."""
        if data:
            self._add(FilePart(literal=base64.b64encode(data).decode()), data)

    def blob(self, digest: Digest, data: bytes) -> None:
        """The bytes of a stored blob."""
        self._add(FilePart(blob=digest), data)

    def finished(self) -> CompositeFile:
        """The file."""
        return CompositeFile(digest=self._hash.hexdigest(), size_bytes=self._size, parts=tuple(self._parts))

    def _add(self, part: FilePart, data: bytes) -> None:
        self._parts.append(part)
        self._hash.update(data)
        self._size += len(data)
