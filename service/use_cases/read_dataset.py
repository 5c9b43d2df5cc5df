"""Read datasets: a page, one, its configurations; and delete one that nothing needs."""

from anyio.to_thread import run_sync
from sqlalchemy import Connection, Text, cast, select

from models_registry.datasets import DatasetRecord
from models_registry.pages import Page
from service.context import Context
from workers.jobs.states import TERMINAL
from workers.jobs.table import jobs
from zoo.specs.datasets import LabelledSamples


async def read_datasets(context: Context, page_size: int, page_token: str | None) -> Page[DatasetRecord]:
    """A page of datasets, newest first."""
    return await run_sync(context.datasets.list, page_size, page_token)


async def read_dataset(context: Context, dataset_id: str) -> DatasetRecord:
    """The dataset; NotFoundError when there is none."""
    return await run_sync(context.datasets.get, dataset_id)


async def read_samples_of(context: Context, record: DatasetRecord) -> LabelledSamples:
    """The configurations of a dataset, verified.

    Raises:
        CorruptArtifactError: the stored bytes have changed.
    """
    return await run_sync(context.datasets.read, record)


async def delete_dataset(context: Context, dataset_id: str) -> None:
    """Forget a dataset.

    Raises:
        NotFoundError: there is none with this id.
        StateConflictError: a job that has not ended names it.
    """
    await run_sync(context.datasets.delete, dataset_id, jobs_that_name)


def jobs_that_name(connection: Connection, dataset_id: str) -> list[str]:
    """The jobs, queued or running, whose spec names a dataset: it is looked for in the text, its id being unique."""
    unfinished = jobs.c.state.not_in([state.value for state in TERMINAL])
    naming = cast(jobs.c.spec, Text).contains(dataset_id, autoescape=True)
    found = connection.execute(select(jobs.c.id).where(unfinished, naming).order_by(jobs.c.created_at))
    return [f"job {job_id}" for job_id in found.scalars()]
