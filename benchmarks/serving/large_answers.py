"""An answer of 16 MiB by npy, JSON and gRPC, from the request to an array in the client, and the gateway's memory."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from statistics import median

import grpc
import httpx
import numpy as np
import orjson
import psutil
from numpy.typing import NDArray

from benchmarks.serving.servers import JSON_HEADERS, Server
from service.rpc.tensors import from_tensor
from service.rpc.v1 import inference_pb2 as pb
from service.rpc.v1 import inference_pb2_grpc

MODEL, NUM_SAMPLES, SHAPE = "mean-field", 16_384, (32, 32)
ROUNDS = 7

Spins = NDArray[np.int8]


@dataclass(frozen=True)
class LargeAnswers:
    """Median seconds by format, how much the gateway grew while each was sent, and bytes on the wire."""

    seconds: dict[str, float]
    growth: dict[str, int]
    num_bytes: dict[str, int]


def measure(server: Server) -> LargeAnswers:
    """All three in turns; every answer must have the same spins."""
    gateway = next(p for p in server.processes() if "service.gateway" in " ".join(p.cmdline()))
    options = [("grpc.max_receive_message_length", 4 << 20)]
    with httpx.Client(timeout=120) as http, grpc.insecure_channel(server.grpc_address, options=options) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        url = f"{server.url}/v1/models/{MODEL}:sample"
        num_bytes: dict[str, int] = {}

        def post(accept: str, seed: int) -> bytes:
            body = json.dumps({"n": NUM_SAMPLES, "seed": seed})
            answer = http.post(url, content=body, headers=JSON_HEADERS | {"Accept": accept})
            answer.raise_for_status()
            num_bytes[accept.removeprefix("application/").removeprefix("x-")] = len(answer.content)
            return answer.content

        def by_npy(seed: int) -> Spins:
            array: Spins = np.load(BytesIO(post("application/x-npy", seed)))
            return array

        def by_json(seed: int) -> Spins:
            return np.array(orjson.loads(post("application/json", seed))["samples"], np.int8)

        def by_grpc(seed: int) -> Spins:
            asked = pb.SampleRequest(model=pb.ModelReference(model=MODEL), n=NUM_SAMPLES, seed=seed)
            parts, size = [], 0
            for chunk in stub.Sample(asked, timeout=120):
                parts.append(from_tensor(chunk.samples))
                size += chunk.ByteSize()
            num_bytes["grpc"] = size
            return np.concatenate(parts).astype(np.int8, copy=False)

        ways: dict[str, Callable[[int], Spins]] = {"npy": by_npy, "json": by_json, "grpc": by_grpc}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        growth = dict.fromkeys(ways, 0)
        for seed in range(ROUNDS + 1):
            drawn = []
            for name, draw in ways.items():
                with peak_of(gateway) as peak:
                    started = time.perf_counter()
                    drawn.append(draw(seed))
                    took = time.perf_counter() - started
                if seed:  # the first one warms everything
                    seconds[name].append(took)
                    growth[name] = max(growth[name], peak[0])
            _check(drawn)
    return LargeAnswers({name: median(values) for name, values in seconds.items()}, growth, num_bytes)


def _check(drawn: Sequence[Spins]) -> None:
    for array in drawn:
        if array.shape != (NUM_SAMPLES, *SHAPE) or not np.array_equal(array, drawn[0]):
            msg = "the formats do not have the same spins"
            raise RuntimeError(msg)


@contextmanager
def peak_of(process: psutil.Process) -> Iterator[list[int]]:
    """By how many bytes the resident memory of a process grows at most, looked at every 5 ms; in a list of one."""
    before, peak, stop = process.memory_info().rss, [0], threading.Event()

    def look() -> None:
        while not stop.wait(0.005):
            peak[0] = max(peak[0], process.memory_info().rss - before)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield peak
    finally:
        stop.set()
        looking.join()
