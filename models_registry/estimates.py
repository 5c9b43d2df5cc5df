"""Free energies that have been estimated, kept for dashboards; and the ranking of the models of one target."""

import uuid

from pydantic import Field
from sqlalchemy import ColumnElement, insert, select

from models_registry.database import Database, now
from models_registry.pages import AnyRow, Listing, Page
from models_registry.tables import estimates, versions
from zoo.specs.base import Spec


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
        values = record.model_dump() | ({"created_at": now()} if record.created_at is None else {})
        with self._database.transaction() as connection:
            return _record(connection.execute(insert(estimates).values(values).returning(estimates)).one())

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
