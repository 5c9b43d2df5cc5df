"""A parent job and its children: the parent's row follows from the children's, in the transactions that change them.

No worker ever owns a parent.  Rows are locked in one order, children before their parent and a parent last, so that
transactions that meet at a parent wait for each other and never in a circle; what is read of the children after the
parent's row is locked includes every transition that was committed before.
"""

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Connection, func, select, update

from models_registry.database import now
from workers.jobs.events import record_event, record_state
from workers.jobs.states import TERMINAL, JobState
from workers.jobs.table import jobs

PARENT_KINDS: Final = frozenset({"sweep"})
"""Kinds of job that have children and are never run themselves."""

_STEP = 0.01  # of the fraction: smaller ones are not told
_MOST_LISTED = 10
_LONGEST_REASON = 200
_TERMINAL_VALUES = [state.value for state in TERMINAL]


def update_parents(connection: Connection, parent_ids: Iterable[str | None]) -> None:
    """Bring parents up to date with their children, inside the transaction that has changed these; None is nobody.

    This is the last thing that the transaction locks.
    """
    for parent_id in sorted({name for name in parent_ids if name is not None}):
        _update_parent(connection, parent_id)


def lock_unfinished_children(connection: Connection, parent_id: str) -> None:
    """Keep everybody else from changing the children that have not ended."""
    query = select(jobs.c.id).where(jobs.c.parent == parent_id, jobs.c.state.not_in(_TERMINAL_VALUES))
    connection.execute(query.order_by(jobs.c.id).with_for_update()).all()


def cancel_children(connection: Connection, parent_id: str) -> None:
    """Cancel the children that are queued, and ask those that run to stop; the caller has locked them."""
    mine = jobs.c.parent == parent_id
    query = select(jobs.c.id).where(mine, jobs.c.state == JobState.QUEUED.value).order_by(jobs.c.parent_position)
    for child_id in connection.execute(query).scalars().all():
        record_state(connection, child_id, JobState.CANCELLED, why="the whole sweep was cancelled")
    asked = update(jobs).where(mine, jobs.c.state.not_in(_TERMINAL_VALUES)).values(cancel_requested=True)
    connection.execute(asked)
    ended = update(jobs).where(mine, jobs.c.state == JobState.QUEUED.value)
    connection.execute(ended.values(state=JobState.CANCELLED.value, finished_at=now()))


def list_children(connection: Connection, parent_id: str) -> list[dict[str, Any]]:
    """The children of a job in their order: ``id``, ``state``, ``values``, ``model``."""
    model = jobs.c.spec[("publish", "model")].as_string()
    query = select(jobs.c.id, jobs.c.state, jobs.c.parent_values, model).where(jobs.c.parent == parent_id)
    rows = connection.execute(query.order_by(jobs.c.parent_position))
    return [dict(zip(("id", "state", "values", "model"), row, strict=True)) for row in rows]


def starting_progress(num_children: int) -> dict[str, Any]:
    """The progress of a parent whose children are all queued."""
    return _progress({JobState.QUEUED: num_children}, 0.0, None)


def _update_parent(connection: Connection, parent_id: str) -> None:
    row = (
        connection.execute(
            select(jobs.c.state, jobs.c.progress, jobs.c.cancel_requested, (now() - jobs.c.started_at).label("elapsed"))
            .where(jobs.c.id == parent_id)
            .with_for_update()
        )
        .mappings()
        .one()
    )
    before = JobState(row["state"])
    counts = _counts(connection, parent_id)
    progress = _progress(counts, _fraction(connection, parent_id, counts), row["elapsed"])
    state = _state(before, counts, cancel_requested=row["cancel_requested"])
    changes: dict[str, Any] = {}
    if _worth_telling(row["progress"], progress):
        changes["progress"] = progress
        record_event(connection, parent_id, "progress", progress)
    if state is not before:
        changes |= {"state": state.value} | _consequences(connection, parent_id, state)
        record_state(connection, parent_id, state)
    if changes:
        connection.execute(update(jobs).where(jobs.c.id == parent_id).values(**changes))


def _state(before: JobState, counts: dict[JobState, int], *, cancel_requested: bool) -> JobState:
    """What the parent's state follows to be; once it has run it is running until all children have ended."""
    total = sum(counts.values())
    if sum(counts.get(state, 0) for state in TERMINAL) < total:
        return JobState.RUNNING if counts.get(JobState.RUNNING, 0) else before
    if counts.get(JobState.SUCCEEDED, 0) == total:
        return JobState.SUCCEEDED
    return JobState.CANCELLED if cancel_requested else JobState.FAILED


def _consequences(connection: Connection, parent_id: str, state: JobState) -> dict[str, Any]:
    """The other columns of a parent that enters a state."""
    if not state.finished:
        return {"started_at": now()}
    changes: dict[str, Any] = {"finished_at": now(), "result": {"versions": _versions(connection, parent_id)}}
    if state is JobState.FAILED:
        changes["error"] = _error(connection, parent_id)
    return changes


def _counts(connection: Connection, parent_id: str) -> dict[JobState, int]:
    query = select(jobs.c.state, func.count()).where(jobs.c.parent == parent_id).group_by(jobs.c.state)
    return {JobState(state): number for state, number in connection.execute(query)}


def _fraction(connection: Connection, parent_id: str, counts: dict[JobState, int]) -> float:
    """The mean over the children of how far they have come; those that have ended, however they did, all the way."""
    begun = select(jobs.c.progress).where(
        jobs.c.parent == parent_id, jobs.c.state.not_in(_TERMINAL_VALUES), jobs.c.started_at.is_not(None)
    )
    done = sum(float(progress.get("fraction") or 0.0) for progress in connection.execute(begun).scalars())
    ended = sum(counts.get(state, 0) for state in TERMINAL)
    return (ended + done) / sum(counts.values())


def _progress(counts: dict[JobState, int], fraction: float, elapsed: float | None) -> dict[str, Any]:
    """Fraction of 1, seconds that are left if it goes on as it has, and how many children are in each state."""
    total = sum(counts.values())
    ended = sum(counts.get(state, 0) for state in TERMINAL)
    left = None if elapsed is None or fraction == 0 else max(elapsed, 0.0) * (1 - fraction) / fraction
    return {
        "fraction": fraction,
        "eta_seconds": left,
        "stage": f"{ended} of {total} jobs ended",
        "counts": {state.value: counts.get(state, 0) for state in JobState},
    }


def _worth_telling(before: dict[str, Any], after: dict[str, Any]) -> bool:
    moved = abs(float(after["fraction"]) - float(before.get("fraction", 0.0)))
    return moved >= _STEP or before.get("counts") != after["counts"]


def _versions(connection: Connection, parent_id: str) -> list[dict[str, Any]]:
    """What the children that succeeded have published, in the children's order."""
    query = select(jobs.c.id, jobs.c.parent_values, jobs.c.result).where(
        jobs.c.parent == parent_id, jobs.c.state == JobState.SUCCEEDED.value
    )
    found = connection.execute(query.order_by(jobs.c.parent_position))
    return [
        {
            "job": job_id,
            "values": values,
            "model": (result or {}).get("model"),
            "version": (result or {}).get("version"),
        }
        for job_id, values, result in found
    ]


def _error(connection: Connection, parent_id: str) -> dict[str, Any]:
    """The error of a parent of which a child has failed, or was cancelled by itself."""
    mine = jobs.c.parent == parent_id
    total = connection.execute(select(func.count()).where(mine)).scalar_one()
    query = select(jobs.c.id, jobs.c.parent_position, jobs.c.state, jobs.c.error).where(
        mine, jobs.c.state != JobState.SUCCEEDED.value
    )
    rows = connection.execute(query.order_by(jobs.c.parent_position)).mappings().all()
    listed = "; ".join(_why(dict(row)) for row in rows[:_MOST_LISTED])
    more = f"; and {len(rows) - _MOST_LISTED} more" if len(rows) > _MOST_LISTED else ""
    return {
        "type": "about:blank",
        "title": "Not every job of the sweep succeeded",
        "detail": f"{len(rows)} of {total} jobs did not succeed: {listed}{more}",
        "reason": "SWEEP_INCOMPLETE",
    }


def _why(row: dict[str, Any]) -> str:
    error = row["error"] or {}
    detail = str(error.get("detail", ""))
    if len(detail) > _LONGEST_REASON:
        detail = detail[: _LONGEST_REASON - 3] + "..."
    reason = f" ({error.get('reason')}: {detail})" if error else ""
    return f"number {row['parent_position']}, job {row['id']}, {row['state']}{reason}"
