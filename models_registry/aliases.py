"""Aliases: names that point at versions, move in transactions and remember where they were."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, Connection, Table, insert, select, update

from models_registry import gate
from models_registry.database import Database, now
from models_registry.names import validate_alias_name
from models_registry.pages import AnyRow, AnySelect
from models_registry.records import VersionRecord, find_version, no_such_alias, version_numbers
from models_registry.tables import alias_history, aliases
from models_registry.versions import lock_model
from zoo.specs.errors import PreconditionFailedError, PreconditionRequiredError, StateConflictError

Action = Literal["set", "rollback"]


@dataclass(frozen=True)
class AliasRecord:
    """Where an alias points; ``etag`` is the HTTP entity tag of this state, quotes included, and never comes again."""

    model: str
    alias: str
    version: int
    etag: str
    updated_at: float


@dataclass(frozen=True)
class AliasMove:
    """One row of an alias's history; ``previous_version`` is None when the alias was created."""

    model: str
    alias: str
    version: int
    previous_version: int | None
    action: Action
    forced: bool
    caller: str
    at: float


@dataclass(frozen=True)
class _Move:
    """A move that has been asked for."""

    model: str
    alias: str
    caller: str
    action: Action = "set"
    forced: bool = False


class Aliases:
    """The aliases of all models."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, model: str) -> tuple[AliasRecord, ...]:
        """The aliases of a model, in alphabetical order.

        Raises:
            NotFoundError: there is no such model.
        """
        with self._database.read() as connection:
            version_numbers(connection, model)
            query = select(aliases).where(aliases.c.model == model).order_by(aliases.c.alias)
            return tuple(_alias_record(row) for row in connection.execute(query))

    def get(self, model: str, alias: str) -> AliasRecord:
        """Where one alias points.

        Raises:
            NotFoundError: no such model or alias; the message names those that exist.
            InvalidValueError: a name that is not allowed.
        """
        validate_alias_name(alias)
        with self._database.read() as connection:
            return _existing(connection, model, alias)

    def set(
        self, model: str, alias: str, version: int, *, if_match: str | None, force: bool, caller: str
    ) -> AliasRecord:
        """Point an alias at a version, in a transaction of its own; as ``set_in`` does.

        Raises:
            UnavailableError: the database is away; and what ``set_in`` raises.
        """
        with self._database.transaction() as connection:
            return self.set_in(connection, model, alias, version, if_match=if_match, force=force, caller=caller)

    def set_in(
        self,
        connection: Connection,
        model: str,
        alias: str,
        version: int,
        *,
        if_match: str | None,
        force: bool,
        caller: str,
    ) -> AliasRecord:
        """Point an alias at a version, inside the caller's transaction.

        Creating an alias needs no precondition.  Moving one needs its entity tag, or ``*``, which also creates; setting
        it where it points already changes nothing.  When this raises, nothing was written, and the caller can go on.

        Raises:
            PreconditionRequiredError: the alias exists, points elsewhere, and ``if_match`` is None.
            PreconditionFailedError: ``if_match`` is not the present entity tag.
            StateConflictError: the version is quarantined (reason QUARANTINED), or the physics gate refuses it and
                ``force`` does not override it (reason PHYSICS_GATE).
            NotFoundError: no such model or version.
            InvalidValueError: a name that is not allowed.
        """
        validate_alias_name(alias)
        lock_model(connection, model)
        candidate = find_version(connection, model, version)
        current = _find(connection, model, alias)
        _check_precondition(current, candidate, if_match)
        if current is not None and current.version == candidate.version:
            return current
        _refuse_quarantined(candidate)
        if current is not None and not force:
            reason = gate.refusal(candidate, find_version(connection, model, current.version))
            if reason is not None:
                msg = f"alias {alias!r} of model {model!r} does not move: {reason}; force it if that is what you want"
                raise StateConflictError(msg, reason="PHYSICS_GATE")
        return _write(connection, _Move(model, alias, caller, forced=force), candidate.version, current)

    def rollback(self, model: str, alias: str, caller: str) -> AliasRecord:
        """Point the alias where it was before its last move; this is a move too, so twice comes back.

        Raises:
            StateConflictError: it was never moved (reason NO_PREVIOUS_VERSION), or the version it came from is
                quarantined (QUARANTINED).
            NotFoundError: no such model or alias, or the version it came from has been deleted.
        """
        validate_alias_name(alias)
        with self._database.transaction() as connection:
            lock_model(connection, model)
            current = _existing(connection, model, alias)
            previous = connection.execute(_moves(model, alias).offset(1).limit(1)).first()
            if previous is None:
                msg = f"alias {alias!r} of model {model!r} has pointed at version {current.version} from its creation"
                raise StateConflictError(msg, reason="NO_PREVIOUS_VERSION")
            candidate = find_version(connection, model, previous.version)
            _refuse_quarantined(candidate)
            return _write(connection, _Move(model, alias, caller, action="rollback"), candidate.version, current)

    def history(self, model: str, alias: str, at: float | None = None) -> tuple[AliasMove, ...]:
        """The moves of an alias, newest first; with ``at``, seconds since 1970, only the one in force at that time.

        Nothing is in force before the creation: the result is then empty.

        Raises:
            NotFoundError: no such model or alias.
            InvalidValueError: a name that is not allowed.
        """
        validate_alias_name(alias)
        with self._database.read() as connection:
            _existing(connection, model, alias)
            moves = _moves(model, alias)
            query = moves if at is None else moves.where(alias_history.c.at <= at).limit(1)
            return tuple(_alias_move(row) for row in connection.execute(query))


def _check_precondition(current: AliasRecord | None, candidate: VersionRecord, if_match: str | None) -> None:
    """Raise unless ``if_match``, an If-Match header, allows the change from ``current``."""
    if if_match is None:
        if current is not None and current.version != candidate.version:
            msg = (
                f"alias {current.alias!r} points at version {current.version}; "
                f"moving it needs If-Match with its entity tag, now {current.etag}, or *"
            )
            raise PreconditionRequiredError(msg)
        return
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(",")}
    if "*" in tags:
        return
    if current is None:
        msg = f"there is no such alias yet, so it has no entity tag {if_match[:80]}; create it without If-Match"
        raise PreconditionFailedError(msg)
    if current.etag.strip('"') not in tags:
        msg = (
            f"alias {current.alias!r} has moved: it points at version {current.version} with the entity tag "
            f"{current.etag}, and If-Match names {if_match[:80]}; read it again and decide anew"
        )
        raise PreconditionFailedError(msg)


def _refuse_quarantined(candidate: VersionRecord) -> None:
    if candidate.state == "quarantined":
        msg = f"version {candidate.version} of model {candidate.model!r} is quarantined: its stored weights are damaged"
        raise StateConflictError(msg, reason="QUARANTINED")


def _write(connection: Connection, move: _Move, version: int, current: AliasRecord | None) -> AliasRecord:
    """Record the move, and point the alias at its target."""
    recorded = insert(alias_history).values(
        model=move.model,
        alias=move.alias,
        version=version,
        previous_version=None if current is None else current.version,
        action=move.action,
        forced=move.forced,
        caller=move.caller,
        at=now(),
    )
    number, at = connection.execute(recorded.returning(alias_history.c.id, alias_history.c.at)).one()
    position = {"version": version, "move": number, "updated_at": at}
    if current is None:
        statement = insert(aliases).values(model=move.model, alias=move.alias, **position)
        row = connection.execute(statement.returning(aliases)).one()
    else:
        change = update(aliases).where(_is(aliases, move.model, move.alias)).values(position)
        row = connection.execute(change.returning(aliases)).one()
    return _alias_record(row)


def _is(table: Table, model: str, alias: str) -> ColumnElement[bool]:
    """The rows of ``table`` about one alias."""
    return (table.c.model == model) & (table.c.alias == alias)


def _moves(model: str, alias: str) -> AnySelect:
    """Newest first by number, not by time: a clock can be set back."""
    return select(alias_history).where(_is(alias_history, model, alias)).order_by(alias_history.c.id.desc())


def _find(connection: Connection, model: str, alias: str) -> AliasRecord | None:
    row = connection.execute(select(aliases).where(_is(aliases, model, alias))).first()
    return None if row is None else _alias_record(row)


def _existing(connection: Connection, model: str, alias: str) -> AliasRecord:
    """The alias, or the error that names those that exist."""
    found = _find(connection, model, alias)
    if found is None:
        raise no_such_alias(connection, model, alias)
    return found


def _alias_record(row: AnyRow) -> AliasRecord:
    return AliasRecord(row.model, row.alias, row.version, etag=f'"{row.move}"', updated_at=row.updated_at)


def _alias_move(row: AnyRow) -> AliasMove:
    return AliasMove(**{name: value for name, value in row._mapping.items() if name != "id"})
