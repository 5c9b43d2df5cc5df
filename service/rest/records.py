"""The registry's records as the API shows them: times are ISO 8601 in UTC outside, seconds since 1970 inside."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from models_registry.aliases import AliasMove, AliasRecord

_TIMES = ("created_at", "updated_at", "at")


def shown(record: BaseModel | AliasRecord | AliasMove) -> dict[str, Any]:
    """The fields of a record, its times as text."""
    fields = record.model_dump(mode="json") if isinstance(record, BaseModel) else asdict(record)
    return fields | {name: to_text(fields[name]) for name in _TIMES if name in fields}


def to_text(seconds: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def to_seconds(moment: datetime | None) -> float | None:
    """A time as seconds since 1970; without a zone it is taken as UTC."""
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
