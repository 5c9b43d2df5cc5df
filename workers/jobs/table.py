"""The tables of jobs; one row in ``jobs`` is the truth about a job."""

from sqlalchemy import JSON, Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from models_registry.database import METADATA

jobs = Table(
    "jobs",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("spec", JSON, nullable=False),
    Column("caller", String(64), nullable=False),
    Column("idempotency_key", String(255)),
    Column("body_digest", String(64), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("lease_until", Float),
    Column("cancel_requested", Boolean, nullable=False),
    Column("dispatched_at", Float),
    Column("retry_of", String(40)),
    Column("parent", String(40)),
    Column("parent_position", Integer),
    Column("parent_values", JSON),
    Column("progress", JSON, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("result", JSON),
    Column("error", JSON),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    UniqueConstraint("caller", "idempotency_key"),
    Index("ix_jobs_state_priority_created_at", "state", "priority", "created_at"),
    Index("ix_jobs_kind_created_at", "kind", "created_at"),
    Index("ix_jobs_parent_parent_position", "parent", "parent_position"),
)

job_events = Table(
    "job_events",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("job_id", String(40), ForeignKey("jobs.id"), nullable=False),
    Column("type", String(16), nullable=False),
    Column("data", JSON, nullable=False),
    Column("at", Float, nullable=False),
    Index("ix_job_events_job_id_id", "job_id", "id"),
)

job_metrics = Table(
    "job_metrics",
    METADATA,
    Column("job_id", String(40), ForeignKey("jobs.id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("value", Float, nullable=False),
)

job_logs = Table(
    "job_logs",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("job_id", String(40), ForeignKey("jobs.id"), nullable=False),
    Column("at", Float, nullable=False),
    Column("line", Text, nullable=False),
    Index("ix_job_logs_job_id_id", "job_id", "id"),
)
