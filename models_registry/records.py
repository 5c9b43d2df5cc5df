"""What the registry says of models and versions, and how one is found by name and reference."""

import re
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import Connection, exists, select

from models_registry.names import LATEST, validate_alias_name, validate_model_name
from models_registry.pages import AnyRow
from models_registry.tables import aliases, models, versions
from zoo.specs.base import Spec
from zoo.specs.errors import NotFoundError

JsonObject = dict[str, Any]

_NUMBER = re.compile(r"[0-9]{1,18}")
_MAX_SHOWN = 10


class VersionManifest(Spec):
    """Everything that made a version: a model is rebuilt, and its origin told, from this alone."""

    model: str
    job_id: str
    target: JsonObject | None
    """The system it was trained on; None for versions that were learnt from data alone."""
    space: JsonObject | None = None
    """The space of its samples; None for versions from before it was written down, whose target has it."""
    model_spec: JsonObject
    objective: JsonObject
    training: JsonObject
    seed: int = Field(ge=0, le=2**53 - 1)
    dataset: str | None = None
    """Identifier of the data it was trained on; None when it was trained on the energy alone."""
    parent: JsonObject | None = None
    """Model and version whose weights the training began with."""
    metrics: JsonObject
    """``variational_beta_f`` with its ``standard_error``, ``effective_sample_fraction``, and what else was measured."""
    target_digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    """``canonical_digest`` of the target, or of what the data is where there is none: versions with one digest can be
    compared."""
    libraries: dict[str, str]
    """Versions of the libraries that computed it."""


class VersionRecord(VersionManifest):
    """A version as the registry holds it."""

    version: int
    digest: str
    """sha256 of the safetensors file."""
    size_bytes: int
    created_at: float
    state: Literal["ready", "quarantined"]
    aliases: tuple[str, ...] = ()


class ModelRecord(Spec):
    """A model: a name, and the versions under it."""

    model: str
    created_at: float
    latest_version: int
    """The newest version, ready or not."""
    num_versions: int
    aliases: dict[str, int]
    """Version that each alias points at."""


def find_version(connection: Connection, model: str, ref: str | int) -> VersionRecord:
    """The version that ``ref`` means: a number, an alias, or ``latest``, the newest one that is ready.

    Raises:
        NotFoundError: no such model, version or alias; the message names those that exist.
        InvalidValueError: the model's name, or the reference, cannot be one.
    """
    numbers = version_numbers(connection, model)
    number = _resolve(connection, model, ref)
    if number not in numbers:
        msg = f"no version {str(ref)[:80]!r} of model {model!r}; it has {spoken(numbers)}"
        raise NotFoundError(msg)
    where = (versions.c.model == model) & (versions.c.version == number)
    row = connection.execute(select(versions).where(where)).one()
    return version_record(row, aliases_by_version(connection, model).get(row.version, ()))


def version_numbers(connection: Connection, model: str) -> list[int]:
    """The numbers of a model's versions, ascending; a model without any does not exist.

    Raises:
        NotFoundError: there is no such model; the message names the newest ones.
        InvalidValueError: ``model`` cannot be a name.
    """
    validate_model_name(model)
    query = select(versions.c.version).where(versions.c.model == model).order_by(versions.c.version)
    numbers = list(connection.execute(query).scalars())
    if not numbers:
        has_versions = exists().where(versions.c.model == models.c.name)
        newest = select(models.c.name).where(has_versions).order_by(models.c.created_at.desc()).limit(_MAX_SHOWN)
        known = ", ".join(repr(name) for name in connection.execute(newest).scalars())
        msg = f"no model {model!r}; " + (f"the newest are {known}" if known else "none has been published yet")
        raise NotFoundError(msg)
    return numbers


def newest_ready(connection: Connection, model: str) -> int | None:
    """The highest version that is ready; the highest of all when none is; None when there is none."""
    query = select(versions.c.version).where(versions.c.model == model)
    ordered = query.order_by((versions.c.state == "ready").desc(), versions.c.version.desc()).limit(1)
    return connection.execute(ordered).scalar_one_or_none()


def aliased_version(connection: Connection, model: str, alias: str) -> int | None:
    """The version that an alias points at; None when there is no such alias."""
    where = (aliases.c.model == model) & (aliases.c.alias == alias)
    return connection.execute(select(aliases.c.version).where(where)).scalar_one_or_none()


def aliases_by_version(connection: Connection, model: str) -> dict[int, tuple[str, ...]]:
    """The aliases on each version of a model, in alphabetical order."""
    query = select(aliases.c.version, aliases.c.alias).where(aliases.c.model == model).order_by(aliases.c.alias)
    found: dict[int, tuple[str, ...]] = {}
    for version, alias in connection.execute(query):
        found[version] = (*found.get(version, ()), alias)
    return found


def no_such_alias(connection: Connection, model: str, alias: str) -> NotFoundError:
    """The error that names the versions and aliases that a model does have; or that there is no such model."""
    try:
        has = spoken(version_numbers(connection, model))
    except NotFoundError as error:
        return error
    query = select(aliases.c.alias).where(aliases.c.model == model).order_by(aliases.c.alias)
    known = ", ".join(connection.execute(query).scalars())
    msg = f"model {model!r} has no alias {alias!r}; it has {has} and {'the aliases ' + known if known else 'no alias'}"
    return NotFoundError(msg)


def version_record(row: AnyRow, on_it: tuple[str, ...]) -> VersionRecord:
    """The record of a row of ``versions`` with the aliases on it."""
    return VersionRecord(**row._mapping, aliases=on_it)


def spoken(numbers: list[int]) -> str:
    """Version numbers in words, neighbours joined: ``versions 1 to 3, 5``.

    >>> spoken([1, 2, 3, 5])
    'versions 1 to 3, 5'
    >>> spoken([2])
    'version 2'
    """
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    words = [str(first) if first == last else f"{first} to {last}" for first, last in ranges]
    shown = words if len(words) <= _MAX_SHOWN else ["...", *words[-_MAX_SHOWN:]]
    return ("version " if len(numbers) == 1 else "versions ") + ", ".join(shown)


def _resolve(connection: Connection, model: str, ref: str | int) -> int | None:
    if isinstance(ref, int) or _NUMBER.fullmatch(ref):
        return int(ref)
    if ref == LATEST:
        return newest_ready(connection, model)
    number = aliased_version(connection, model, validate_alias_name(ref))
    if number is None:
        raise no_such_alias(connection, model, ref)
    return number
