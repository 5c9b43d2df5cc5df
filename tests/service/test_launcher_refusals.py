"""A stack that cannot be started says so in one line, ends with exit code 2, and leaves nothing behind."""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A short temporary folder, where the launcher puts its socket."""
    folder = Path(tempfile.mkdtemp(prefix="hz"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def taken_port() -> Iterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield str(taken.getsockname()[1])


def refusal(temporary: Path, data_dir: Path, **settings: str) -> str:
    """What the launcher says when it refuses to start; the common expectations are checked here."""
    defaults = {"DATA_DIR": str(data_dir), "HTTP_PORT": "0", "GRPC_PORT": "0"}
    ours = {f"HELMHOLTZ_{name}": value for name, value in (defaults | settings).items()}
    mark = {"TMPDIR": str(temporary)}
    done = subprocess.run(
        [sys.executable, "-m", "service.launcher.main"],
        env=os.environ | ours | mark,  # noqa: TID251 - passed on
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    messages = [line for line in done.stderr.splitlines() if line.startswith("helmholtz: ")]
    assert len(messages) == 1, done.stderr
    assert list(temporary.iterdir()) == []
    assert processes_with(mark) == []
    return messages[0]


def processes_with(mark: dict[str, str]) -> list[psutil.Process]:
    """Processes that were started with these environment variables."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if mark.items() <= process.environ().items() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("name", ["HTTP_PORT", "GRPC_PORT"])
def test_a_port_in_use(temporary: Path, data_dir: Path, taken_port: str, name: str) -> None:
    message = refusal(temporary, data_dir, **{name: taken_port})
    assert f"cannot listen on 127.0.0.1:{taken_port}" in message
    assert f"HELMHOLTZ_{name}" in message
    assert not (data_dir / "helmholtz.db").exists()


def test_a_host_that_does_not_exist(temporary: Path, data_dir: Path) -> None:
    message = refusal(temporary, data_dir, HOST="no.such.host.invalid", API_KEY="0123456789abcdef")
    assert "cannot listen on no.such.host.invalid" in message


def test_a_data_directory_under_a_file(temporary: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    message = refusal(temporary, tmp_path / "file" / "data")
    assert f"{tmp_path}/file/data cannot be written" in message
    assert "HELMHOLTZ_DATA_DIR" in message
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_data_directory_that_cannot_be_made(temporary: Path) -> None:
    assert "cannot be written" in refusal(temporary, Path("/proc/helmholtz"))


def test_a_data_directory_with_a_broken_database(temporary: Path, data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "helmholtz.db").write_bytes(b"this is no database, and it is long enough to be taken for one" * 20)
    assert "database" in refusal(temporary, data_dir)


def test_another_stack_on_the_same_data(temporary: Path, data_dir: Path) -> None:
    data_dir.mkdir()
    with (data_dir / "launcher.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        message = refusal(temporary, data_dir)
    assert f"another stack runs on the data directory {data_dir}" in message
    assert not (data_dir / "helmholtz.db").exists()


def test_no_redis_where_one_was_named(temporary: Path, data_dir: Path) -> None:
    message = refusal(temporary, data_dir, REDIS_URL="unix:///nowhere/redis.sock")
    assert "no Redis answers at unix:///nowhere/redis.sock" in message
    assert not (data_dir / "helmholtz.db").exists()


@pytest.mark.parametrize("url", ["localhost:6379", "redis://localhost:many/0"])
def test_a_redis_url_that_is_none(temporary: Path, data_dir: Path, url: str) -> None:
    assert "HELMHOLTZ_REDIS_URL" in refusal(temporary, data_dir, REDIS_URL=url)


def test_an_open_host_without_a_key(temporary: Path, data_dir: Path) -> None:
    message = refusal(temporary, data_dir, HOST="0.0.0.0")  # noqa: S104 - refused
    assert "HELMHOLTZ_API_KEY" in message
    assert not data_dir.exists()


@pytest.mark.parametrize(("name", "value"), [("HTTP_PORT", "web"), ("API_KEY", "short")])
def test_a_setting_that_cannot_be_read(temporary: Path, data_dir: Path, name: str, value: str) -> None:
    assert f"HELMHOLTZ_{name}" in refusal(temporary, data_dir, **{name: value})
    assert not data_dir.exists()


@pytest.mark.parametrize(("name", "value"), [("DATABASE_URL", "nosql://x"), ("ARTIFACT_URL", "s4://bucket")])
def test_a_store_that_is_not_known(temporary: Path, data_dir: Path, name: str, value: str) -> None:
    assert name in refusal(temporary, data_dir, **{name: value})
