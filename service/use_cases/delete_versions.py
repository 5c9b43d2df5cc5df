"""Delete a version, or a model with all of its versions, that nothing needs."""

from functools import partial

from anyio.to_thread import run_sync
from sqlalchemy import ColumnElement, Connection, and_, or_, select

from service.context import Context
from workers.jobs.states import TERMINAL
from workers.jobs.table import jobs


async def delete_version(context: Context, model: str, ref: str) -> None:
    """Forget the version that ``ref`` means.

    Raises:
        NotFoundError: there is none.
        StateConflictError: an alias points at it, or a job that has not ended needs it.
    """
    record = await run_sync(context.versions.get, model, ref)
    await run_sync(partial(context.versions.delete_version, model, record.version, used_by=jobs_that_use))


async def delete_model(context: Context, model: str) -> None:
    """Forget every version of a model.

    Raises:
        NotFoundError: there is no such model.
        StateConflictError: an alias points at one of them, or a job that has not ended needs one.
    """
    await run_sync(partial(context.versions.delete_model, model, used_by=jobs_that_use))


def jobs_that_use(connection: Connection, model: str, version: int | None) -> list[str]:
    """The jobs, not ended yet, that draw from a version, learn its density, or begin with its weights; None: any."""
    unfinished = jobs.c.state.not_in([state.value for state in TERMINAL])
    using = or_(_draws_from(model, version), _begins_with(model, version), _learns_from(model, version))
    found = connection.execute(select(jobs.c.id).where(unfinished, using).order_by(jobs.c.created_at))
    return [f"job {job_id}" for job_id in found.scalars()]


def _draws_from(model: str, version: int | None) -> ColumnElement[bool]:
    named = and_(jobs.c.kind == "sample", jobs.c.spec["model"].as_string() == model)
    return named if version is None else and_(named, jobs.c.spec["ref"].as_string() == str(version))


def _begins_with(model: str, version: int | None) -> ColumnElement[bool]:
    named = and_(jobs.c.kind == "train", jobs.c.spec[("init_from", "model")].as_string() == model)
    return named if version is None else and_(named, jobs.c.spec[("init_from", "version")].as_integer() == version)


def _learns_from(model: str, version: int | None) -> ColumnElement[bool]:
    teacher = ("objective", "teacher")
    named = and_(jobs.c.kind == "train", jobs.c.spec[(*teacher, "model")].as_string() == model)
    return named if version is None else and_(named, jobs.c.spec[(*teacher, "version")].as_integer() == version)
