"""The history of a job: what happened, in the order in which it was committed."""

from typing import Any

from sqlalchemy import Connection, insert, select

from models_registry.database import now
from workers.jobs.states import JobState
from workers.jobs.table import job_events


def record_event(connection: Connection, job_id: str, event_type: str, data: dict[str, Any]) -> None:
    """Append one event inside the caller's transaction."""
    connection.execute(insert(job_events).values(job_id=job_id, type=event_type, data=data, at=now()))


def record_state(connection: Connection, job_id: str, state: JobState, **detail: object) -> None:
    """Append the event that says a job has entered ``state``."""
    record_event(connection, job_id, "state", {"state": state.value, **detail})


def events_after(connection: Connection, job_id: str, last_id: int, limit: int = 500) -> list[dict[str, Any]]:
    """The events of a job with an id above ``last_id``, oldest first: ``id``, ``type``, ``data``, ``at``."""
    query = (
        select(job_events.c.id, job_events.c.type, job_events.c.data, job_events.c.at)
        .where(job_events.c.job_id == job_id, job_events.c.id > last_id)
        .order_by(job_events.c.id)
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(query).mappings()]
