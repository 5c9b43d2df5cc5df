"""The command tree, with ``--url`` and ``--json`` accepted before and after a command's name."""

from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.main import get_command

from helmholtz.cli import completion, data, inference, jobs, models, server, zoo
from helmholtz.cli.session import ApiKey, AsJson, LocalUrl, Url


def _show_version(value: bool) -> None:  # noqa: FBT001 - typer's callback
    if value:
        typer.echo(f"helmholtz {version('helmholtz')}")
        raise typer.Exit


ShowVersion = Annotated[
    bool,
    typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version", expose_value=False),
]


def _root(
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,  # noqa: FBT002
    show_version: ShowVersion = False,  # noqa: FBT002
) -> None:
    """Trains, versions and serves generative models: samples, log-likelihoods, free energies."""


def _anywhere(url: LocalUrl = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Carries the options that every command takes."""


def application() -> typer.Typer:
    """The commands and groups."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
    app.callback()(_root)
    app.command("serve")(server.serve)
    app.command("demo")(server.demo)
    app.command("train")(jobs.train)
    app.command("learn")(jobs.learn)
    app.add_typer(jobs.app, name="jobs")
    app.add_typer(models.app, name="models")
    app.command("sample")(inference.sample)
    app.command("draw")(inference.draw)
    app.command("result")(jobs.result)
    app.command("complete")(completion.complete)
    app.command("log-likelihood")(inference.log_likelihood)
    app.command("free-energy")(inference.free_energy)
    app.command("curve")(inference.curve)
    app.add_typer(data.app, name="data")
    app.add_typer(zoo.app, name="zoo")
    app.command("energy")(zoo.energy)
    app.command("reference")(zoo.reference)
    app.command("info")(zoo.info)
    return app


def command() -> Any:  # noqa: ANN401 - typer's own copy of click is private
    """The runnable command tree."""
    extra = _carried(_anywhere)
    tree: Any = get_command(application())
    for name in ("sample", "draw"):
        tree.commands[name].params += _carried(inference.carry_correction)
    for leaf in _leaves(tree):
        leaf.params += extra
    return tree


def _carried(function: Callable[..., None]) -> list[Any]:
    """The options that a function's signature declares."""
    carrier = typer.Typer(add_completion=False)
    carrier.command()(function)
    return get_command(carrier).params


def _leaves(tree: Any) -> Iterator[Any]:  # noqa: ANN401 - typer's own copy of click is private
    for child in tree.commands.values():
        if hasattr(child, "commands"):
            yield from _leaves(child)
        else:
            yield child
