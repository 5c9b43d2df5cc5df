"""Jobs: submitting, watching, cancelling."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from helmholtz.connection import Call, json_call, path_of
from helmholtz.errors import JobCancelledError, JobFailedError
from helmholtz.events import Event, Follower
from helmholtz.results import Dataset, Job, LogLine, Point
from helmholtz.room import Room
from helmholtz.zoo import Spec


def path_of_job(job: Job | str) -> str:
    """Where a job is."""
    return path_of("jobs", job.id if isinstance(job, Job) else job)


class JobCalls(Room):
    """The calls under /v1/jobs.  Wherever a job is named, its id or the ``Job`` itself will do."""

    def submit(self, job: Mapping[str, Any], *, idempotency_key: str | None = None) -> Job:
        """The job made from a whole job document, ``{"kind": "train", ...}``.

        Sent again with the same ``idempotency_key`` it is the same job; without one, a new key is drawn, so that a
        broken connection never makes two jobs of one call.
        """
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return Job.read(self._connection.json(json_call(path_of("jobs"), job, headers)))

    def train(
        self,
        target: Spec | None,
        model: Spec,
        objective: Spec | None = None,
        training: Spec | None = None,
        *,
        data: Spec | Dataset | None = None,
        publish: str | Spec | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """The job that trains ``model`` on ``target``, from ``data``, or from both; the rest has defaults that work.

        ``data`` is a dataset of the service, or a builtin with its options: ``{"builtin": "digits"}``.

        ``publish`` names where the version goes: a model name, or ``{"model": ..., "alias": ...}``.
        """
        job = {
            "kind": "train",
            "target": target,
            "data": {"dataset": data.id} if isinstance(data, Dataset) else data,
            "model": model,
            "objective": objective,
            "training": training,
            "publish": {"model": publish} if isinstance(publish, str) else publish,
        }
        return self.submit(job, idempotency_key=idempotency_key)

    def sweep(
        self,
        train: Mapping[str, Any],
        grid: Mapping[str, Sequence[Any]] | None = None,
        points: Sequence[Mapping[str, Any]] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Job:
        """The parent of one train job for each combination of values: ``grid={"target.beta": [0.3, 0.44]}``.

        ``points`` names the combinations themselves instead: ``[{"target.beta": 0.3, "model.width": 64}, ...]``.
        """
        swept = {name: value for name, value in (("grid", grid), ("list", points)) if value is not None}
        return self.submit({"kind": "sweep", "train": train} | swept, idempotency_key=idempotency_key)

    def job(self, job: Job | str) -> Job:
        """The job as it stands now."""
        return Job.read(self._connection.get(path_of_job(job)))

    def jobs(
        self,
        state: str | None = None,
        kind: str | None = None,
        limit: int | None = 100,
        *,
        parent: Job | str | None = None,
    ) -> list[Job]:
        """At most ``limit`` jobs in the service's order, of one state, one kind or one parent where asked."""
        page_size = None if limit is None else min(limit, 100)
        of = parent.id if isinstance(parent, Job) else parent
        found = self._connection.pages(
            path_of("jobs"), "jobs", limit, state=state, kind=kind, parent=of, page_size=page_size
        )
        return [Job.read(entry) for entry in found]

    def cancel(self, job: Job | str) -> Job:
        """The job, asked to stop, and with a sweep all its children; it is over when its state says so.

        Raises:
            ConflictError: reason ``JOB_FINISHED``.
        """
        return Job.read(self._connection.json(Call("POST", path_of_job(job) + ":cancel")))

    def retry(self, job: Job | str, *, idempotency_key: str | None = None) -> Job:
        """A new job with the same spec, its ``retry_of`` naming the old one."""
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return Job.read(self._connection.json(Call("POST", path_of_job(job) + ":retry", headers=headers)))

    def events(self, job: Job | str, after: str | int | None = None) -> Iterator[Event]:
        """The events of a job until its last, as they come; those up to number ``after`` are left out.

        A broken connection is resumed where it broke, without loss or repetition.
        """
        return self._follower(job).events(None if after is None else str(after))

    def wait(
        self,
        job: Job | str,
        on_event: Callable[[Event], None] | None = None,
        timeout: float | None = None,
    ) -> Job:
        """The finished job; ``on_event`` sees each of its events on the way.

        Raises:
            JobFailedError, JobCancelledError: it ended without a result.
            WaitTimeoutError: it has not ended after ``timeout`` seconds; it goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        for event in self._follower(job, deadline).events():
            if on_event is not None:
                on_event(event)
        return _succeeded(self.job(job))

    def metrics(self, job: Job | str, name: str = "loss") -> list[Point]:
        """One training series so far: ``loss``, ``variational_beta_f``, ``effective_sample_fraction``, ..."""
        series = self._connection.get(path_of_job(job) + "/metrics", name=name)
        return [Point.read(point) for point in series.get("points", ())]

    def logs(self, job: Job | str) -> list[LogLine]:
        """The lines that a job wrote."""
        return [LogLine.read(line) for line in self._connection.pages(path_of_job(job) + "/logs", "lines")]

    def _follower(self, job: Job | str, deadline: float | None = None) -> Follower:
        return Follower(self._connection, path_of_job(job) + "/events", lambda: self.job(job).finished, deadline)


def _succeeded(job: Job) -> Job:
    if job.state == "failed":
        why = job.error.detail or job.error.title if job.error else "the service gives no reason"
        msg = f"job {job.id} failed: {why}"
        raise JobFailedError(msg, job_id=job.id, state=job.state)
    if job.state == "cancelled":
        msg = f"job {job.id} was cancelled"
        raise JobCancelledError(msg, job_id=job.id, state=job.state)
    return job
