"""The Celery application of the training workers: its one task wakes the supervisor; the database says what to do."""

import threading
from typing import Any

import structlog
from celery import Celery, Task, bootsteps

from models_registry.database import Database
from workers.jobs.lease import reap
from workers.logs import configure_logging
from workers.settings import Settings, read_settings
from workers.trainer.supervisor import Supervisor
from workers.wakeup import TRAIN_QUEUE, TRAIN_TASK, configure, send_wakeup
from zoo.specs.errors import UnavailableError

log = structlog.get_logger()

REDISPATCH_AFTER_SECONDS = 5.0


class TrainerStep(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """The supervisor's life: made when the worker starts, drained when it stops; the reaper runs beside it."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: object) -> None:  # noqa: ANN401 - celery has no types
        super().__init__(parent, **options)
        self._stopping = threading.Event()

    def start(self, parent: Any) -> None:  # noqa: ANN401
        """Begin to reap and to accept wake-ups."""
        settings = read_settings()
        configure_logging(settings.log_level)
        database = Database(settings.resolved_database_url)
        parent.app.supervisor = Supervisor(settings, database)
        self._supervisor = parent.app.supervisor
        threading.Thread(target=self._reap, args=(settings, database), name="reaper", daemon=True).start()

    def stop(self, parent: Any) -> None:  # noqa: ANN401
        """Give running jobs back to the queue, each at a checkpoint."""
        self._stopping.set()
        self._supervisor.drain()

    def _reap(self, settings: Settings, database: Database) -> None:
        while not self._stopping.wait(settings.reaper_seconds):
            try:
                for job_id in reap(database, REDISPATCH_AFTER_SECONDS):
                    send_wakeup(app, job_id)
            except (UnavailableError, OSError) as error:
                log.warning("reaper could not reach a dependency", error=str(error))


app = configure(Celery("trainer"), read_settings())
app.steps["worker"].add(TrainerStep)


@app.task(name=TRAIN_TASK, bind=True)  # type: ignore[untyped-decorator]  # celery has no types
def run_queued_jobs(self: Task, job_id: str) -> None:
    """Run whatever the database has queued; ``job_id`` only says that something was."""
    log.debug("woken", job=job_id)
    self.app.supervisor.run_queued_jobs()


__all__ = ["TRAIN_QUEUE", "app"]
