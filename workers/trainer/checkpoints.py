"""Checkpoints of one job: whole files only, verified by digest before use, the previous one kept."""

import hashlib
import os
from pathlib import Path

_KEPT = 2


class CheckpointFolder:
    """A folder with the last two checkpoints of a job, each named ``<step>-<sha256 of its bytes>``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, step: int, data: bytes) -> None:
        """Store a checkpoint durably: temporary name, fsync, rename, fsync of the folder; drop all but the last two."""
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{step:012d}-{hashlib.sha256(data).hexdigest()}"
        temporary = self._folder / f".{name}.{os.getpid()}"
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self._folder / name)
        _fsync_folder(self._folder)
        for old in self._newest_first()[_KEPT:]:
            old.unlink(missing_ok=True)

    def read_latest(self) -> bytes | None:
        """The newest checkpoint whose bytes have the digest in its name; None when there is none."""
        for path in self._newest_first():
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() == path.name.partition("-")[2]:
                return data
        return None

    def remove(self) -> None:
        """Delete every checkpoint and the folder; for a job that has ended."""
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                path.unlink(missing_ok=True)
            self._folder.rmdir()

    def _newest_first(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        found = [path for path in self._folder.iterdir() if not path.name.startswith(".")]
        return sorted(found, key=lambda path: (path.name.partition("-")[0], path.stat().st_mtime_ns), reverse=True)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
