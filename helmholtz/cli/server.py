"""``helmholtz serve`` and ``helmholtz demo``: the whole stack on this machine."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from helmholtz.cli.session import REFUSED


def serve() -> None:
    """Run the service here until Ctrl-C: gateway, workers, Redis and database.

    Settings are environment variables: HELMHOLTZ_HOST, HELMHOLTZ_HTTP_PORT, HELMHOLTZ_GRPC_PORT (0 picks a free one),
    HELMHOLTZ_DATA_DIR, HELMHOLTZ_LOG_LEVEL and others.
    """
    raise typer.Exit(_with_server(_serve))


def demo(
    png: Annotated[Path, typer.Option(help="Picture to write")] = Path("helmholtz-demo.png"),
) -> None:
    """Train a model of the 8x8 Ising model here and compare it with the exact solution; takes a few minutes."""
    raise typer.Exit(_with_server(lambda: _demo(png)))


def _serve() -> int:
    from service.launcher.main import serve as start  # noqa: PLC0415 - needs the extra [server]

    return start()


def _demo(png: Path) -> int:
    from service.launcher.demo import run_demo  # noqa: PLC0415 - needs the extra [server]

    return run_demo(png)


def _with_server(run: Callable[[], int]) -> int:
    """The exit code of ``run``, which imports the server; 2 with what to install when that is not there."""
    try:
        return run()
    except ModuleNotFoundError as error:
        typer.echo(
            f"helmholtz: this needs the server, and {error.name} is not installed; pip install 'helmholtz[server]'",
            err=True,
        )
        return REFUSED
