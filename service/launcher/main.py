"""`helmholtz serve`: the whole stack in the foreground, until Ctrl-C."""

import signal
import sys
import time
from types import FrameType

from service.launcher.errors import StartError
from service.launcher.stack import Stack
from workers.logs import configure_logging
from workers.settings import read_settings
from zoo.specs.errors import HelmholtzError

_TICK_SECONDS = 0.1


class Stopper:
    """Remembers SIGINT and SIGTERM; only the launcher receives them, its children are in groups of their own."""

    def __init__(self) -> None:
        self.stopped = False
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped = True


def serve() -> int:
    """Run the stack until it is told to stop; the exit code is 2 when it cannot be started as configured."""
    stopper = Stopper()
    try:
        settings = read_settings()
    except HelmholtzError as error:
        return refuse(error.detail)
    configure_logging(settings.log_level)
    stack = Stack(settings)
    try:
        stack.start()
        say(f"Helmholtz is starting; data in {stack.settings.data_dir}")
        stack.wait_ready(lambda: stopper.stopped)
        if not stopper.stopped:
            say(f"REST       {stack.http_url}  (documentation: {stack.http_url}/docs)")
            say(f"gRPC       {stack.grpc_address}")
            say("Ready. Ctrl-C stops it.")
        while not stopper.stopped:
            stack.tick()
            time.sleep(_TICK_SECONDS)
    except StartError as error:
        return refuse(str(error))
    finally:
        stack.stop()
    say("Stopped.")
    return 0


def say(text: str) -> None:
    """One line on standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def refuse(message: str) -> int:
    """The message on standard error, and exit code 2."""
    sys.stderr.write(f"helmholtz: {message}\n")
    return 2


if __name__ == "__main__":
    sys.exit(serve())
