"""``helmholtz models``: the registry, its versions and aliases."""

from typing import Annotated

import typer

from helmholtz.cli import display
from helmholtz.cli.session import session
from helmholtz.results import Alias, RegisteredModel

app = typer.Typer(help="The registry: models, versions and aliases.", no_args_is_help=True)
alias_app = typer.Typer(help="Names that point at versions: set, rollback, history.", no_args_is_help=True)
app.add_typer(alias_app, name="alias")

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model")]
AliasName = Annotated[str, typer.Argument(metavar="ALIAS", help="Name of the alias, such as production")]
Ref = Annotated[str, typer.Option(help="Version number or alias")]


@app.command("list")
def list_models(context: typer.Context) -> None:
    """Every model in the registry."""
    with session(context) as s:
        found = s.client.models()
        rows = ((m.model, m.latest_version, m.num_versions, _pointers(m), m.created_at) for m in found)
        columns = ("model", "latest version", "versions", "aliases", "created")
        human = display.table(columns, rows, "no models; `helmholtz train` makes one")
        s.answer({"models": [m.model_dump(mode="json") for m in found]}, human)


@app.command("show")
def show(context: typer.Context, model: ModelName, ref: Ref = "latest") -> None:
    """One version of a model: what it was trained on, how, and how good it is."""
    with session(context) as s:
        version = s.client.version(model, ref)
        s.answer(version.model_dump(mode="json"), display.version_facts(version))


@app.command("versions")
def versions(context: typer.Context, model: ModelName) -> None:
    """The versions of a model."""
    with session(context) as s:
        found = s.client.versions(model)
        s.answer({"versions": [v.model_dump(mode="json") for v in found]}, display.version_table(found))


@alias_app.command("list")
def list_aliases(context: typer.Context, model: ModelName) -> None:
    """The aliases of a model."""
    with session(context) as s:
        found = s.client.aliases(model)
        human = display.table(("alias", "version", "moved"), ((a.alias, a.version, a.updated_at) for a in found))
        s.answer({"aliases": [a.model_dump(mode="json") for a in found]}, human)


@alias_app.command("set")
def set_alias(
    context: typer.Context,
    model: ModelName,
    alias: AliasName,
    version: Annotated[int, typer.Argument(help="Version that it shall point at", min=1)],
    if_match: Annotated[str | None, typer.Option(help="ETag that it must still have [default: the one it has]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Even to a version that is worse")] = False,  # noqa: FBT002
) -> None:
    """Create an alias, or move it."""
    with session(context) as s:
        present = {a.alias: a.etag for a in s.client.aliases(model)}
        moved = s.client.set_alias(model, alias, version, if_match=if_match or present.get(alias), force=force)
        s.answer(moved.model_dump(mode="json"), _sentence(model, moved))


@alias_app.command("rollback")
def rollback(context: typer.Context, model: ModelName, alias: AliasName) -> None:
    """Point an alias at the version before."""
    with session(context) as s:
        moved = s.client.rollback(model, alias)
        s.answer(moved.model_dump(mode="json"), _sentence(model, moved))


@alias_app.command("history")
def history(
    context: typer.Context,
    model: ModelName,
    alias: AliasName,
    at: Annotated[str | None, typer.Option(help="ISO 8601 time: what held then")] = None,
) -> None:
    """Where an alias has pointed."""
    with session(context) as s:
        moves = s.client.alias_history(model, alias, at)
        rows = ((m.version, m.previous_version, m.action, "forced" if m.forced else "", m.at) for m in moves)
        human = display.table(("version", "before", "action", "", "at"), rows, "no moves")
        s.answer({"history": [m.model_dump(mode="json") for m in moves]}, human)


def _pointers(model: RegisteredModel) -> str:
    return ", ".join(f"{alias} -> {version}" for alias, version in model.aliases.items())


def _sentence(model: str, alias: Alias) -> str:
    return f"{model}: {alias.alias} points at version {alias.version}"
