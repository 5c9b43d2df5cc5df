"""Checkpoints: whole files only, verified before use, the previous good one behind."""

import os
from pathlib import Path

import pytest

from workers.trainer.checkpoints import CheckpointFolder


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    return CheckpointFolder(tmp_path / "jobs" / "one")


def files(tmp_path: Path) -> list[Path]:
    """The files in the folder, oldest step first."""
    return sorted((tmp_path / "jobs" / "one").iterdir())


def test_there_is_none_at_first(folder: CheckpointFolder) -> None:
    assert folder.read_latest() is None
    folder.remove()


def test_the_newest_is_read(folder: CheckpointFolder) -> None:
    for step in (1, 9, 10):
        folder.write(step, b"step %d" % step)
    assert folder.read_latest() == b"step 10"


def test_of_one_step_the_one_written_last_is_read(folder: CheckpointFolder) -> None:
    for data in (b"one", b"two", b"three", b"four", b"five"):
        folder.write(7, data)
        assert folder.read_latest() == data


def test_two_are_kept(folder: CheckpointFolder, tmp_path: Path) -> None:
    for step in range(6):
        folder.write(step, b"step %d" % step)
        assert len(files(tmp_path)) == min(step + 1, 2)
    assert [path.read_bytes() for path in files(tmp_path)] == [b"step 4", b"step 5"]


@pytest.mark.parametrize("byte", [0, 500, 999])
def test_a_flipped_bit_takes_the_previous_one(folder: CheckpointFolder, tmp_path: Path, byte: int) -> None:
    folder.write(1, bytes(1000))
    folder.write(2, b"\1" * 1000)
    damaged = bytearray(files(tmp_path)[1].read_bytes())
    damaged[byte] ^= 0x10
    files(tmp_path)[1].write_bytes(damaged)
    assert folder.read_latest() == bytes(1000)


@pytest.mark.parametrize("size", [0, 1, 999])
def test_a_truncated_one_takes_the_previous_one(folder: CheckpointFolder, tmp_path: Path, size: int) -> None:
    folder.write(1, bytes(1000))
    folder.write(2, b"\1" * 1000)
    os.truncate(files(tmp_path)[1], size)
    assert folder.read_latest() == bytes(1000)


def test_none_is_read_when_all_are_damaged(folder: CheckpointFolder, tmp_path: Path) -> None:
    folder.write(1, b"one")
    folder.write(2, b"two")
    for path in files(tmp_path):
        path.write_bytes(b"what")
    assert folder.read_latest() is None


def test_a_file_that_was_being_written_is_ignored(folder: CheckpointFolder, tmp_path: Path) -> None:
    folder.write(1, b"one")
    good = files(tmp_path)[0]
    (good.parent / f".{good.name.replace('000001', '000002')}.77").write_bytes(b"one")
    assert folder.read_latest() == b"one"
    folder.write(3, b"three")
    folder.write(4, b"four")
    assert folder.read_latest() == b"four"


def test_a_foreign_file_is_not_a_checkpoint(folder: CheckpointFolder, tmp_path: Path) -> None:
    folder.write(1, b"one")
    (tmp_path / "jobs" / "one" / "zzz").write_bytes(b"notes")
    assert folder.read_latest() == b"one"


def test_remove_leaves_nothing(folder: CheckpointFolder, tmp_path: Path) -> None:
    folder.write(1, b"one")
    (tmp_path / "jobs" / "one" / ".left.over").write_bytes(b"half")
    folder.remove()
    assert not (tmp_path / "jobs" / "one").exists()
    assert folder.read_latest() is None


def test_the_same_step_twice_is_one_checkpoint(folder: CheckpointFolder, tmp_path: Path) -> None:
    folder.write(5, b"same")
    folder.write(5, b"same")
    assert len(files(tmp_path)) == 1
    assert folder.read_latest() == b"same"
