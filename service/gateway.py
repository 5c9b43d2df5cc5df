"""The gateway process: REST and gRPC on one event loop, no torch."""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Iterator
from math import ceil

import structlog
import uvicorn
import uvloop

from service.context import Context, build_context
from service.rest.app import build_app
from service.rpc.server import RpcServer
from workers.logs import configure_logging
from workers.settings import Settings, read_settings
from zoo.specs.errors import HelmholtzError, InvalidValueError

log = structlog.get_logger()

_ALLOCATIONS = 20_000  # between two looks at young objects, some hundred requests


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: this process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; then not ready first, requests in flight finish, connections close."""
    listener = _listen(settings)
    context = build_context(settings)
    stop = asyncio.Event()
    await context.engine.start(when_broken=stop.set)  # the launcher starts us again
    rpc = RpcServer(context)
    await rpc.start()
    server = _Server(http_config(context))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopper = asyncio.create_task(_stop_when(stop, context, server, rpc))
    _leave_alone_what_stays()
    log.info("gateway serves", http=settings.http_port, grpc=rpc.port)
    await server.serve(sockets=[listener])
    stop.set()
    await stopper
    await context.engine.close()
    context.database.dispose()


def http_config(context: Context) -> uvicorn.Config:
    """How HTTP is served."""
    return uvicorn.Config(
        build_app(context),
        log_config=None,
        access_log=False,
        proxy_headers=False,  # nobody asks for the client's address
        timeout_graceful_shutdown=ceil(context.settings.grace_seconds),
        h11_max_incomplete_event_size=64 * 1024,
    )


def _leave_alone_what_stays() -> None:
    """Keep the collector of cycles from what lives as long as the process: all answers wait while it walks."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS)


async def _stop_when(stop: asyncio.Event, context: Context, server: uvicorn.Server, rpc: RpcServer) -> None:
    await stop.wait()
    context.draining = True
    context.engine.admission.draining = True
    server.should_exit = True
    await rpc.stop(context.settings.grace_seconds)


def _listen(settings: Settings) -> socket.socket:
    """A listening socket on the HTTP port.

    Raises:
        InvalidValueError: the port is in use, or the address is not one of this machine's.
    """
    try:
        listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((settings.host, settings.http_port))
    except OSError as error:
        msg = f"cannot listen on {settings.host}:{settings.http_port}: {error.strerror}"
        raise InvalidValueError(msg) from None
    return listener


def main() -> int:
    """Run the gateway; the exit code is 2 when its settings are at fault."""
    try:
        settings = read_settings()
        configure_logging(settings.log_level)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    except HelmholtzError as error:
        sys.stderr.write(f"helmholtz gateway: {error.detail}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
