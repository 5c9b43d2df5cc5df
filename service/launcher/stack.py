"""The whole stack on one machine: Redis, an engine, a trainer and the gateway, started and kept alive together."""

import fcntl
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from ipaddress import ip_address
from pathlib import Path

import httpx
import redis

from models_registry.blobs import BlobStore
from models_registry.migrate import migrate
from service.launcher.children import Child, child_environment
from service.launcher.embedded_redis import RedisFolder
from service.launcher.errors import StartError
from service.launcher.ports import ReservedPort
from workers.settings import PREFIX, Settings
from workers.wakeup import TRAIN_QUEUE
from zoo.specs.errors import HelmholtzError

_STOP_STAGES = (("gateway",), ("trainer", "engine"), ("redis",))  # by the first words of their names
_CELERY = (sys.executable, "-m", "celery")
_QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "warning")
_TICK_SECONDS = 0.1
_REDIS_START_SECONDS = 10.0
_READY_SECONDS = 60.0


class Stack:
    """Start with ``start``, keep alive with ``tick``, end with ``stop``; use it from one thread."""

    def __init__(self, settings: Settings) -> None:
        self._asked = settings
        self._children: list[Child] = []
        self._redis: RedisFolder | None = None
        self._ports: list[ReservedPort] = []
        self._lock: TextIOWrapper | None = None
        self.settings = settings

    @property
    def http_url(self) -> str:
        """Where REST is."""
        return f"http://{_in_url(self.settings.host)}:{self.settings.http_port}"

    @property
    def grpc_address(self) -> str:
        """Where gRPC is."""
        return f"{_in_url(self.settings.host)}:{self.settings.grpc_port}"

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the running children by name."""
        return {c.name: c.process.pid for c in self._children if c.process is not None and c.running}

    def start(self) -> None:
        """Start everything; returns before it is ready.

        Raises:
            StartError: the data directory, a port, the database, the artifact store or Redis cannot be used.
        """
        self._refuse_open_host()
        self._take_data_directory()
        ports = {
            name: self._reserve(getattr(self._asked, name), PREFIX + name.upper())
            for name in ("http_port", "grpc_port")
        }
        self.settings = self._asked.model_copy(update=ports | {"data_dir": self._asked.data_dir.absolute()})
        self._start_redis()
        try:
            BlobStore(self.settings.resolved_artifact_url)  # refuses what is no store before the children meet it
            migrate(self.settings.resolved_database_url)
        except HelmholtzError as error:
            raise StartError(error.detail) from None
        for number in range(self.settings.engines):
            self._add(
                "engine" if number == 0 else f"engine-{number + 1}", _engine_command(), self._engine_settings(number)
            )
        for name, command in self._commands().items():
            self._add(name, command, self.settings)

    def tick(self) -> None:
        """Restart what has died."""
        for child in self._children:
            child.keep_alive()

    def wait_ready(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Return when every dependency answers.

        Raises:
            StartError: it takes longer than a minute; the message says what is missing.
        """
        deadline = time.monotonic() + _READY_SECONDS
        missing = "the gateway does not answer"
        while not stopped():
            if time.monotonic() > deadline:
                words = "; ".join(f"{c.name}: {c.last_words(1)}" for c in self._children if c.last_words(1))
                msg = f"the stack was not ready after {_READY_SECONDS:.0f} s: {missing}. Last words: {words}"
                raise StartError(msg)
            with suppress(httpx.HTTPError):
                answer = httpx.get(f"{self.http_url}/readyz", timeout=2)
                if answer.status_code == httpx.codes.OK:
                    return
                missing = ", ".join(f"{k}: {v}" for k, v in answer.json()["checks"].items() if v != "ok")
            self.tick()
            time.sleep(_TICK_SECONDS)

    def stop(self) -> None:
        """Drain the gateway, then the workers, then Redis; nothing is left behind."""
        for stage in _STOP_STAGES:
            leaving = [child for child in self._children if child.name.startswith(stage)]
            for child in leaving:
                child.ask_to_stop()
            for child in leaving:
                child.await_end(self.settings.grace_seconds + 2)
        self._children.clear()
        for port in self._ports:
            port.release()
        if self._redis is not None:
            self._redis.remove()
        if self._lock is not None:
            self._lock.close()

    def _refuse_open_host(self) -> None:
        host = self._asked.host
        loopback = host == "localhost" or _is_loopback(host)
        if not loopback and self._asked.api_key is None:
            msg = f"binding to {host} opens the service to the network; set {PREFIX}API_KEY first, or bind to 127.0.0.1"
            raise StartError(msg)

    def _take_data_directory(self) -> None:
        folder = self._asked.data_dir.absolute()
        try:
            (folder / "logs").mkdir(parents=True, exist_ok=True)
            self._lock = (folder / "launcher.lock").open("w")
        except OSError as error:
            msg = f"the data directory {folder} cannot be written: {error.strerror}; choose one with {PREFIX}DATA_DIR"
            raise StartError(msg) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            msg = f"another stack runs on the data directory {folder}; choose another with {PREFIX}DATA_DIR"
            raise StartError(msg) from None

    def _reserve(self, port: int, setting: str) -> int:
        reserved = ReservedPort(self._asked.host, port, setting)
        self._ports.append(reserved)
        return reserved.port

    def _start_redis(self) -> None:
        if self.settings.redis_url is None:
            self._redis = RedisFolder()
            self.settings = self.settings.model_copy(update={"redis_url": self._redis.url})
            self._add("redis", self._redis.command(), self.settings)
        try:
            client = redis.Redis.from_url(self.settings.resolved_redis_url, socket_connect_timeout=2)
        except ValueError as error:
            msg = f"{PREFIX}REDIS_URL cannot be read: {error}; expected redis://HOST:PORT/0 or unix:///SOCKET"
            raise StartError(msg) from None
        deadline = time.monotonic() + (_REDIS_START_SECONDS if self._redis else 2)
        while True:
            try:
                client.ping()
                return
            except (redis.RedisError, OSError) as error:
                if time.monotonic() > deadline:
                    msg = f"no Redis answers at {self.settings.resolved_redis_url}: {error}"
                    raise StartError(msg) from None
                time.sleep(0.02)

    def _commands(self) -> dict[str, list[str]]:
        """The children after Redis and the engines, in the order of their start."""
        slots = str(self.settings.train_slots)
        trainer_queue = ["-Q", TRAIN_QUEUE, "-n", "trainer@%h", "-P", "threads", "-c", slots]
        return {
            "trainer": [*_CELERY, "-A", "workers.trainer.app", "worker", *trainer_queue, *_QUIET],
            "gateway": [sys.executable, "-m", "service.gateway"],
        }

    def _engine_settings(self, number: int) -> Settings:
        """The settings of one engine: a name of its own among several, and its part of the cores."""
        if self.settings.engines == 1:
            return self.settings
        threads = self.settings.engine_threads or max(1, (os.cpu_count() or 1) // self.settings.engines)
        return self.settings.model_copy(
            update={"engine_name": f"{self.settings.engine_name}-{number + 1}", "engine_threads": threads}
        )

    def _add(self, name: str, command: list[str], settings: Settings) -> None:
        log_file = self.settings.data_dir / "logs" / f"{name}.log"
        child = Child(name, command, child_environment(settings.environment()), Path(log_file))
        self._children.append(child)
        child.start()


def _engine_command() -> list[str]:
    return [*_CELERY, "-A", "workers.engine.app", "worker", "-Q", "infer", "-n", "engine@%h", "-P", "solo", *_QUIET]


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
