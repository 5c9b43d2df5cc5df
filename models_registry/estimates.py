"""Free energies that have been estimated, kept for dashboards; and the ranking of the models of one target."""

import uuid
from collections.abc import Sequence
from typing import Final

from pydantic import Field
from sqlalchemy import ColumnElement, Connection, String, cast, func, insert, select

from models_registry.database import Database, now
from models_registry.pages import AnyRow, Listing, Page
from models_registry.tables import estimates, versions
from zoo.specs.base import Spec

MAX_CURVE_POINTS: Final = 1000


class EstimateRecord(Spec):
    """An estimate of beta_f = -ln Z by a version of a model, with its evidence.

    ``standard_error`` is one standard deviation of ``beta_f``; either is None only where ``reliable`` is False.
    ``exact_beta_f`` stands beside the estimate and never entered it.
    """

    id: str = Field(default_factory=lambda: f"est-{uuid.uuid4().hex}", max_length=40)
    model: str
    version: int
    target_kind: str
    target_digest: str
    beta: float
    beta_f: float | None
    standard_error: float | None
    num_samples: int
    effective_sample_size: float | None = None
    pareto_k: float | None = None
    method: str
    reliable: bool
    exact_beta_f: float | None = None
    condition: dict[str, float] | None = None
    """The conditions that the model was given; None for models without."""
    observables: dict[str, dict[str, float | None]] | None = None
    """What was estimated beside beta_f, ``energy`` and ``heat_capacity``: each its ``value``, its ``standard_error``,
    and ``exact`` where that is known."""
    seed: int | None = None
    created_at: float | None = None
    """Seconds since 1970; the database's time when None is stored."""


class Standing(Spec):
    """A version's place among those of its target; the lowest ``variational_beta_f`` is first."""

    rank: int
    model: str
    version: int
    variational_beta_f: float
    standard_error: float | None
    effective_sample_fraction: float | None
    created_at: float


class Estimates:
    """The stored estimates of all models."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def store(self, record: EstimateRecord) -> EstimateRecord:
        """Keep an estimate; returns it with the time at which it was stored.

        Raises:
            UnavailableError: the database is away.
        """
        return self.store_all((record,))[0]

    def store_all(self, records: Sequence[EstimateRecord]) -> tuple[EstimateRecord, ...]:
        """Keep estimates, all or none; returns them with the time at which they were stored.

        Raises:
            UnavailableError: the database is away.
        """
        with self._database.transaction() as connection:
            return tuple(_stored(connection, record) for record in records)

    def curve(self, model: str, version: int | None = None) -> tuple[EstimateRecord, ...]:
        """The newest estimate at each beta, and at each value of the other conditions, the lowest beta first.

        At most ``MAX_CURVE_POINTS``, of all versions of the model or of one.
        """
        own = [estimates.c.model == model] + ([] if version is None else [estimates.c.version == version])
        # as text, since JSON has no equality in PostgreSQL; the names are always in the same order
        others = cast(estimates.c.condition, String)
        newest_first = (estimates.c.created_at.desc(), estimates.c.id.desc())
        age = func.row_number().over(partition_by=(estimates.c.beta, others), order_by=newest_first)
        ranked = select(estimates, age.label("age")).where(*own).subquery()
        columns = [ranked.c[column.name] for column in estimates.columns]
        query = select(*columns).where(ranked.c.age == 1).order_by(ranked.c.beta, ranked.c.created_at, ranked.c.id)
        with self._database.read() as connection:
            rows = connection.execute(query.limit(MAX_CURVE_POINTS)).all()
        return tuple(_record(row) for row in rows)

    def list(
        self,
        *,
        target_kind: str | None = None,
        model: str | None = None,
        version: int | None = None,
        since: float | None = None,
        page_size: int = 50,
        page_token: str | None = None,
    ) -> Page[EstimateRecord]:
        """Stored estimates, newest first: those that agree with every filter given, from ``since`` (included) on.

        Raises:
            InvalidValueError: a page size out of range, or a token that this list did not give.
        """
        equal = {estimates.c.target_kind: target_kind, estimates.c.model: model, estimates.c.version: version}
        conditions: list[ColumnElement[bool]] = [
            column == value for column, value in equal.items() if value is not None
        ]
        if since is not None:
            conditions.append(estimates.c.created_at >= since)
        listing = Listing("estimates", (estimates.c.created_at, estimates.c.id))
        query = select(estimates).where(*conditions)
        with self._database.read() as connection:
            rows = connection.execute(listing.statement(query, page_size, page_token)).all()
        return listing.page(rows, page_size, _record)

    def leaderboard(self, target_digest: str) -> tuple[Standing, ...]:
        """Every version trained on one target that is ready and has a variational free energy, the lowest first."""
        beta_f = versions.c.metrics["variational_beta_f"].as_float()
        query = (
            select(versions)
            .where(versions.c.target_digest == target_digest, versions.c.state == "ready", beta_f.is_not(None))
            .order_by(beta_f, versions.c.created_at)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return tuple(_standing(rank, row) for rank, row in enumerate(rows, start=1))


def _stored(connection: Connection, record: EstimateRecord) -> EstimateRecord:
    values = record.model_dump() | ({"created_at": now()} if record.created_at is None else {})
    return _record(connection.execute(insert(estimates).values(values).returning(estimates)).one())


def _record(row: AnyRow) -> EstimateRecord:
    return EstimateRecord(**row._mapping)


def _standing(rank: int, row: AnyRow) -> Standing:
    return Standing(
        rank=rank,
        model=row.model,
        version=row.version,
        variational_beta_f=row.metrics["variational_beta_f"],
        standard_error=row.metrics.get("standard_error"),
        effective_sample_fraction=row.metrics.get("effective_sample_fraction"),
        created_at=row.created_at,
    )
