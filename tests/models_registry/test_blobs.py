"""Blobs are found under their digest, whole, and only whole."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from models_registry import blobs as blobs_module
from models_registry.blobs import BlobStore
from zoo.specs.errors import CorruptArtifactError, InvalidValueError, NotFoundError, UnavailableError

DATA = bytes(range(256)) * 64
DIGEST = hashlib.sha256(DATA).hexdigest()


def stored(root: Path) -> list[Path]:
    return [file for file in root.rglob("*") if file.is_file()]


@pytest.fixture(params=["directory", "file URL", "object store"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """The same contract on a directory and on an object store (in memory; S3 goes the same way)."""
    urls = {"directory": str(tmp_path / "a b"), "file URL": (tmp_path / "ü %41").as_uri(), "object store": "memory:///"}
    return BlobStore(urls[request.param])


def test_a_blob_comes_back(any_store: BlobStore) -> None:
    assert not any_store.exists(DIGEST)
    assert any_store.put(DATA) == DIGEST
    assert any_store.put(DATA) == DIGEST
    assert any_store.exists(DIGEST)
    assert any_store.get(DIGEST) == DATA
    any_store.delete(DIGEST)
    any_store.delete(DIGEST)
    assert not any_store.exists(DIGEST)
    with pytest.raises(NotFoundError, match=DIGEST):
        any_store.get(DIGEST)


def test_an_empty_blob_is_a_blob(any_store: BlobStore) -> None:
    assert any_store.get(any_store.put(b"")) == b""


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", DIGEST.upper(), DIGEST + "\n", DIGEST[:-1], "g" * 64])
def test_paths_are_built_from_digests_only(any_store: BlobStore, digest: str) -> None:
    for method in (any_store.get, any_store.exists, any_store.delete):
        with pytest.raises(InvalidValueError, match="64 hexadecimal digits"):
            method(digest)


def test_the_path_is_the_digest(blobs: BlobStore, blob_root: Path) -> None:
    blobs.put(DATA)
    assert stored(blob_root) == [blob_root / "blobs" / DIGEST[:2] / DIGEST]


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "append"])
def test_damaged_bytes_are_never_returned_and_can_be_put_again(blobs: BlobStore, blob_root: Path, damage: str) -> None:
    blobs.put(DATA)
    (file,) = stored(blob_root)
    flipped = bytes([DATA[0] ^ 1]) + DATA[1:]
    file.write_bytes({"flip": flipped, "truncate": DATA[:-1], "empty": b"", "append": DATA + b"\0"}[damage])
    with pytest.raises(CorruptArtifactError, match=DIGEST):
        blobs.get(DIGEST)
    assert blobs.put(DATA) == DIGEST
    assert blobs.get(DIGEST) == DATA


def test_a_damaged_object_can_be_put_again() -> None:
    store = BlobStore("memory:///")
    store.put(DATA)
    store._store.put(f"blobs/{DIGEST[:2]}/{DIGEST}", DATA[:-1])
    with pytest.raises(CorruptArtifactError):
        store.get(DIGEST)
    store.put(DATA)
    assert store.get(DIGEST) == DATA


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_disk_leaves_no_blob(
    blobs: BlobStore, blob_root: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "fsync", fail) if call == "fsync" else (Path, "replace", fail)))
        with pytest.raises(UnavailableError, match="No space left on device") as caught:
            blobs.put(DATA)
    assert str(blob_root) not in caught.value.detail
    assert stored(blob_root) == []
    assert not blobs.exists(DIGEST)


def test_bytes_are_on_the_disk_before_their_name_and_their_name_before_the_answer(
    blobs: BlobStore, blob_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def name_of(descriptor: int) -> str:
        path = Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(blob_root)
        return "staged file" if path.parts[:1] == ("staging",) else str(path)

    def recorded_fsync(descriptor: int) -> None:
        fsync(descriptor)
        done.append(f"sync {name_of(descriptor)}")

    def recorded_replace(source: Path, target: Path) -> Path:
        done.append("rename")
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    blobs.put(DATA)
    assert done == ["sync staged file", "rename", f"sync blobs/{DIGEST[:2]}", "sync blobs", "sync ."]


KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from models_registry.blobs import BlobStore
step, root = sys.argv[1:]
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
if step == "before the rename": Path.replace = die
if step == "half written": os.fsync = die
BlobStore(root).put(bytes(range(256)) * 64)
"""


@pytest.mark.parametrize("step", ["half written", "before the rename"])
def test_a_killed_writer_leaves_nothing_visible(blob_root: Path, step: str) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED_WRITER, step, str(blob_root)], check=False)  # noqa: S603
    assert killed.returncode == -9
    (left,) = stored(blob_root)
    assert left.parent == blob_root / "staging"
    store = BlobStore(str(blob_root))
    assert not store.exists(DIGEST)
    with pytest.raises(NotFoundError):
        store.get(DIGEST)
    assert store.get(store.put(DATA)) == DATA


def test_what_dead_writers_left_is_swept_and_what_living_ones_write_is_not(blob_root: Path) -> None:
    BlobStore(str(blob_root))
    old, young = blob_root / "staging" / "old", blob_root / "staging" / "young"
    for file in (old, young):
        file.write_bytes(b"half")
    two_hours_ago = time.time() - 7200
    os.utime(old, (two_hours_ago, two_hours_ago))
    BlobStore(str(blob_root))
    assert stored(blob_root) == [young]


def test_readers_beside_writers_see_all_or_nothing(blobs: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    large = os.urandom(2**20)
    digest = hashlib.sha256(large).hexdigest()
    monkeypatch.setattr(blobs_module, "_holds", lambda _file, _data: False)  # every put writes and renames
    failures: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)

        return threading.Thread(target=run)

    def read() -> None:
        for _ in range(50):
            if blobs.exists(digest):
                assert blobs.get(digest) == large

    threads = [guarded(lambda: blobs.put(large)) for _ in range(6)] + [guarded(read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_folder_in_place_of_a_blob_is_unavailable(blobs: BlobStore, blob_root: Path) -> None:
    (blob_root / "blobs" / DIGEST[:2] / DIGEST).mkdir(parents=True)
    with pytest.raises(UnavailableError, match="artifact store"):
        blobs.put(DATA)


def test_a_root_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnavailableError, match="artifact store"):
        BlobStore(str(tmp_path / "file" / "artifacts"))


def test_an_unknown_store_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"expected file:///directory or s3://bucket/prefix"):
        BlobStore("ftp://host/blobs")
