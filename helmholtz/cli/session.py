"""What every command starts with: a client, where to print, and how an error ends the command."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType

from helmholtz.client import DEFAULT_URL, Client
from helmholtz.errors import (
    ClientFaultError,
    HelmholtzError,
    InvalidArgumentError,
    ServiceUnreachableError,
)

REFUSED = 2
"""Exit code: bad input, a request that was refused, or no service at the URL."""
FAILED = 1
"""Exit code: a failed or cancelled job, or a fault of the service."""
INTERRUPTED = 130


@dataclass(frozen=True)
class Choices:
    """What the global options say."""

    url: str = DEFAULT_URL
    api_key: str | None = None
    as_json: bool = False


@dataclass(frozen=True)
class Session:
    """A client, the console for answers and the one for everything else.

    Server data is printed as it is: no console reads markup in it.
    """

    client: Client
    as_json: bool
    out: Console
    notes: Console

    def answer(self, fields: Any, human: RenderableType) -> None:  # noqa: ANN401 - whatever JSON holds
        """Print ``fields`` as one JSON document when JSON was asked for, else ``human``."""
        if self.as_json:
            typer.echo(json.dumps(fields))
        else:
            self.out.print(human)


@contextmanager
def session(context: typer.Context) -> Iterator[Session]:
    """The session that the global options describe; an error in it ends the command with one message, no traceback."""
    choices = context.obj if isinstance(context.obj, Choices) else Choices()
    notes = console(sys.stderr)
    try:
        with Client(choices.url, choices.api_key) as client:
            yield Session(client, choices.as_json, console(sys.stdout), notes)
    except HelmholtzError as error:
        notes.print(f"helmholtz: {error}", soft_wrap=True)
        raise typer.Exit(exit_code(error)) from None
    except KeyboardInterrupt:
        notes.print("helmholtz: interrupted")
        raise typer.Exit(INTERRUPTED) from None


def exit_code(error: HelmholtzError) -> int:
    """2 when the request or the URL has to change, 1 when the job or the service failed."""
    refused = isinstance(error, ClientFaultError | InvalidArgumentError | ServiceUnreachableError)
    return REFUSED if refused else FAILED


def console(stream: Any) -> Console:  # noqa: ANN401 - a text stream
    """A console on ``stream`` that prints text as it is, and wide when nobody watches."""
    width = None if stream.isatty() else 160
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False)


def _remember_url(context: typer.Context, value: str | None) -> None:
    if value is not None:
        context.obj = replace(context.obj or Choices(), url=value)


def _remember_key(context: typer.Context, value: str | None) -> None:
    if value is not None:
        context.obj = replace(context.obj or Choices(), api_key=value)


def _remember_json(context: typer.Context, value: bool) -> None:  # noqa: FBT001 - typer's callback
    if value:
        context.obj = replace(context.obj or Choices(), as_json=True)


Url = Annotated[
    str | None,
    typer.Option(
        help=f"The service [default: {DEFAULT_URL}]",
        callback=_remember_url,
        envvar="HELMHOLTZ_URL",
        show_default=False,
        expose_value=False,
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        help="API key, where the service asks for one",
        callback=_remember_key,
        envvar="HELMHOLTZ_API_KEY",
        expose_value=False,
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", help="Answers as JSON on stdout, nothing else there", callback=_remember_json, expose_value=False
    ),
]
LocalUrl = Annotated[
    str | None, typer.Option(help="As the global option", callback=_remember_url, hidden=True, expose_value=False)
]
