"""Server-sent events of a job: decoding, and following them over broken connections."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from helmholtz.connection import Call, Connection
from helmholtz.errors import ApiError, ServiceUnreachableError, UnexpectedAnswerError, WaitTimeoutError
from helmholtz.results import TERMINAL_STATES

QUIET_SECONDS = 60.0
"""A stream that is silent for longer, without even a comment, is opened again."""


@dataclass(frozen=True)
class Event:
    """One event: ``kind`` is state, progress or metric; ``id`` resumes the stream after it."""

    id: str
    kind: str
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def terminal(self) -> bool:
        """Whether it is the last of its job."""
        return self.kind == "state" and self.data.get("state") in TERMINAL_STATES


def lines(chunks: Iterable[str]) -> Iterator[str]:
    """The complete lines of a text that arrives in chunks, without their ends (LF or CRLF).

    ``str.splitlines`` would also split at characters that JSON may hold, such as U+2028.
    """
    rest = ""
    for chunk in chunks:
        *complete, rest = (rest + chunk).split("\n")
        for line in complete:
            yield line.removesuffix("\r")


def decode(stream: Iterable[str]) -> Iterator[Event | None]:
    """The events that ``stream``, a text/event-stream in lines, holds; None for each comment, a sign of life.

    An event cut off before its blank line is dropped, as the standard asks: it comes again after resuming.

    Raises:
        UnexpectedAnswerError: data that is not a JSON object.
    """
    fields: dict[str, str] = {}
    last_id = ""
    for line in stream:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line.startswith(":"):
            yield None
        elif name == "data" and "data" in fields:
            fields["data"] += "\n" + value
        elif line:
            fields[name] = value
        elif fields:
            last_id = fields.get("id", last_id)
            if "data" in fields:
                yield Event(last_id, fields.get("event", "message"), _data(fields["data"]))
            fields = {}


@dataclass(frozen=True)
class Follower:
    """Follows the events of one job until its last; ``finished`` asks the service whether the job has ended."""

    connection: Connection
    path: str
    finished: Callable[[], bool]
    deadline: float | None = None
    """On the clock of ``time.monotonic``."""
    clock: Callable[[], float] = time.monotonic

    def events(self, after: str | None = None) -> Iterator[Event]:
        """The events after number ``after``, resumed with Last-Event-ID whenever the connection breaks.

        Raises:
            ServiceUnreachableError: the stream broke again and again without an event between.
            WaitTimeoutError: the deadline passed.
        """
        failures = 0
        ended = False  # the job was over before the stream that has just ended was opened
        while True:
            trouble: Exception | None = None
            try:
                for event in self._one_stream(after):
                    failures = 0
                    if event is None:
                        continue
                    after = event.id or after
                    yield event
                    if event.terminal:
                        return
            except httpx.ReadTimeout:
                continue  # quiet, not broken
            except (httpx.TransportError, ServiceUnreachableError, ApiError) as error:
                trouble = self._forgivable(error)
            if trouble is None and ended:
                return  # nothing is left to send: the last event was seen before ``after``
            ended = trouble is None and self.finished()
            failures += 0 if ended else 1
            self._pause(failures, trouble)

    def _one_stream(self, after: str | None) -> Iterator[Event | None]:
        headers = {"Accept": "text/event-stream"}
        if after is not None:
            headers["Last-Event-ID"] = after
        call = Call("GET", self.path, headers=headers)
        with self.connection.stream(call, self._read_timeout()) as response:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                msg = f"{self.path} answered {response.headers.get('content-type')}; text/event-stream was expected"
                raise UnexpectedAnswerError(msg)
            for event in decode(lines(response.iter_text())):
                yield event
                self._read_timeout()  # comments keep the connection alive for ever; the deadline does not

    def _read_timeout(self) -> float:
        if self.deadline is None:
            return QUIET_SECONDS
        left = self.deadline - self.clock()
        if left <= 0:
            msg = "the time to wait is over and the job has not ended; it goes on, and can be waited for again"
            raise WaitTimeoutError(msg)
        return min(QUIET_SECONDS, left)

    def _forgivable(self, error: Exception) -> Exception:
        """``error`` when opening the stream again may help; raised otherwise."""
        refused = isinstance(error, ApiError) and error.status not in {429, 502, 503, 504}
        if refused or not self.connection.reached:
            raise error
        return error

    def _pause(self, failures: int, trouble: Exception | None) -> None:
        """Wait before the stream is opened again; give up after as many failures in a row as the policy allows."""
        self._read_timeout()
        policy = self.connection.retry
        if failures > policy.max_retries:
            msg = f"{self.path} of {self.connection.url} ended {failures} times in a row without an event"
            raise ServiceUnreachableError(f"{msg}; the job may well go on: ask for its state") from trouble
        retry_after = trouble.retry_after if isinstance(trouble, ApiError) else None
        pause = policy.pause(max(failures - 1, 0)) if retry_after is None else min(retry_after, policy.longest_pause)
        policy.sleep(pause)


def _data(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        msg = f"an event carries {text[:80]!r}; a JSON object was expected"
        raise UnexpectedAnswerError(msg)
    return data
