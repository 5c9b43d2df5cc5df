"""``helmholtz train``, ``learn`` and ``jobs``: submitting, watching, cancelling, and fetching what they leave."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from helmholtz.cli import display
from helmholtz.cli.inputs import document, override
from helmholtz.cli.progress import TrainingProgress
from helmholtz.cli.session import INTERRUPTED, Session, session
from helmholtz.draws import check_file_name
from helmholtz.errors import InvalidArgumentError, JobEndedError
from helmholtz.results import Job

app = typer.Typer(help="Jobs: list, show, watch, cancel, retry, logs.", no_args_is_help=True)

JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job")]


Training = Annotated[str | None, typer.Option(help='{"max_steps": 300, ...} as JSON or @FILE')]
Publish = Annotated[str | None, typer.Option(help="Name of the model in the registry, or NAME:ALIAS")]
Model = Annotated[str | None, typer.Option(help='{"family": "pixelcnn", ...} as JSON, @FILE, or just: pixelcnn')]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", help="PATH=VALUE, such as target.shape=8,8 or training.seed=1; repeatable"),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="File to write: .npz or .safetensors")]
Detach = Annotated[bool, typer.Option("--detach", help="Print the job and return at once")]


def train(
    context: typer.Context,
    job: Annotated[str | None, typer.Argument(help="A whole job as JSON or @FILE; the options change it")] = None,
    target: Annotated[str | None, typer.Option(help='{"kind": "ising", ...} as JSON, @FILE, or just: ising')] = None,
    model: Model = None,
    training: Training = None,
    publish: Publish = None,
    assignments: Assignments = None,
    detach: Detach = False,  # noqa: FBT002
) -> None:
    """Train a model on a target, watching it; Ctrl-C stops watching, not the job.

    helmholtz train --target ising --set target.shape=8,8 --set target.beta=0.44 --model pixelcnn --publish ising-8
    """
    with session(context) as s:
        parts = _parts(model, training, publish) | {"target": document(target, "--target", "kind") if target else None}
        spec = _job_document(document(job, "the job") if job else {}, parts, assignments or ())
        _submit(s, spec, detach=detach)


def learn(
    context: typer.Context,
    data: Annotated[
        str, typer.Argument(help="Id of a dataset; or a builtin: digits, or its document as JSON or @FILE")
    ],
    model: Model = None,
    training: Training = None,
    publish: Publish = None,
    assignments: Assignments = None,
    detach: Detach = False,  # noqa: FBT002
) -> None:
    """Train a model from data, watching it; with a target too (--set target.kind=ising) from both.

    helmholtz learn digits --model made --set training.max_steps=500 --publish digits
    """
    with session(context) as s:
        parts = _parts(model, training, publish) | {"data": _data(data)}
        _submit(s, _job_document({}, parts, assignments or ()), detach=detach)


@app.command("list")
def list_jobs(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="queued, running, succeeded, failed or cancelled")] = None,
    kind: Annotated[str | None, typer.Option(help="train, sweep, ...")] = None,
    parent: Annotated[str | None, typer.Option(help="Id of a sweep: its jobs alone")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 20,
) -> None:
    """The latest jobs."""
    with session(context) as s:
        jobs = s.client.jobs(state, kind, limit, parent=parent)
        s.answer({"jobs": [j.model_dump(mode="json") for j in jobs]}, display.job_table(jobs))


@app.command("show")
def show(context: typer.Context, job: JobId) -> None:
    """One job: state, progress, latest metrics, result or error; of a sweep, its jobs."""
    with session(context) as s:
        _answer_job(s, s.client.job(job))


@app.command("cancel")
def cancel(context: typer.Context, job: JobId) -> None:
    """Ask a job to stop; of a sweep, all of its jobs."""
    with session(context) as s:
        _answer_job(s, s.client.cancel(job))


@app.command("retry")
def retry(context: typer.Context, job: JobId) -> None:
    """Submit a finished job again, as a new job."""
    with session(context) as s:
        _answer_job(s, s.client.retry(job))


@app.command("logs")
def logs(context: typer.Context, job: JobId) -> None:
    """What a job wrote."""
    with session(context) as s:
        lines = s.client.logs(job)
        s.answer({"lines": [line.model_dump(mode="json") for line in lines]}, "\n".join(line.line for line in lines))


@app.command("metrics")
def metrics(
    context: typer.Context, job: JobId, name: Annotated[str, typer.Option(help="Name of the series")] = "loss"
) -> None:
    """One training series of a job."""
    with session(context) as s:
        points = s.client.metrics(job, name)
        human = display.table(("step", name), ((p.step, p.value) for p in points), "no points yet")
        s.answer({"name": name, "points": [p.model_dump(mode="json") for p in points]}, human)


@app.command("result")
def result(context: typer.Context, job: JobId, out: Out) -> None:
    """Fetch the file of a job of samples; with numpy: numpy.load("FILE.npz")["samples"]."""
    with session(context) as s:
        check_file_name(out)
        fetch(s, s.client.job(job), out)


def fetch(s: Session, job: Job, out: Path) -> None:
    """Fetch the file that a job has left, and say what is in it."""
    s.client.download(job, out)
    fields = (job.result or {}) | {"job": job.id, "out": str(out), "size_bytes": out.stat().st_size}
    s.answer(fields, display.file_facts(fields))


@app.command("watch")
def watch(context: typer.Context, job: JobId) -> None:
    """Follow a job until it ends; with --json one event a line.  Ctrl-C stops watching, not the job."""
    with session(context) as s:
        if s.as_json:
            with _going_on(s, job):
                s.client.wait(job, lambda e: typer.echo(json.dumps({"id": e.id, "event": e.kind, "data": e.data})))
        else:
            follow(s, s.client.job(job))


def _answer_job(s: Session, job: Job) -> None:
    s.answer(job.model_dump(mode="json"), display.job_report(job))


def follow(s: Session, job: Job) -> None:
    """Show the job's progress until it ends, then the job; a failure is raised after it is shown."""
    failure: JobEndedError | None = None
    try:
        watched(s, job)
    except JobEndedError as error:
        failure = error
    _answer_job(s, s.client.job(job))
    if failure is not None:
        raise failure


def watched(s: Session, job: Job) -> Job:
    """The job when it has succeeded, its progress shown until then.

    Raises:
        JobEndedError: it ended without a result.
    """
    beta = (job.spec.get("target") or {}).get("beta")
    s.notes.print(f"job {job.id}")
    with _going_on(s, job.id), TrainingProgress(s.notes, job.kind, beta) as shown:
        return s.client.wait(job, shown)


@contextmanager
def _going_on(s: Session, job_id: str) -> Iterator[None]:
    """Ctrl-C inside says that the job goes on, and how to come back to it or stop it."""
    try:
        yield
    except KeyboardInterrupt:
        s.notes.print(
            f"\njob {job_id} goes on; `helmholtz jobs watch {job_id}` follows it, "
            f"`helmholtz jobs cancel {job_id}` stops it",
            soft_wrap=True,
        )
        raise typer.Exit(INTERRUPTED) from None


def _submit(s: Session, spec: dict[str, Any], *, detach: bool) -> None:
    """Submit the job, and follow it unless ``detach``."""
    submitted = s.client.submit(spec)
    if detach:
        s.answer(submitted.model_dump(mode="json"), display.job_report(submitted))
    else:
        follow(s, submitted)


def _parts(model: str | None, training: str | None, publish: str | None) -> dict[str, dict[str, Any] | None]:
    """The parts of a train job that every training has; None for those that were not given."""
    return {
        "model": document(model, "--model", "family") if model else None,
        "training": document(training, "--training") if training else None,
        "publish": _published(publish) if publish else None,
    }


def _data(text: str) -> dict[str, Any]:
    """The id of a dataset, 32 digits of base 16; else a builtin by name, or a document."""
    return {"dataset": text} if re.fullmatch(r"[0-9a-f]{32}", text) else document(text, "the data", "builtin")


def _published(text: str) -> dict[str, str]:
    name, colon, alias = text.partition(":")
    return {"model": name} | ({"alias": alias} if colon else {})


def _job_document(
    job: dict[str, Any], parts: dict[str, dict[str, Any] | None], assignments: Sequence[str]
) -> dict[str, Any]:
    """The job with its parts replaced by those given, then the assignments applied."""
    spec = {"kind": "train"} | job | {name: part for name, part in parts.items() if part is not None}
    for assignment in assignments:
        spec = override(spec, assignment)
    if spec["kind"] == "train" and "model" not in spec:
        msg = (
            "a train job needs a model: --model pixelcnn, or a job document with one; `helmholtz zoo models` lists them"
        )
        raise InvalidArgumentError(msg)
    return spec
