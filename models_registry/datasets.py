"""Datasets: configurations kept under the digest of their bytes, immutable, and verified whenever they are read."""

import builtins
import uuid
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from models_registry.artifacts import pack, unpack
from models_registry.blobs import BlobStore
from models_registry.database import Database, now
from models_registry.names import MODEL_NAME
from models_registry.pages import AnyRow, Listing, Page
from models_registry.tables import datasets
from zoo.specs.base import Spec
from zoo.specs.datasets import LabelledSamples
from zoo.specs.errors import CorruptArtifactError, FieldError, InvalidValueError, NotFoundError, StateConflictError
from zoo.specs.spaces import SpaceSpec

_MAX_SHOWN = 10
_LONGEST_NAME_SHOWN = 80

UsedBy = Callable[[Connection, str], builtins.list[str]]
"""What is using a dataset, in words, asked inside the transaction that deletes it."""


class DatasetManifest(Spec):
    """What a dataset is and where it comes from, without its bytes."""

    name: str
    """Names need not be different; the id is."""
    space: SpaceSpec
    num_samples: int
    labels: bool
    """Whether each configuration has a label, a whole number."""
    source: dict[str, Any]
    """``kind`` upload, builtin or sampler, with what the kind needs: options, target, sampler, seed, diagnostics."""
    job_id: str | None = None
    """The job that drew it."""


class DatasetRecord(DatasetManifest):
    """A dataset as the registry holds it."""

    id: str
    digest: str
    """sha256 of the safetensors file with ``samples`` and, where there are labels, ``labels``."""
    size_bytes: int
    created_at: float


def validate_dataset_name(name: str) -> str:
    """The name itself.

    Raises:
        InvalidValueError: the name does not match ``^[a-z0-9][a-z0-9._-]{0,62}$``.
    """
    if not MODEL_NAME.fullmatch(name):
        shown = ascii(name if len(name) <= _LONGEST_NAME_SHOWN else name[: _LONGEST_NAME_SHOWN - 3] + "...")
        allowed = "1 to 63 of a-z, 0-9, '.', '_' and '-', the first a letter or a digit"
        msg = f"{shown} is not the name of a dataset; expected {allowed}"
        raise InvalidValueError(f"name: {msg}", errors=(FieldError("name", msg, allowed),))
    return name


def pack_samples(data: LabelledSamples) -> bytes:
    """The file of a dataset; equal configurations and labels on one space give equal bytes, and so one digest."""
    arrays = {"samples": data.samples} | ({} if data.labels is None else {"labels": data.labels})
    manifest = {"kind": "dataset", "space": data.space.model_dump(mode="json"), "num_samples": len(data.samples)}
    return pack(arrays, manifest)


class Datasets:
    """The datasets of an installation."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._blobs = blobs

    def store(self, name: str, data: LabelledSamples, source: dict[str, Any]) -> DatasetRecord:
        """Keep ``data``, blob first; returns the record, whose id is new.

        Raises:
            InvalidValueError: the name is not allowed; nothing is kept.
            UnavailableError: the disk is full, or the store or the database is away.
        """
        manifest = DatasetManifest(
            name=validate_dataset_name(name),
            space=data.space,
            num_samples=len(data.samples),
            labels=data.labels is not None,
            source=source,
        )
        packed = pack_samples(data)
        digest = self._blobs.put(packed)
        with self._database.transaction() as connection:
            return self.insert(connection, manifest, digest, len(packed))

    def insert(self, connection: Connection, manifest: DatasetManifest, digest: str, size_bytes: int) -> DatasetRecord:
        """The dataset that the caller's transaction will make visible; the blob ``digest`` must be stored before.

        Raises:
            StateConflictError: the job has made a dataset already (reason ALREADY_PUBLISHED); nothing is changed.
            InvalidValueError: the name is not allowed.
        """
        validate_dataset_name(manifest.name)
        row = manifest.model_dump(mode="json") | {"id": uuid.uuid4().hex, "digest": digest, "size_bytes": size_bytes}
        try:
            with connection.begin_nested():
                inserted = insert(datasets).values(**row, created_at=now()).returning(datasets)
                return _record(connection.execute(inserted).one())
        except IntegrityError as error:
            msg = f"job {manifest.job_id!r} has made a dataset already"
            raise StateConflictError(msg, reason="ALREADY_PUBLISHED") from error

    def list(self, page_size: int = 50, page_token: str | None = None) -> Page[DatasetRecord]:
        """The datasets, newest first.

        Raises:
            InvalidValueError: a page size out of range, or a token that this list did not give.
        """
        listing = Listing("datasets", (datasets.c.created_at, datasets.c.id))
        with self._database.read() as connection:
            rows = connection.execute(listing.statement(select(datasets), page_size, page_token)).all()
        return listing.page(rows, page_size, _record)

    def get(self, dataset_id: str) -> DatasetRecord:
        """One dataset.

        Raises:
            NotFoundError: there is none with this id; the message names the newest ones.
        """
        with self._database.read() as connection:
            return _find(connection, dataset_id)

    def read(self, record: DatasetRecord) -> LabelledSamples:
        """The configurations of a dataset and their labels, the digest of the file verified.

        Raises:
            CorruptArtifactError: the stored bytes have changed, or are missing.
            UnavailableError: the store is away.
        """
        try:
            arrays, _ = unpack(self._blobs.get(record.digest))
        except NotFoundError as error:
            msg = f"the data of dataset {record.id} is missing from the artifact store; restore blob {record.digest}"
            raise CorruptArtifactError(msg) from error
        return LabelledSamples(record.space, arrays["samples"], arrays.get("labels"))

    def delete(self, dataset_id: str, used_by: UsedBy) -> None:
        """Forget a dataset; its blob stays until nothing refers to it.

        Raises:
            NotFoundError: there is none with this id.
            StateConflictError: ``used_by`` names a user (reason DATASET_IN_USE).
        """
        with self._database.transaction() as connection:
            _find(connection, dataset_id)
            users = used_by(connection, dataset_id)
            if users:
                msg = f"dataset {dataset_id} is in use by {', '.join(users[:_MAX_SHOWN])}; wait, or cancel first"
                raise StateConflictError(msg, reason="DATASET_IN_USE")
            connection.execute(delete(datasets).where(datasets.c.id == dataset_id))


def _find(connection: Connection, dataset_id: str) -> DatasetRecord:
    row = connection.execute(select(datasets).where(datasets.c.id == dataset_id)).one_or_none()
    if row is not None:
        return _record(row)
    newest = select(datasets.c.id, datasets.c.name).order_by(datasets.c.created_at.desc()).limit(_MAX_SHOWN)
    known = ", ".join(f"{known.id} ({known.name})" for known in connection.execute(newest))
    msg = f"no dataset {dataset_id[:_LONGEST_NAME_SHOWN]!a}; " + (
        f"the newest are {known}" if known else "there is none yet"
    )
    raise NotFoundError(msg, reason="DATASET_NOT_FOUND")


def _record(row: AnyRow) -> DatasetRecord:
    return DatasetRecord.model_validate(dict(row._mapping))
