"""The services that are measured, each started as its documentation says, on a free port of the loopback interface."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.environments import ROOT, environment
from benchmarks.serving.load import Load
from benchmarks.serving.releases import OF_THE_MODULE, RELEASES

READY_SECONDS = 60.0
JSON_HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}


@dataclass(frozen=True)
class Server:
    """A service that answers: where, and what a request for ``n`` configurations is."""

    name: str
    url: str
    path: str
    process: psutil.Process
    protocol: str = "plain"
    grpc_address: str = ""

    def load(self, n: int, concurrency: int, accept: str = "application/json") -> Load:
        """Askers that want ``n`` configurations, each with its own seed."""
        return Load(self.url + self.path, self.body(n), JSON_HEADERS | {"Accept": accept}, concurrency)

    def body(self, n: int) -> str:
        """A request's body, ``{seed}`` to be filled in."""
        plain = f'{{"n": {n}, "seed": {{seed}}}}'
        if self.protocol != "tensors":
            return plain if self.protocol == "plain" else f'{{"questions": [{plain}]}}'
        inputs = [
            f'{{"name": "{name}", "datatype": "INT64", "shape": [1], "data": [{value}]}}'
            for name, value in (("n", n), ("seed", "{seed}"))
        ]
        return f'{{"inputs": [{", ".join(inputs)}]}}'

    def processes(self) -> list[psutil.Process]:
        """All processes of the service."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Processor time that they have used."""
        total = 0.0
        for process in self.processes():
            times = process.cpu_times()
            total += times.user + times.system
        return total


@contextmanager
def helmholtz(data_dir: Path, **settings: str) -> Iterator[Server]:
    """Our whole stack; its models are at ``/v1/models/...``."""
    own = {f"HELMHOLTZ_{name.upper()}": value for name, value in settings.items()}
    http, grpc = free_port(), free_port()
    ports = {"HELMHOLTZ_HTTP_PORT": str(http), "HELMHOLTZ_GRPC_PORT": str(grpc)}
    command = [sys.executable, "-m", "service.launcher.main"]
    data_dir.mkdir(parents=True, exist_ok=True)
    with _running(command, ports | own | {"HELMHOLTZ_DATA_DIR": str(data_dir)}, data_dir / "stack.log") as process:
        _wait_until_answers(f"http://127.0.0.1:{http}/readyz", process)
        yield Server("Helmholtz", f"http://127.0.0.1:{http}", "", process, grpc_address=f"127.0.0.1:{grpc}")


@contextmanager
def peer(name: str, module: Path, threads: int, folder: Path) -> Iterator[Server]:
    """A peer that serves the saved module."""
    programs, port = environment(name, RELEASES[name], OF_THE_MODULE), free_port()
    given = {
        "BENCHMARK_MODEL": str(module),
        "BENCHMARK_THREADS": str(threads),
        "PYTHONPATH": str(ROOT),
        "BENTOML_DO_NOT_TRACK": "1",
        "BENTOML_HOME": str(folder / "bentoml"),
    }
    package, path, protocol = "benchmarks.serving.peers", "/sample", "plain"
    match name:
        case "FastAPI":
            command: Sequence[str | Path] = [programs / "python", "-m", f"{package}.fastapi_server", str(port)]
        case "LitServe":
            command = [programs / "python", "-m", f"{package}.litserve_server", str(port)]
        case "BentoML":
            service, protocol = f"{package}.bentoml_server:SampleService", "questions"
            command = [programs / "bentoml", "serve", service, "--port", str(port), "--host", "127.0.0.1"]
        case _:
            command, path, protocol = [programs / "mlserver", "start", folder], "/v2/models/sampler/infer", "tensors"
            _configure_mlserver(folder, port)
    with _running(command, given, folder / "server.log") as process:
        server = Server(name, f"http://127.0.0.1:{port}", path, process, protocol)
        _wait_until_answers(server.url + path, process, server.body(1).replace("{seed}", "1"))
        yield server


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _configure_mlserver(folder: Path, port: int) -> None:
    settings = {
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "host": "127.0.0.1",
        "debug": False,
        "parallel_workers": 0,
    }
    model = {
        "name": "sampler",
        "implementation": "benchmarks.serving.peers.mlserver_model.SampleModel",
        "max_batch_size": 64,
        "max_batch_time": 0.002,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))


@contextmanager
def _running(command: Sequence[str | Path], given: Mapping[str, str], log: Path) -> Iterator[psutil.Process]:
    variables = os.environ | given  # noqa: TID251 - passed on to the server
    words = [str(word) for word in command]
    with log.open("w") as said:
        started = subprocess.Popen(  # noqa: S603 - our own words
            words, env=variables, cwd=ROOT, stdout=said, stderr=said, start_new_session=True
        )
    process = psutil.Process(started.pid)
    try:
        yield process
    except BaseException as error:
        error.add_note(f"{words[0]} said: ... {log.read_text()[-2000:]}")
        raise
    finally:
        rest = [process, *process.children(recursive=True)]
        started.send_signal(signal.SIGINT)
        _, alive = psutil.wait_procs(rest, timeout=15)
        for one in alive:
            one.kill()
        started.wait()


def _wait_until_answers(url: str, process: psutil.Process, body: str | None = None) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.status() == psutil.STATUS_ZOMBIE:
            break
        try:
            answer = httpx.get(url) if body is None else httpx.post(url, content=body, headers=JSON_HEADERS)
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        if answer.status_code == httpx.codes.OK:
            return
        time.sleep(0.2)
    msg = f"nothing answered at {url}"
    raise RuntimeError(msg)
