"""A real Redis for tests: the launcher's own binary and options, in a folder of its own."""

import subprocess
import time

from redis import Redis
from redis.exceptions import RedisError

from service.launcher.embedded_redis import RedisFolder


class RedisServer:
    """Started when made; ``stop`` ends it and removes its folder."""

    def __init__(self) -> None:
        self._folder = RedisFolder()
        self.url = self._folder.url
        self.start()

    def start(self) -> None:
        """Start, or start again on the same socket, and wait until it answers."""
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            self._folder.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        client = self.client()
        for _ in range(500):
            try:
                client.ping()
            except (RedisError, OSError):
                time.sleep(0.01)
            else:
                client.close()
                return
        msg = "Redis did not start"
        raise RuntimeError(msg)

    def client(self) -> Redis:
        """A client that answers in bytes, as the engine's does."""
        return Redis.from_url(self.url, socket_connect_timeout=2, socket_timeout=10)

    def kill(self) -> None:
        """End it as a crash does; what it held is lost."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it, and leave nothing."""
        self.kill()
        self._folder.remove()
