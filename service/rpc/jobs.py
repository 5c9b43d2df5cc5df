"""The gRPC service Jobs: submit, read, cancel, retry and watch jobs."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc

from service.context import Context
from service.rest.bodies import json_from_bytes
from service.rpc.documents import documents, fitting_page, page_size, timestamp
from service.rpc.status import statuses, statuses_streaming
from service.rpc.tensors import refused
from service.rpc.v1 import jobs_pb2 as pb
from service.rpc.v1 import jobs_pb2_grpc
from service.use_cases.cancel_job import cancel_job
from service.use_cases.follow_job import follow_job
from service.use_cases.off_the_loop import off_the_loop
from service.use_cases.read_job import JobFilter, read_children, read_job, read_jobs
from service.use_cases.retry_job import retry_job
from service.use_cases.submit_job import submit_job
from workers.jobs.read import Job
from workers.jobs.states import JobState
from zoo.specs.errors import UnavailableError

Call: TypeAlias = grpc.aio.ServicerContext

CALLER = "local"
"""Whose idempotency keys these are: the same caller's as in REST, so that a key means one job in both."""
_LONGEST_KEY = 255
_PREFIX = "JOB_STATE_"


class Jobs(jobs_pb2_grpc.JobsServicer):  # type: ignore[misc]  # generated code has no types
    """Jobs, by the use cases of REST."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @statuses
    async def Create(self, request: pb.CreateJobRequest, call: Call) -> pb.Job:  # noqa: N802 - gRPC's name
        """A queued job; the same idempotency key and spec give the same job."""
        key, text = _key(request.idempotency_key), request.spec_json.encode()
        data = await off_the_loop(len(text), json_from_bytes, text, self._context.settings)
        job, _ = await submit_job(self._context, data, CALLER, key)
        return await self._shown(job)

    @statuses
    async def Get(self, request: pb.GetJobRequest, call: Call) -> pb.Job:  # noqa: N802 - gRPC's name
        """One job; of a parent, its children too."""
        return await self._shown(await read_job(self._context, request.id))

    @statuses
    async def List(self, request: pb.ListJobsRequest, call: Call) -> pb.ListJobsReply:  # noqa: N802 - gRPC's name
        """Jobs, newest first, without their specs."""
        chosen = JobFilter(_state(request.state), request.kind or None, request.parent or None)

        async def page(size: int) -> pb.ListJobsReply:
            jobs, token = await read_jobs(self._context, chosen, size, request.page_token or None)
            return pb.ListJobsReply(jobs=[_message(job, spec=None) for job in jobs], next_page_token=token)

        return await fitting_page(page, page_size(request.page_size))

    @statuses
    async def Cancel(self, request: pb.CancelJobRequest, call: Call) -> pb.Job:  # noqa: N802 - gRPC's name
        """Asks a job to stop, or a parent and all its children."""
        job, _ = await cancel_job(self._context, request.id)
        return await self._shown(job)

    @statuses
    async def Retry(self, request: pb.RetryJobRequest, call: Call) -> pb.Job:  # noqa: N802 - gRPC's name
        """A new job with the spec of a failed or cancelled one."""
        job = await retry_job(self._context, request.id, CALLER, _key(request.idempotency_key))
        return await self._shown(job)

    @statuses_streaming
    async def Watch(self, request: pb.WatchJobRequest, call: Call) -> AsyncGenerator[pb.JobEvent, None]:  # noqa: N802 - gRPC's name
        """The events of a job after ``last_event_id``; they end with the job."""
        if request.last_event_id < 0:
            raise refused("last_event_id", f"{request.last_event_id} came; the id of an event was expected, or 0")
        last_id = request.last_event_id
        async with aclosing(follow_job(self._context, request.id, last_id)) as events:
            async for event in events:
                if event is not None:
                    last_id = event["id"]
                    yield _event(event)
        if self._context.draining:
            msg = f"this gateway is shutting down; watch again with last_event_id {last_id}"
            raise UnavailableError(msg, reason="DRAINING")

    async def _shown(self, job: Job) -> pb.Job:
        """The job, with its children where it is a parent."""
        children = await read_children(self._context, job)
        message = _message(job, spec=job.spec)
        message.children.extend(_child(child) for child in children or ())
        return message


def _message(job: Job, spec: dict[str, Any] | None) -> pb.Job:
    objects = {"spec": spec, "progress": job.progress, "metrics": job.metrics, "result": job.result}
    return pb.Job(
        **documents(objects),
        id=job.id,
        kind=job.kind,
        state=_state_message(job.state),
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        cancel_requested=job.cancel_requested,
        created_at=timestamp(job.created_at),
        started_at=timestamp(job.started_at),
        finished_at=timestamp(job.finished_at),
        retry_of=job.retry_of,
        parent=job.parent,
        error=None if job.error is None else pb.JobError(**_error(job.error)),
    )


def _error(error: dict[str, Any]) -> dict[str, str]:
    return {name: str(error.get(name) or "") for name in ("type", "title", "detail", "reason")}


def _child(child: dict[str, Any]) -> pb.ChildJob:
    values = documents({"values": child["values"]})["values_json"]
    return pb.ChildJob(id=child["id"], state=_state_message(child["state"]), values_json=values, model=child["model"])


def _event(event: dict[str, Any]) -> pb.JobEvent:
    data, is_state = event["data"], event["type"] == "state"
    return pb.JobEvent(
        id=event["id"],
        type=event["type"],
        data_json=documents({"data": data}).get("data_json"),
        state=_state_message(data["state"]) if is_state else None,
        at=timestamp(event["at"]),
    )


def _state_message(state: str) -> pb.JobState:
    value: pb.JobState = pb.JobState.Value(_PREFIX + state.upper())
    return value


def _state(asked: int) -> JobState | None:
    """The state that a list is asked for; None means any.

    Raises:
        InvalidValueError: a number that is no state.
    """
    if asked == pb.JOB_STATE_UNSPECIFIED:
        return None
    if asked not in pb.JobState.values():
        known = ", ".join(f"{name} ({number})" for name, number in pb.JobState.items())
        raise refused("state", f"{asked} is not known; the known ones are {known}")
    return JobState(pb.JobState.Name(asked).removeprefix(_PREFIX).lower())


def _key(key: str) -> str | None:
    if len(key) > _LONGEST_KEY:
        raise refused("idempotency_key", f"has {len(key)} characters; at most {_LONGEST_KEY} were expected")
    return key or None
