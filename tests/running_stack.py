"""A real stack in processes of its own: Redis, workers, gateway, started as a user starts it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil

from helmholtz import Client

READY_SECONDS = 60
STOP_SECONDS = 30


class RunningStack:
    """`helmholtz serve` on free ports over a data directory; ``stop`` ends it as Ctrl-C does."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self._settings = settings
        self.http = httpx.Client(timeout=60)
        self.start()

    def start(self) -> None:
        """Start, or start again over the same data, and wait until it is ready."""
        environment = os.environ | {  # noqa: TID251 - passed on to the stack
            "HELMHOLTZ_DATA_DIR": str(self.data_dir),
            "HELMHOLTZ_HTTP_PORT": "0",
            "HELMHOLTZ_GRPC_PORT": "0",
            **{f"HELMHOLTZ_{name.upper()}": value for name, value in self._settings.items()},
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "service.launcher.main"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.url, self.grpc_address = self._addresses()

    def client(self, timeout: float = 60) -> Client:
        """A client of the stack."""
        return Client(self.url, timeout=timeout)

    def post(self, path: str, body: object, **headers: str) -> httpx.Response:
        """The answer to a JSON POST."""
        return self.http.post(self.url + path, json=body, headers=headers)

    def get(self, path: str) -> httpx.Response:
        """The answer to a GET."""
        return self.http.get(self.url + path)

    def child(self, name: str) -> psutil.Process:
        """The process of the stack whose command line has ``name`` in it."""
        for process in psutil.Process(self.process.pid).children():
            if name in " ".join(process.cmdline()):
                return process
        msg = f"the stack has no child {name!r}"
        raise LookupError(msg)

    def training_process(self, timeout: float = 30) -> psutil.Process:
        """The subprocess that a training job runs in."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for process in self.child("workers.trainer.app").children(recursive=True):
                # the job leads a session of its own; the server it is forked from does not
                if os.getsid(process.pid) == process.pid:
                    return process
            time.sleep(0.05)
        msg = "no training process appeared"
        raise LookupError(msg)

    def processes(self) -> list[psutil.Process]:
        """Every process of the stack, the launcher included."""
        launcher = psutil.Process(self.process.pid)
        return [launcher, *launcher.children(recursive=True)]

    def stop(self) -> int:
        """End as Ctrl-C does; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=STOP_SECONDS)
        self.http.close()
        self.http = httpx.Client(timeout=60)
        return self.process.returncode

    def _addresses(self) -> tuple[str, str]:
        """What the launcher prints when it is ready."""
        found: dict[str, str] = {}
        assert self.process.stdout is not None
        for line in self.process.stdout:
            word, _, rest = line.partition(" ")
            found[word] = rest.split()[0] if rest.split() else ""
            if word == "Ready.":
                return found["REST"], found["gRPC"]
        _, errors = self.process.communicate()
        msg = f"the stack did not start: {errors}"
        raise RuntimeError(msg)


def wait_until_gone(processes: list[psutil.Process], seconds: float = 10) -> list[psutil.Process]:
    """Those of ``processes`` that are still alive after a while; a zombie is not."""
    deadline = time.monotonic() + seconds
    alive = processes
    while alive and time.monotonic() < deadline:
        alive = [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        time.sleep(0.05)
    return alive
