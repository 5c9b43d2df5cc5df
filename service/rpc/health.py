"""The status of each service, as grpc.health.v1 tells it: looked at every second, told when it changes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, TypeAlias

import grpc
import structlog
from anyio.to_thread import run_sync
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from service.context import Context
from zoo.specs.errors import HelmholtzError

log = structlog.get_logger()

Call: TypeAlias = grpc.aio.ServicerContext
Dependency = Literal["database", "engine"]
Needs = frozenset[Dependency]

DATABASE: Needs = frozenset({"database"})
EVERYTHING: Needs = frozenset({"database", "engine"})
"""An engine is found through Redis: while that is away, there is none."""

INTERVAL_SECONDS = 1.0
_PATIENCE_SECONDS = 1.0
_LAST_WORD_SECONDS = 0.1  # for those who watch to be told that nothing serves any more

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class HealthReport:
    """Keeps ``servicer`` true: a service serves while all that it ``needs`` answers; '' is the whole server."""

    def __init__(self, context: Context, needs: dict[str, Needs]) -> None:
        self._servicer = health.aio.HealthServicer()
        self._stopped = asyncio.Event()
        self._told: dict[str, int] = {}
        self.servicer = _Watchable(self._servicer, self._stopped, self._told)
        self._context = context
        self._needs = {"": EVERYTHING} | needs
        self._checks: dict[Dependency, _Check] = {
            "database": _Check(self._database_answers),
            "engine": _Check(self._engine_answers),
        }
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Tell how things stand, and go on telling."""
        await self.look()
        self._task = asyncio.create_task(self._keep_looking(), name="health-report")

    async def stop(self) -> None:
        """Nothing serves any more, whatever happens."""
        await self._servicer.enter_graceful_shutdown()
        self._stopped.set()
        tasks = [task for task in (self._task, *(check.running for check in self._checks.values())) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self) -> None:
        """Ask what the services need, and tell what has changed."""
        found = await asyncio.gather(*(check.answers() for check in self._checks.values()))
        answering = {name for name, answers in zip(self._checks, found, strict=True) if answers}
        for service, needs in self._needs.items():
            serves = needs <= answering and not self._context.draining
            await self._tell(service, _SERVING if serves else _NOT_SERVING)

    async def _tell(self, service: str, status: int) -> None:
        if self._told.get(service) != status:
            self._told[service] = status
            await self._servicer.set(service, status)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            await self.look()

    async def _database_answers(self) -> bool:
        await run_sync(self._context.database.check)
        return True

    async def _engine_answers(self) -> bool:
        return bool(await self._context.engine.engines())


class _Watchable(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # grpc has no types
    """``inner``, whose watches end when the server stops: else they would keep it up for the whole grace period."""

    def __init__(self, inner: health_pb2_grpc.HealthServicer, stopped: asyncio.Event, told: Mapping[str, int]) -> None:
        self._inner = inner
        self._stopped = stopped
        self._told = told

    async def Check(self, request: health_pb2.HealthCheckRequest, call: Call) -> health_pb2.HealthCheckResponse:  # noqa: N802 - gRPC's name
        """The status of a service."""
        return await self._inner.Check(request, call)

    async def List(self, request: health_pb2.HealthListRequest, call: Call) -> health_pb2.HealthListResponse:  # noqa: N802 - gRPC's name
        """The status of every service."""
        statuses = {name: health_pb2.HealthCheckResponse(status=status) for name, status in self._told.items()}
        return health_pb2.HealthListResponse(statuses=statuses)

    async def Watch(self, request: health_pb2.HealthCheckRequest, call: Call) -> None:  # noqa: N802 - gRPC's name
        """The status of a service whenever it changes."""
        watching = asyncio.create_task(self._inner.Watch(request, call))
        stopping = asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                await asyncio.wait({watching}, timeout=_LAST_WORD_SECONDS)
        finally:
            for task in (watching, stopping):
                task.cancel()
            await asyncio.gather(watching, stopping, return_exceptions=True)


class _Check:
    """A question that is asked again only after its answer: what hangs is not asked twice."""

    def __init__(self, ask: Callable[[], Awaitable[bool]]) -> None:
        self._ask = ask
        self.running: asyncio.Task[bool] | None = None

    async def answers(self) -> bool:
        """Whether the answer is yes, and comes soon."""
        if self.running is None or self.running.done():
            self.running = asyncio.create_task(self._asked())
        await asyncio.wait({self.running}, timeout=_PATIENCE_SECONDS)
        return self.running.done() and self.running.result()

    async def _asked(self) -> bool:
        try:
            return await self._ask()
        except HelmholtzError:
            return False
        except Exception as error:
            log.error("a health check failed", error=repr(error))  # every second, so without its traceback
            return False
