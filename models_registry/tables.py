"""The tables of the registry."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
)

from models_registry.database import METADATA

models = Table(
    "models",
    METADATA,
    Column("name", String(63), primary_key=True),
    # Numbers are never given twice, even when the newest version is deleted.
    Column("last_version", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
)

versions = Table(
    "versions",
    METADATA,
    Column("model", String(63), ForeignKey("models.name"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("job_id", String(40), nullable=False, unique=True),
    Column("target", JSON, nullable=False),  # JSON's null where a version was learnt from data alone
    Column("space", JSON(none_as_null=True)),
    Column("model_spec", JSON, nullable=False),
    Column("objective", JSON, nullable=False),
    Column("training", JSON, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("dataset", String(64)),
    Column("parent", JSON(none_as_null=True)),
    Column("metrics", JSON, nullable=False),
    Column("target_digest", String(64), nullable=False, index=True),
    Column("libraries", JSON, nullable=False),
    Column("digest", String(64), nullable=False, index=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", Float, nullable=False),
)

aliases = Table(
    "aliases",
    METADATA,
    Column("model", String(63), primary_key=True),
    Column("alias", String(63), primary_key=True),
    Column("version", Integer, nullable=False),
    # The row of alias_history that put the alias where it is: its entity tag.
    Column("move", Integer, ForeignKey("alias_history.id"), nullable=False),
    Column("updated_at", Float, nullable=False),
    ForeignKeyConstraint(["model", "version"], ["versions.model", "versions.version"]),
)

alias_history = Table(
    "alias_history",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("model", String(63), nullable=False),
    Column("alias", String(63), nullable=False),
    Column("version", Integer, nullable=False),
    Column("previous_version", Integer),
    Column("action", String(16), nullable=False),
    Column("forced", Boolean, nullable=False),
    Column("caller", String(64), nullable=False),
    Column("at", Float, nullable=False),
    Index("ix_alias_history_model_alias_id", "model", "alias", "id"),
)

estimates = Table(
    "estimates",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("model", String(63), nullable=False),
    Column("version", Integer, nullable=False),
    Column("target_kind", String(63), nullable=False),
    Column("target_digest", String(64), nullable=False),
    Column("beta", Float, nullable=False),
    Column("beta_f", Float),
    Column("standard_error", Float),
    Column("num_samples", BigInteger, nullable=False),
    Column("effective_sample_size", Float),
    Column("pareto_k", Float),
    Column("method", String(32), nullable=False),
    Column("reliable", Boolean, nullable=False),
    Column("exact_beta_f", Float),
    Column("condition", JSON(none_as_null=True)),
    Column("observables", JSON(none_as_null=True)),
    Column("seed", BigInteger),
    Column("created_at", Float, nullable=False),
    Index("ix_estimates_created_at_id", "created_at", "id"),
    Index("ix_estimates_model_version", "model", "version"),
    Index("ix_estimates_target_digest", "target_digest"),
)

datasets = Table(
    "datasets",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("name", String(63), nullable=False),
    Column("space", JSON, nullable=False),
    Column("num_samples", BigInteger, nullable=False),
    Column("labels", Boolean, nullable=False),
    Column("source", JSON, nullable=False),
    # A job makes at most one dataset, however often its worker commits.
    Column("job_id", String(40), unique=True),
    Column("digest", String(64), nullable=False, index=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
    Index("ix_datasets_created_at_id", "created_at", "id"),
)
