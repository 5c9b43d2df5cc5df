"""Routes of the jobs."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import orjson
from fastapi import Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from service.context import Context
from service.rest.bodies import read_object
from service.rest.dependencies import ContextOf, caller_of
from service.rest.encoding import json_response, negotiate, not_modified
from service.rest.formats.media_types import NPZ, SAFETENSORS
from service.rest.openapi import Responses, also_as, json_body_of_kinds, problems
from service.rest.records import to_text
from service.rest.routing import make_router
from service.rest.server_sent import as_event, as_stream
from service.use_cases.cancel_job import cancel_job
from service.use_cases.follow_job import follow_job
from service.use_cases.read_job import JobFilter, read_children, read_job, read_jobs, read_log, read_metric
from service.use_cases.read_job_result import read_job_file
from service.use_cases.retry_job import retry_job
from service.use_cases.submit_job import submit_job
from workers.jobs.read import Job
from workers.jobs.states import JobState
from workers.kinds.table import KIND_NAMES
from zoo.specs.errors import InvalidValueError

router = make_router("/v1/jobs", "jobs")

IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255)]
PageSize = Annotated[int, Query(ge=1, le=1000)]
FileFormat = Annotated[
    Literal["npz", "safetensors"] | None, Query(alias="format", description="Format; default: what Accept prefers")
]

_FORMATS = {"npz": NPZ, "safetensors": SAFETENSORS}
_FILES: Responses = also_as(NPZ, SAFETENSORS) | problems(404, 406, 409)

_KEEP_ALIVE_POLLS = 40  # a comment every ten seconds keeps proxies from closing a silent stream


@router.post("", openapi_extra=json_body_of_kinds(*KIND_NAMES.values()), status_code=202)
async def create(request: Request, context: ContextOf, idempotency_key: IdempotencyKey = None) -> Response:
    """Submit a job; the same Idempotency-Key and body give the same job."""
    data = await read_object(request, context.settings)
    job, _ = await submit_job(context, data, caller_of(request), idempotency_key)
    return accepted(await _shown(context, job))


@router.get("")
async def index(
    context: ContextOf,
    state: JobState | None = None,
    kind: str | None = None,
    parent: str | None = None,
    page_size: PageSize = 100,
    page_token: str | None = None,
) -> Response:
    """Jobs, newest first; with ``parent``, the children of one."""
    chosen = JobFilter(state, kind, parent)
    page, next_token = await read_jobs(context, chosen, page_size, page_token)
    return json_response({"jobs": [as_json(job) for job in page], "next_page_token": next_token})


@router.get("/{job_id:segment}")
async def get(job_id: str, context: ContextOf) -> Response:
    """One job; of a parent, its children too."""
    return json_response(await _shown(context, await read_job(context, job_id)))


@router.post("/{job_id:segment}:cancel", status_code=202)
async def cancel(job_id: str, context: ContextOf) -> Response:
    """Ask a job to stop, or a parent and all its children; 202 the first time, 200 when it was asked before."""
    job, first = await cancel_job(context, job_id)
    return json_response(await _shown(context, job), 202 if first else 200)


@router.post("/{job_id:segment}:retry", status_code=202)
async def retry(job_id: str, request: Request, context: ContextOf, idempotency_key: IdempotencyKey = None) -> Response:
    """A new job with the spec of a failed or cancelled one."""
    job = await retry_job(context, job_id, caller_of(request), idempotency_key)
    return accepted(await _shown(context, job))


@router.get("/{job_id:segment}/metrics")
async def metrics(job_id: str, context: ContextOf, name: str = "loss") -> Response:
    """The series of one metric so far."""
    points = await read_metric(context, job_id, name)
    return json_response({"name": name, "points": [{"step": step, "value": value} for step, value in points]})


@router.get("/{job_id:segment}/result", response_class=StreamingResponse, responses=_FILES)
async def result(job_id: str, request: Request, context: ContextOf, file_format: FileFormat = None) -> Response:
    """The file that a job of kind ``sample`` has left, its digest in the ETag; 304 when If-None-Match names it."""
    media_type = negotiate(request, (NPZ, SAFETENSORS)) if file_format is None else _FORMATS[file_format]
    suffix = next(name for name, kind in _FORMATS.items() if kind == media_type)
    found = await read_job_file(context, job_id, suffix)
    headers = {
        "ETag": f'"{found.file.digest}"',
        "Content-Length": str(found.file.size_bytes),
        "Content-Disposition": f'attachment; filename="{found.job_id}.{suffix}"',
        "Vary": "Accept",
    }
    unchanged = not_modified(request, headers["ETag"])
    return unchanged or StreamingResponse(found.pieces, headers=headers, media_type=media_type)


@router.get("/{job_id:segment}/logs")
async def logs(job_id: str, context: ContextOf, page_size: PageSize = 1000, page_token: str | None = None) -> Response:
    """The lines of a job's log."""
    if page_token is not None and not page_token.isdecimal():
        msg = f"page_token {page_token!r} is not one that this list gave out"
        raise InvalidValueError(msg, reason="INVALID_PAGE_TOKEN")
    lines = await read_log(context, job_id, int(page_token or 0), page_size + 1)
    page = lines[:page_size]
    shown = [{"at": to_text(line["at"]), "line": line["line"]} for line in page]
    return json_response({"lines": shown, "next_page_token": str(page[-1]["id"]) if len(lines) > page_size else None})


@router.get("/{job_id:segment}/events", response_class=StreamingResponse)
async def events(
    job_id: str, context: ContextOf, last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None
) -> Response:
    """Server-sent events: state, progress, metric; they end with the job."""
    start = int(last_event_id) if last_event_id is not None and last_event_id.isdecimal() else 0
    await read_job(context, job_id)
    stream = _server_sent(follow_job(context, job_id, start))
    return as_stream(stream)


async def _server_sent(stream: AsyncIterator[dict[str, Any] | None]) -> AsyncIterator[bytes]:
    silent = 0
    async for event in stream:
        if event is None:
            silent += 1
            if silent % _KEEP_ALIVE_POLLS == 0:
                yield b": still here\n\n"
            continue
        silent = 0
        yield as_event(event["type"], orjson.dumps(event["data"]), event["id"])


def accepted(job: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """202 with a job as the API shows it, and where it is."""
    return json_response(job, 202, {"Location": f"/v1/jobs/{job['id']}"} | (headers or {}))


async def _shown(context: Context, job: Job) -> dict[str, Any]:
    """The job, with its children where it is a parent."""
    children = await read_children(context, job)
    return as_json(job) if children is None else as_json(job) | {"children": children}


def as_json(job: Job) -> dict[str, Any]:
    """The job as the API shows it."""
    shown = {name: getattr(job, name) for name in Job.__dataclass_fields__ if name != "caller"}
    return shown | {name: to_text(shown[name]) for name in ("created_at", "started_at", "finished_at")}
