"""What a kind of job is: a function of its spec and of what the worker lends it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models_registry.blobs import BlobStore
from workers.jobs.lease import Report
from workers.settings import Settings
from workers.trainer.checkpoints import CheckpointFolder


@dataclass(frozen=True)
class JobContext:
    """What a running job is lent: a place for checkpoints, a way to tell, and the wish to stop."""

    job_id: str
    spec: dict[str, Any]
    settings: Settings
    checkpoints: CheckpointFolder
    blobs: BlobStore
    report: Callable[[Report], None]
    stop_requested: Callable[[], bool]


class StoppedError(Exception):
    """The job was asked to stop, and has written a checkpoint from which it resumes."""


@dataclass(frozen=True)
class Outcome:
    """What a job leaves behind, in addition to its result.

    ``digest`` and ``size_bytes`` name a stored blob: of a version to be published when there is a ``manifest``, of a
    dataset to be kept when there is a ``dataset``, the fields of its ``DatasetManifest``.
    """

    result: dict[str, Any]
    manifest: dict[str, Any] | None = None
    dataset: dict[str, Any] | None = None
    digest: str | None = None
    size_bytes: int | None = None
    alias: str | None = None


class Kind(ABC):
    """One kind of job, run in a process of its own."""

    @abstractmethod
    def run(self, context: JobContext) -> Outcome:
        """The outcome of the job that ``context`` describes, resumed from its checkpoint when there is one.

        Raises:
            StoppedError: a stop was requested.
            HelmholtzError: the job cannot succeed, in words for its owner.
        """
