"""Versions of models: published once, immutable, verified whenever they are loaded."""

from collections.abc import Callable

from sqlalchemy import Connection, delete, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from models_registry.blobs import BlobStore
from models_registry.database import Database, now
from models_registry.names import LATEST, PRODUCTION, validate_model_name
from models_registry.pages import AnyRow, Listing, Page
from models_registry.records import (
    ModelRecord,
    VersionManifest,
    VersionRecord,
    aliased_version,
    aliases_by_version,
    find_version,
    spoken,
    version_numbers,
    version_record,
)
from models_registry.tables import models, versions
from zoo.specs.errors import CorruptArtifactError, NotFoundError, StateConflictError

__all__ = ["ModelRecord", "VersionManifest", "VersionRecord", "Versions"]


_MAX_SHOWN = 10

UsedBy = Callable[[Connection, str, int | None], list[str]]
"""What is using a version of a model, or any of them, in words, asked inside the transaction that deletes it."""


def _nobody(connection: Connection, model: str, version: int | None) -> list[str]:
    return []


class Versions:
    """The models of an installation and their versions."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._blobs = blobs

    def publish(self, connection: Connection, manifest: VersionManifest, digest: str, size_bytes: int) -> VersionRecord:
        """The version that the caller's transaction will make visible, with the model's next number.

        The blob ``digest`` must be stored before.  Numbers are never given twice, even after a deletion.

        Raises:
            StateConflictError: this job has published already (reason ALREADY_PUBLISHED); nothing is changed, and the
                caller's transaction can go on.
            InvalidValueError: the model's name is not allowed.
        """
        validate_model_name(manifest.model)
        _create_model(connection, manifest.model)
        count = update(models).where(models.c.name == manifest.model).values(last_version=models.c.last_version + 1)
        try:
            with connection.begin_nested():
                number = connection.execute(count.returning(models.c.last_version)).scalar_one()
                row = manifest.model_dump() | {"version": number, "digest": digest, "size_bytes": size_bytes}
                inserted = insert(versions).values(**row, state="ready", created_at=now()).returning(versions)
                return version_record(connection.execute(inserted).one(), ())
        except IntegrityError as error:
            raise _already_published(connection, manifest.job_id) from error

    def models(self, page_size: int = 50, page_token: str | None = None) -> Page[ModelRecord]:
        """The models that have versions, newest first."""
        listing = Listing("models", (models.c.created_at, models.c.name))
        query = select(models).where(exists().where(versions.c.model == models.c.name))
        with self._database.read() as connection:
            rows = connection.execute(listing.statement(query, page_size, page_token)).all()
            return listing.page(rows, page_size, lambda row: _model_record(connection, row))

    def model(self, name: str) -> ModelRecord:
        """One model.

        Raises:
            NotFoundError: there is no such model; the message names the newest ones.
        """
        with self._database.read() as connection:
            version_numbers(connection, name)
            row = connection.execute(select(models).where(models.c.name == name)).one()
            return _model_record(connection, row)

    def versions(self, model: str, page_size: int = 50, page_token: str | None = None) -> Page[VersionRecord]:
        """The versions of a model, newest first.

        Raises:
            NotFoundError: there is no such model.
        """
        listing = Listing(f"versions of {model}", (versions.c.version,))
        query = select(versions).where(versions.c.model == model)
        with self._database.read() as connection:
            version_numbers(connection, model)
            aliased = aliases_by_version(connection, model)
            rows = connection.execute(listing.statement(query, page_size, page_token)).all()
            return listing.page(rows, page_size, lambda row: version_record(row, aliased.get(row.version, ())))

    def get(self, model: str, ref: str | int) -> VersionRecord:
        """The version that ``ref`` means: a number, an alias, or ``latest``, the newest one that is ready.

        Raises:
            NotFoundError: no such model, version or alias; the message names those that exist.
            InvalidValueError: the model's name, or the reference, cannot be one.
        """
        with self._database.read() as connection:
            return find_version(connection, model, ref)

    def resolve(self, model: str, ref: str | int | None = None) -> VersionRecord:
        """As ``get``; without ``ref``, the alias ``production``, else the newest version that is ready."""
        with self._database.read() as connection:
            if ref is None:
                production = aliased_version(connection, model, PRODUCTION)
                ref = LATEST if production is None else production
            return find_version(connection, model, ref)

    def read_weights(self, record: VersionRecord) -> bytes:
        """The safetensors file of a version, its digest verified.

        Raises:
            CorruptArtifactError: the version is quarantined; or its bytes have changed, and from now on every version
                with this digest is; or they are missing.
            NotFoundError: the version has been deleted.
            UnavailableError: the database or the store is away.
        """
        name = f"version {record.version} of model {record.model!r}"
        if self.get(record.model, record.version).state == "quarantined":
            msg = f"{name} is quarantined: its stored weights were found damaged; use another version"
            raise CorruptArtifactError(msg)
        try:
            return self._blobs.get(record.digest)
        except CorruptArtifactError as error:
            self.quarantine(record.digest)
            msg = f"{name} is quarantined from now on: {error.detail}"
            raise CorruptArtifactError(msg) from error
        except NotFoundError as error:
            msg = f"the weights of {name} are missing from the artifact store; restore blob {record.digest} from a copy"
            raise CorruptArtifactError(msg) from error

    def quarantine(self, digest: str) -> int:
        """Stop serving every version with this digest; returns how many there are."""
        with self._database.transaction() as connection:
            change = update(versions).where(versions.c.digest == digest).values(state="quarantined")
            return connection.execute(change).rowcount

    def delete_version(self, model: str, ref: str | int, used_by: UsedBy = _nobody) -> None:
        """Forget a version; its blob stays until nothing refers to it.

        Raises:
            StateConflictError: an alias points at it (reason VERSION_ALIASED), or ``used_by`` names a user
                (VERSION_IN_USE).
            NotFoundError: there is no such version.
        """
        with self._database.transaction() as connection:
            lock_model(connection, model)
            record = find_version(connection, model, ref)
            if record.aliases:
                msg = (
                    f"version {record.version} of model {model!r} is in use by the alias {', '.join(record.aliases)}; "
                    "move the alias first"
                )
                raise StateConflictError(msg, reason="VERSION_ALIASED")
            if users := used_by(connection, model, record.version):
                raise _in_use(f"version {record.version} of model {model!r}", users)
            where = (versions.c.model == model) & (versions.c.version == record.version)
            connection.execute(delete(versions).where(where))

    def delete_model(self, model: str, used_by: UsedBy = _nobody) -> None:
        """Forget every version of a model.  Its history stays, and its numbers are not given again.

        Raises:
            StateConflictError: an alias points at one of them (reason VERSION_ALIASED), or ``used_by`` names a user
                (VERSION_IN_USE).
            NotFoundError: there is no such model.
        """
        with self._database.transaction() as connection:
            lock_model(connection, model)
            version_numbers(connection, model)
            aliased = aliases_by_version(connection, model)
            if aliased:
                names = ", ".join(alias for on_it in aliased.values() for alias in on_it)
                held = spoken(sorted(aliased))
                msg = f"{held} of model {model!r} in use by the aliases {names}; delete the other versions one by one"
                raise StateConflictError(msg, reason="VERSION_ALIASED")
            if users := used_by(connection, model, None):
                raise _in_use(f"model {model!r}", users)
            connection.execute(delete(versions).where(versions.c.model == model))


def _in_use(what: str, users: list[str]) -> StateConflictError:
    msg = f"{what} is in use by {', '.join(users[:_MAX_SHOWN])}; wait, or cancel first"
    return StateConflictError(msg, reason="VERSION_IN_USE")


def lock_model(connection: Connection, model: str) -> None:
    """Let nobody else change this model's versions and aliases before the transaction ends."""
    connection.execute(select(models.c.name).where(models.c.name == model).with_for_update())


def _create_model(connection: Connection, model: str) -> None:
    """A row for the model if it has none; on PostgreSQL another transaction may be inserting the same."""
    if connection.execute(select(models.c.name).where(models.c.name == model)).first() is None:
        try:
            with connection.begin_nested():
                connection.execute(insert(models).values(name=model, last_version=0, created_at=now()))
        except IntegrityError:
            return


def _already_published(connection: Connection, job_id: str) -> StateConflictError:
    row = connection.execute(select(versions.c.model, versions.c.version).where(versions.c.job_id == job_id)).one()
    msg = f"job {job_id!r} has published already: version {row.version} of model {row.model!r}"
    return StateConflictError(msg, reason="ALREADY_PUBLISHED")


def _model_record(connection: Connection, row: AnyRow) -> ModelRecord:
    query = select(func.max(versions.c.version), func.count()).where(versions.c.model == row.name)
    latest, number = connection.execute(query).one()
    aliased = aliases_by_version(connection, row.name)
    return ModelRecord(
        model=row.name,
        created_at=row.created_at,
        latest_version=latest,
        num_versions=number,
        aliases={alias: version for version, on_it in aliased.items() for alias in on_it},
    )
