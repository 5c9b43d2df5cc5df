"""The heartbeat of a claimed job, in a thread of its own: nothing that the worker waits for can cost it the lease."""

import threading
import time
from types import TracebackType
from typing import Self

import structlog

from models_registry.database import Database
from workers.jobs.lease import Claim, LeaseLostError, heartbeat
from zoo.specs.errors import UnavailableError

log = structlog.get_logger()


class Heart:
    """Prolongs a lease every third of it, while it is entered; ``check`` raises when the lease has gone."""

    def __init__(self, database: Database, claim: Claim, lease_seconds: float) -> None:
        self._database = database
        self._claim = claim
        self._lease_seconds = lease_seconds
        self._stopping = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heart-{claim.job_id}", daemon=True)
        self.cancel_requested = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def check(self) -> None:
        """Nothing, while the lease is ours.

        Raises:
            LeaseLostError: it went to somebody else, or could not be prolonged before it ended.
        """
        if self._lost.is_set():
            msg = f"job {self._claim.job_id}: the lease of fence {self._claim.fence} has gone"
            raise LeaseLostError(msg)

    def _beat(self) -> None:
        prolonged_at = time.monotonic()
        while True:
            try:
                self.cancel_requested = heartbeat(self._database, self._claim, self._lease_seconds)
                prolonged_at = time.monotonic()
            except LeaseLostError:
                self._lost.set()
            except UnavailableError as error:
                log.warning("heartbeat failed", job=self._claim.job_id, error=str(error))
                if time.monotonic() - prolonged_at > self._lease_seconds:
                    self._lost.set()
            if self._lost.is_set() or self._stopping.wait(self._lease_seconds / 3):
                return
