"""A gRPC server with an engine that does as it is told, and a client of it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from service.context import Context, build_context
from service.costs import CostModel
from service.rpc.server import RpcServer
from service.rpc.v1 import inference_pb2_grpc, jobs_pb2_grpc, registry_pb2_grpc
from workers.settings import Settings

Part = dict[str, Any]
Answer = Callable[[str, Part], list[Part]]


def rows_summed(operation: str, payload: Part) -> list[Part]:
    """The sum of each row, in two parts: an answer that depends on the question."""
    samples = payload["samples"]
    sums = samples.reshape(len(samples), -1).sum(axis=1).astype(np.float64)
    middle = len(sums) // 2
    return [{"log_likelihood": sums[:middle]}, {"log_likelihood": sums[middle:], "compute_seconds": 0.0}]


@dataclass
class ToldEngine:
    """What stands for an engine: ``asked`` has what it was asked, ``left`` is set when an asker has gone."""

    answer: Answer = rows_summed
    endless: bool = False
    error: Exception | None = None
    alive: list[str] = field(default_factory=lambda: ["engine-1"])
    asked: list[tuple[str, Part, float]] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    finished: bool = False
    costs: CostModel = field(default_factory=CostModel)

    async def ask_every_engine(self, operation: str, payload: Part, seconds: float) -> list[Part]:
        """One answer of each that is alive."""
        self.asked.append((operation, payload, seconds))
        return [{} for _ in self.alive]

    async def ask(self, operation: str, payload: Part, seconds: float) -> AsyncGenerator[Part, None]:
        """The parts of the answer, and then silence if it is ``endless``."""
        self.asked.append((operation, payload, seconds))
        try:
            if self.error is not None:
                raise self.error
            for part in self.answer(operation, payload):
                yield part
            if self.endless:
                await asyncio.sleep(3600)
            self.finished = True
        finally:
            self.left.set()

    async def engines(self) -> list[str]:
        """Those that are said to be alive."""
        return self.alive


class Stage:
    """What a test has: the server's own context, its engine, and a client."""

    def __init__(self, context: Context, engine: ToldEngine, channel: grpc.aio.Channel, server: RpcServer) -> None:
        self.context, self.engine, self.channel, self.server = context, engine, channel, server
        self.inference = inference_pb2_grpc.InferenceStub(channel)
        self.jobs = jobs_pb2_grpc.JobsStub(channel)
        self.registry = registry_pb2_grpc.RegistryStub(channel)


def play(settings: Settings, scene: Callable[[Stage], Awaitable[Any]], engine: ToldEngine | None = None) -> Any:  # noqa: ANN401 - whatever the scene returns
    """Run a scene against a server of its own."""

    async def run() -> object:
        context = build_context(settings)
        told = engine or ToldEngine()
        context.engine = told  # type: ignore[assignment]  # as much of it as is used
        server = RpcServer(context)
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
                return await asyncio.wait_for(scene(Stage(context, told, channel, server)), 20)
        finally:
            await server.stop(0)
            context.database.dispose()

    return asyncio.run(run())


async def refusal(call: Any) -> grpc.aio.AioRpcError:  # noqa: ANN401 - unary or streaming
    """The error that a call ends with."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error
    msg = "the call succeeded"
    raise AssertionError(msg)


def details(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    """What google.rpc.Status has beside code and message, by the name of the message."""
    status = rpc_status.from_call(_as_call(error))
    assert status is not None
    found = {}
    for packed in status.details:
        name = packed.TypeName().rpartition(".")[2]
        found[name] = getattr(error_details_pb2, name)()
        assert packed.Unpack(found[name])
    return found


@dataclass
class _Ended:
    error: Any

    def code(self) -> Any:  # noqa: ANN401 - a grpc.StatusCode
        return self.error.code()

    def details(self) -> str:
        return str(self.error.details())

    def trailing_metadata(self) -> tuple[Any, ...]:
        return tuple(self.error.trailing_metadata())


def _as_call(error: grpc.aio.AioRpcError) -> _Ended:
    return _Ended(error)
