"""The worker's side of a job: claim, run in a subprocess, heartbeat, report, commit once."""

import signal
import threading
import time
from dataclasses import dataclass, field
from multiprocessing import forkserver, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

import structlog
from sqlalchemy import Connection as SqlConnection

from models_registry.aliases import Aliases
from models_registry.blobs import BlobStore
from models_registry.database import Database
from models_registry.datasets import DatasetManifest, Datasets
from models_registry.versions import VersionManifest, VersionRecord, Versions
from workers.jobs.lease import (
    Claim,
    LeaseLostError,
    Report,
    attempts_used_up,
    claim_next,
    finish,
    record_report,
    release,
)
from workers.jobs.states import JobState
from workers.kinds.table import KIND_NAMES
from workers.messages import unpack
from workers.process_group import signal_group
from workers.settings import Settings
from workers.trainer.child import checkpoint_folder, run_job
from workers.trainer.heart import Heart
from zoo.specs.errors import HelmholtzError, StateConflictError, UnavailableError

log = structlog.get_logger()

_PRELOAD = "workers.trainer.preload"
_TICK_SECONDS = 0.1
_REPORT_SECONDS = 1.0


class Supervisor:
    """Runs claimed jobs, one subprocess each, for as long as the worker lives."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        blobs = BlobStore(settings.resolved_artifact_url)
        self._versions = Versions(database, blobs)
        self._datasets = Datasets(database, blobs)
        self._aliases = Aliases(database)
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload([_PRELOAD])
        forkserver.ensure_running()  # it imports torch now, not when the first job waits
        self._draining = threading.Event()

    def drain(self) -> None:
        """Ask running jobs to checkpoint and go back to the queue, and claim no more."""
        self._draining.set()

    def run_queued_jobs(self) -> None:
        """Claim and run jobs until none is left."""
        kinds = frozenset(KIND_NAMES)
        while not self._draining.is_set():
            claim = claim_next(self._database, self._settings.lease_seconds, kinds)
            if claim is None:
                return
            self._run(claim)

    def _run(self, claim: Claim) -> None:
        log.info("job started", job=claim.job_id, attempt=claim.attempt, kind=claim.kind)
        with Heart(self._database, claim, self._settings.lease_seconds) as heart:
            child = self._start(claim)
            try:
                self._watch(claim, child, heart)
                self._conclude(claim, child)
            except LeaseLostError:
                log.warning("lease lost", job=claim.job_id)
            finally:
                child.kill()

    def _start(self, claim: Claim) -> "_Child":
        ours, theirs = self._context.Pipe(duplex=False)
        arguments = (theirs, claim.job_id, claim.kind, claim.spec, self._settings.model_dump_json())
        process = self._context.Process(target=run_job, args=arguments, name=f"job-{claim.job_id}")
        process.start()
        theirs.close()
        return _Child(process, ours)

    def _watch(self, claim: Claim, child: "_Child", heart: Heart) -> None:
        """Pass reports on until the child ends or must end."""
        next_report = 0.0
        while child.running():
            child.receive(_TICK_SECONDS)
            heart.check()
            if heart.cancel_requested:
                child.stop("cancelled", self._settings.grace_seconds)
            if self._draining.is_set():
                child.stop("draining", self._settings.grace_seconds)
            if time.monotonic() >= next_report:
                next_report = time.monotonic() + _REPORT_SECONDS
                self._flush(claim, child)
        self._flush(claim, child)

    def _flush(self, claim: Claim, child: "_Child") -> None:
        report = child.take_report()
        if report is not None:
            record_report(self._database, claim, report)

    def _conclude(self, claim: Claim, child: "_Child") -> None:
        ending = child.ending or {"type": "died"}
        log.info("job process ended", job=claim.job_id, how=ending["type"], exit_code=child.process.exitcode)
        if ending["type"] == "done" and child.stop_reason != "cancelled":
            self._commit(claim, ending["outcome"])
        elif child.stop_reason == "cancelled":
            self._finish(claim, JobState.CANCELLED)
        elif child.stop_reason == "draining":
            release(self._database, claim, "its worker is shutting down", counts_as_attempt=False)
            return  # the checkpoint stays
        elif ending["type"] == "failed":
            error = ending["error"]
            self._fail(claim, {"type": "about:blank", "title": ending["title"]} | _public(error))
        else:
            self._died(claim, child)
            return
        checkpoint_folder(self._settings, claim.job_id).remove()

    def _died(self, claim: Claim, child: "_Child") -> None:
        why = f"its process ended with exit code {child.process.exitcode}"
        if claim.attempt >= claim.max_attempts:
            self._fail(claim, attempts_used_up(claim.attempt, why))
        else:
            release(self._database, claim, why, counts_as_attempt=True)

    def _commit(self, claim: Claim, outcome: dict[str, Any]) -> None:
        """Version or dataset, alias and state in one transaction; a second commit of the same job changes nothing."""
        try:
            with self._database.transaction() as connection:
                result = dict(outcome["result"])
                if outcome["manifest"] is not None:
                    manifest = VersionManifest(**outcome["manifest"])
                    record = self._versions.publish(connection, manifest, outcome["digest"], outcome["size_bytes"])
                    result |= {"model": record.model, "version": record.version}
                    if outcome["alias"] is not None:
                        result |= self._set_alias(connection, claim, record, outcome["alias"])
                if outcome["dataset"] is not None:
                    made = DatasetManifest.model_validate(outcome["dataset"])
                    kept = self._datasets.insert(connection, made, outcome["digest"], outcome["size_bytes"])
                    result |= {"dataset": kept.id}
                finish(connection, claim, JobState.SUCCEEDED, result=result)
        except UnavailableError:
            raise  # the database is away: the lease runs out and the job resumes from its checkpoint
        except HelmholtzError as error:
            self._fail(
                claim,
                {"type": "about:blank", "title": error.title, "detail": error.detail, "reason": error.reason},
            )

    def _set_alias(self, connection: SqlConnection, claim: Claim, record: VersionRecord, alias: str) -> dict[str, Any]:
        """What the job's result says of its alias; the physics gate keeps an alias from moving to a worse version."""
        caller = f"job {claim.job_id}"
        try:
            self._aliases.set_in(
                connection, record.model, alias, record.version, if_match="*", force=False, caller=caller
            )
        except StateConflictError as error:
            return {"alias_refused": error.detail}
        return {"alias": alias}

    def _fail(self, claim: Claim, error: dict[str, Any]) -> None:
        self._finish(claim, JobState.FAILED, error=error)

    def _finish(self, claim: Claim, state: JobState, **columns: object) -> None:
        with self._database.transaction() as connection:
            finish(connection, claim, state, **columns)


def _public(error: dict[str, Any]) -> dict[str, Any]:
    return {"detail": error["detail"], "reason": error["reason"]}


@dataclass
class _Child:
    """A running subprocess and what it has told so far."""

    process: ForkServerProcess
    pipe: Connection
    ending: dict[str, Any] | None = None
    stop_reason: str | None = None
    _kill_at: float = float("inf")
    _pipe_open: bool = True
    _pending: list[dict[str, Any]] = field(default_factory=list)

    def running(self) -> bool:
        """Whether there is anything left to hear; kills the group when its grace is over."""
        if time.monotonic() >= self._kill_at:
            self.kill()
        return self._pipe_open

    def receive(self, timeout: float) -> None:
        """Take every message that has come within ``timeout`` seconds."""
        try:
            while self.pipe.poll(timeout):
                message = unpack(self.pipe.recv_bytes())
                if message["type"] == "report":
                    self._pending.append(message)
                else:
                    self.ending = message
                timeout = 0
        except (EOFError, OSError):
            self._pipe_open = False
            self.process.join()

    def take_report(self) -> Report | None:
        """Everything reported since the last call, as one report."""
        if not self._pending:
            return None
        messages, self._pending = self._pending, []
        return Report(
            progress=next((m["progress"] for m in reversed(messages) if m["progress"]), None),
            metrics=next((m["metrics"] for m in reversed(messages) if m["metrics"]), None),
            points=tuple((name, step, value) for m in messages for name, step, value in m["points"]),
            lines=tuple(line for m in messages for line in m["lines"]),
        )

    def stop(self, reason: str, grace_seconds: float) -> None:
        """Ask the group to stop, once; ``running`` kills it when the grace is over."""
        if self.stop_reason is None and self.process.pid is not None:
            self.stop_reason = reason
            self._kill_at = time.monotonic() + grace_seconds
            signal_group(self.process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End the group now, whatever it is doing."""
        if self.process.pid is not None:
            signal_group(self.process.pid, signal.SIGKILL)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
