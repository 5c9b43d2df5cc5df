"""Wake-ups: sent at once or refused at once, and sent again when Redis is back."""

import time

import pytest

from tests.workers.redis_server import RedisServer
from workers.settings import Settings
from workers.wakeup import TRAIN_QUEUE, send_wakeup, wakeup_sender
from zoo.specs.errors import UnavailableError

QUEUE_KEY = f"helmholtz:celery:{TRAIN_QUEUE}"


def test_a_wakeup_does_not_hold_up_who_sends_it() -> None:
    """A submission has been committed by then; its answer must not wait for a Redis that is away."""
    sender = wakeup_sender(Settings(redis_url="unix:///nowhere/redis.sock"))
    started = time.monotonic()
    with pytest.raises(UnavailableError, match="will be sent again"):
        send_wakeup(sender, "job")
    assert time.monotonic() - started < 2


def test_wakeups_go_on_when_redis_comes_back() -> None:
    server = RedisServer()
    try:
        sender = wakeup_sender(Settings(redis_url=server.url))
        send_wakeup(sender, "one")
        with server.client() as client:
            assert client.llen(QUEUE_KEY) == 1
            assert b"one" in client.lrange(QUEUE_KEY, 0, 0)[0]
        server.kill()
        with pytest.raises(UnavailableError):
            send_wakeup(sender, "two")
        server.start()
        send_wakeup(sender, "three")
        with server.client() as client:
            assert client.llen(QUEUE_KEY) == 1
        sender.close()
    finally:
        server.stop()
