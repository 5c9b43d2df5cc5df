"""The process that one job runs in: it computes, tells its worker over a pipe, and dies with it."""

import os
import signal
import time
import traceback
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

from models_registry.blobs import BlobStore
from workers.jobs.lease import Report
from workers.kinds.base import JobContext, StoppedError
from workers.kinds.table import load_kind
from workers.messages import error_fields, pack
from workers.process_group import die_with_parent
from workers.settings import Settings
from workers.trainer.checkpoints import CheckpointFolder
from zoo.specs.errors import HelmholtzError

NICENESS = 10


def run_job(pipe: Connection, job_id: str, kind: str, spec: dict[str, Any], settings_json: str) -> None:
    """Run one job to its end; the last message on ``pipe`` says how it ended.

    SIGTERM asks for a checkpoint and an end; a closed pipe means that the worker has gone.
    """
    os.setsid()
    die_with_parent()
    os.nice(NICENESS)
    stop = _StopOnSigterm()
    settings = Settings.model_validate_json(settings_json)
    context = JobContext(
        job_id=job_id,
        spec=spec,
        settings=settings,
        checkpoints=checkpoint_folder(settings, job_id),
        blobs=BlobStore(settings.resolved_artifact_url),
        report=_BatchedReports(pipe),
        stop_requested=lambda: stop.requested,
    )
    pipe.send_bytes(pack(_ending(context, kind)))


def checkpoint_folder(settings: Settings, job_id: str) -> CheckpointFolder:
    """Where a job's checkpoints lie."""
    return CheckpointFolder(Path(settings.data_dir).absolute() / "checkpoints" / job_id)


def _ending(context: JobContext, kind: str) -> dict[str, Any]:
    try:
        outcome = load_kind(kind).run(context)
    except StoppedError:
        return {"type": "stopped"}
    except HelmholtzError as error:
        return {"type": "failed", "error": error_fields(error), "title": error.title}
    except Exception as error:
        context.report(Report(lines=tuple(traceback.format_exc().splitlines())))
        fields = {"detail": f"{type(error).__name__}: {error}; the job's log has more", "reason": "JOB_CRASHED"}
        return {"type": "failed", "error": fields, "title": "The job crashed"}
    return {"type": "done", "outcome": asdict(outcome)}


class _StopOnSigterm:
    """Remembers that SIGTERM came; the job looks between two steps."""

    def __init__(self) -> None:
        self.requested = False
        signal.signal(signal.SIGTERM, self._request)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True


class _BatchedReports:
    """Sends reports at most four times a second, so that a fast job does not drown its worker."""

    INTERVAL_SECONDS = 0.25

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._points: list[tuple[str, int, float]] = []
        self._lines: list[str] = []
        self._sent_at = 0.0

    def __call__(self, report: Report) -> None:
        self._points += report.points
        self._lines += report.lines
        last_of_all = (report.progress or {}).get("fraction") == 1
        if not self._lines and not last_of_all and time.monotonic() - self._sent_at < self.INTERVAL_SECONDS:
            return
        message = asdict(report) | {"points": self._points, "lines": self._lines, "type": "report"}
        self._pipe.send_bytes(pack(message))
        self._points, self._lines, self._sent_at = [], [], time.monotonic()
