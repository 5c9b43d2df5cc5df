"""Wake-ups through Celery: the message carries only a job id, and may be lost or doubled without harm."""

from celery import Celery
from kombu.exceptions import OperationalError

from workers.settings import Settings
from zoo.specs.errors import UnavailableError

TRAIN_QUEUE = "train.cpu"
TRAIN_TASK = "helmholtz.run_queued_jobs"


def configure(app: Celery, settings: Settings) -> Celery:
    """The application with the settings that every Celery application here shares."""
    app.conf.update(
        broker_url=settings.celery_broker_url,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"global_keyprefix": "helmholtz:celery:", "socket_connect_timeout": 2},
        result_backend=None,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=False,  # the database guarantees delivery
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        task_default_queue=TRAIN_QUEUE,
    )
    return app


def wakeup_sender(settings: Settings) -> Celery:
    """An application that only sends, for processes that run no tasks; it tries once, because a submission waits."""
    app = configure(Celery("sender"), settings)
    once = {"max_retries": 0, "interval_start": 0, "interval_step": 0, "interval_max": 0}
    app.conf.broker_transport_options = app.conf.broker_transport_options | once
    return app


def send_wakeup(app: Celery, job_id: str) -> None:
    """Say that a job is queued.

    Raises:
        UnavailableError: Redis is away; the reaper sends it again later.
    """
    try:
        app.send_task(TRAIN_TASK, args=[job_id], queue=TRAIN_QUEUE, retry=False)
    except OperationalError as error:
        msg = f"the wake-up of job {job_id} was not sent because Redis is away; it will be sent again"
        raise UnavailableError(msg) from error
