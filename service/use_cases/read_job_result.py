"""Read the files that a job has left: which ones, and their bytes."""

from collections.abc import Iterator
from dataclasses import dataclass

from anyio.to_thread import run_sync

from models_registry.composite_files import CompositeFile, FileSet
from service.context import Context
from service.use_cases.read_job import read_job
from workers.jobs.read import Job
from workers.jobs.states import JobState
from zoo.specs.errors import CorruptArtifactError, NotFoundError, StateConflictError

_WITH_FILES = frozenset({"sample"})

_INSTEAD = {
    "train": "it publishes a version, whose weights are at GET /v1/models/{model}/versions/{version}/weights",
    "dataset": "it makes a dataset, which is at GET /v1/datasets/{id}/samples",
}
"""Where the outcome of other kinds is, apart from ``result`` in the job."""


@dataclass(frozen=True)
class JobFile:
    """A file that a job has left, and its bytes in order, each verified before it is given."""

    job_id: str
    file: CompositeFile
    pieces: Iterator[memoryview]


async def read_job_file(context: Context, job_id: str, file_format: str) -> JobFile:
    """The result of a job as a file of this format.

    Raises:
        NotFoundError: no such job, or its kind leaves no file (reason NO_RESULT_FILE).
        StateConflictError: it has not ended (JOB_NOT_FINISHED), or ended without a result (JOB_WITHOUT_RESULT).
        CorruptArtifactError: the list of the file's parts has changed, or is missing.
    """
    job = await read_job(context, job_id)
    digest = _artifact_of(job)
    try:
        files = await run_sync(FileSet.read, digest, context.blobs)
    except NotFoundError as error:
        msg = f"the file of job {job.id} is missing from the artifact store; restore blob {digest}, or retry the job"
        raise CorruptArtifactError(msg) from error
    file = files.files[file_format]
    return JobFile(job.id, file, file.pieces(context.blobs))


def _artifact_of(job: Job) -> str:
    """The digest of the list of the job's files."""
    if job.kind not in _WITH_FILES:
        where = _INSTEAD.get(job.kind, f"its outcome is `result` of GET /v1/jobs/{job.id}")
        msg = f"job {job.id} is of kind {job.kind!r}, which leaves no file; {where}"
        raise NotFoundError(msg, reason="NO_RESULT_FILE")
    if not JobState(job.state).finished:
        msg = f"job {job.id} is {job.state}; its file is there when it has succeeded"
        raise StateConflictError(msg, reason="JOB_NOT_FINISHED")
    if job.result is None:
        msg = f"job {job.id} ended without a result (state: {job.state}); POST /v1/jobs/{job.id}:retry draws it again"
        raise StateConflictError(msg, reason="JOB_WITHOUT_RESULT")
    return str(job.result["artifact"])
