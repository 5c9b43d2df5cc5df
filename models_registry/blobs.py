"""Content-addressed bytes: a blob's name is the sha256 of its content, so a name can be checked and never changes."""

import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from zoo.specs.errors import CorruptArtifactError, InvalidValueError, NotFoundError, UnavailableError

DIGEST: Final = re.compile(r"[0-9a-f]{64}")
STAGING: Final = "staging"
ABANDONED_SECONDS: Final = 3600.0


class BlobStore:
    """Blobs in a directory (``file:///dir`` or a plain path) or an object store (``s3://bucket/prefix``)."""

    def __init__(self, url: str) -> None:
        self._root = _directory(url)
        self._store = _open_store(url, self._root)

    def put(self, data: bytes) -> str:
        """Store ``data`` for good and return its digest, 64 hexadecimal digits.

        Storing the same bytes twice changes nothing; a blob that is there and damaged is replaced.  On return the bytes
        survive a power failure; before, no reader sees a part of them.

        Raises:
            UnavailableError: the disk is full, or the store is away.
        """
        digest = hashlib.sha256(data).hexdigest()
        if self._root is None:
            self._put_object(digest, data)
        else:
            with _outages_translated():
                _put_file(self._root, _path(digest), data)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes with this digest, verified.

        Raises:
            NotFoundError: there is no such blob.
            CorruptArtifactError: what is stored has another digest.
            UnavailableError: the store cannot be read.
        """
        path = _path(digest)
        with _outages_translated():
            try:
                data = bytes(self._store.get(path).bytes())
            except FileNotFoundError:
                msg = f"no blob {digest}; it was never stored here, or it was deleted"
                raise NotFoundError(msg) from None
        found = hashlib.sha256(data).hexdigest()
        if found != digest:
            msg = f"the stored blob {digest} has the digest {found}: its bytes changed; restore it from a copy"
            raise CorruptArtifactError(msg)
        return data

    def exists(self, digest: str) -> bool:
        """Whether a blob is stored under this digest; its content is not read.

        Raises:
            UnavailableError: the store does not answer.
        """
        path = _path(digest)
        with _outages_translated():
            try:
                self._store.head(path)
            except FileNotFoundError:
                return False
            return True

    def delete(self, digest: str) -> None:
        """Remove the blob if it is there.

        Raises:
            UnavailableError: the store does not answer, or does not allow it.
        """
        path = _path(digest)
        with _outages_translated():
            try:
                self._store.delete(path)
            except FileNotFoundError:
                return

    def _put_object(self, digest: str, data: bytes) -> None:
        """An object appears whole or not at all, and its store has made it durable when it answers."""
        try:
            self.get(digest)
        except (NotFoundError, CorruptArtifactError):
            with _outages_translated():
                self._store.put(_path(digest), data)


def _path(digest: str) -> str:
    """``blobs/<aa>/<digest>``: paths are built from digests only.

    Raises:
        InvalidValueError: ``digest`` is not 64 lower-case hexadecimal digits.
    """
    if not DIGEST.fullmatch(digest):
        msg = f"a digest is 64 hexadecimal digits, {digest[:80]!a} came"
        raise InvalidValueError(msg)
    return f"blobs/{digest[:2]}/{digest}"


def _directory(url: str) -> Path | None:
    """The directory that ``url`` means; None when it is an object store."""
    if "://" not in url:
        return Path(url).absolute()
    parts = urlsplit(url)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def _open_store(url: str, root: Path | None) -> ObjectStore:
    if root is not None:
        with _outages_translated():
            (root / STAGING).mkdir(parents=True, exist_ok=True)
            _sweep(root / STAGING)
            return LocalStore(root)
    try:
        # the default would try for three minutes while a request waits
        return from_url(url, retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=10)})
    except (BaseError, ValueError) as error:
        msg = "ARTIFACT_URL is not the URL of a known store; expected file:///directory or s3://bucket/prefix"
        raise InvalidValueError(msg) from error


def _put_file(root: Path, path: str, data: bytes) -> None:
    """Write, sync, rename, sync: the name appears after the bytes are on the disk, and both before this returns."""
    target = root / path
    if not _holds(target, data):
        staged = root / STAGING / secrets.token_hex(16)
        try:
            _write_durably(staged, data)
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(target)
        finally:
            staged.unlink(missing_ok=True)
    # also when another writer renamed it: it may not have come this far yet
    for folder in (target.parent, target.parent.parent, root):
        _sync(folder)


def _holds(file: Path, data: bytes) -> bool:
    """Whether ``file`` holds ``data``; False when it cannot be read, so that it is replaced."""
    try:
        return file.read_bytes() == data
    except OSError:
        return False


def _write_durably(file: Path, data: bytes) -> None:
    with file.open("xb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _sweep(staging: Path) -> None:
    """Remove what writers left behind that died an hour ago or more."""
    for file in staging.iterdir():
        with suppress(FileNotFoundError):
            if file.stat().st_mtime < time.time() - ABANDONED_SECONDS:
                file.unlink()


def _sync(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _outages_translated() -> Iterator[None]:
    """Let faults of the disk or of the object store leave as ``UnavailableError``, without their paths."""
    try:
        yield
    except OSError as error:
        msg = f"the artifact store cannot be used ({error.strerror or 'input/output error'}); try again"
        raise UnavailableError(msg) from error
    except BaseError as error:
        msg = f"the artifact store does not answer ({type(error).__name__}); try again"
        raise UnavailableError(msg) from error
