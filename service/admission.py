"""Who is let in: a bounded backlog in seconds of computing, an honest Retry-After for everybody else."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client import Counter, Gauge

from service.metrics import METRICS
from workers.messages import Priority
from zoo.specs.errors import DeadlineExceededError, ShareExceededError, UnavailableError

REJECTED = Counter("helmholtz_rejected", "Requests that were not let in", ("reason",), registry=METRICS)
BACKLOG = Gauge(
    "helmholtz_backlog_seconds", "Computing time of what this gateway has let in", ("priority",), registry=METRICS
)

ErrorT = TypeVar("ErrorT", bound=Exception)

INTERACTIVE_SECONDS = 0.2
"""Requests that are estimated to take less go before others."""
_BULK_SHARE = 0.2  # of the computing time, which engines leave to long requests while short ones wait


@dataclass(frozen=True)
class AdmissionLimits:
    """How much may wait: seconds of computing for each engine, and the part of it that one caller may have."""

    backlog_seconds: float
    caller_share: float


@dataclass
class Ticket:
    """A request that was let in, and what of its cost is still to come."""

    cost: float
    priority: Priority
    caller: str | None
    left: float


@dataclass
class Backlog:
    """Seconds of computing that wait, by priority."""

    interactive: float = 0.0
    bulk: float = 0.0

    def wait(self, priority: Priority, num_engines: int) -> float:
        """Seconds until a request that comes now has its turn."""
        if priority == "bulk":
            return (self.interactive + self.bulk) / num_engines
        slowed = 1 - _BULK_SHARE if self.bulk > 0 else 1.0
        return self.interactive / slowed / num_engines


class Admission:
    """The backlog of a gateway, and what it knows of the others': ``num_engines`` and ``elsewhere`` are told to it."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self._limits = limits
        self._tickets: set[int] = set()
        self._own = Backlog()
        self._callers: dict[str, float] = {}
        self.elsewhere = Backlog()
        self.num_engines = 1
        self.draining = False

    @property
    def own(self) -> Backlog:
        """What this gateway has let in and is not answered yet."""
        return self._own

    @contextmanager
    def admit(self, cost: float, seconds: float, caller: str | None = None) -> Iterator[Ticket]:
        """A place in the backlog for a request that takes ``cost`` seconds and has to be answered within ``seconds``.

        Raises:
            DeadlineExceededError: no time is left.
            ShareExceededError: the caller has its share of the backlog already.
            UnavailableError: the backlog is full, or would not let it be answered in time, or the gateway is draining.
        """
        ticket = Ticket(cost, "interactive" if cost <= INTERACTIVE_SECONDS else "bulk", caller, cost)
        self._check(ticket, seconds)
        self._add(ticket, cost)
        try:
            yield ticket
        finally:
            self._add(ticket, -ticket.left)
            if caller is not None and self._callers.get(caller, 0.0) < 1e-9:
                self._callers.pop(caller, None)

    def progress(self, ticket: Ticket, fraction: float) -> None:
        """Note that a part of an answer has come."""
        done = max(0.0, ticket.left - ticket.cost * (1 - fraction))
        ticket.left -= done
        self._add(ticket, -done)

    def _check(self, ticket: Ticket, seconds: float) -> None:
        if seconds <= 0:
            msg = "the deadline had passed when the request came; allow more time"
            raise _rejected("deadline", DeadlineExceededError(msg))
        if self.draining:
            msg = "this gateway is shutting down and takes no new requests; try again"
            raise _rejected("draining", UnavailableError(msg, reason="DRAINING"))
        total = Backlog(self._own.interactive + self.elsewhere.interactive, self._own.bulk + self.elsewhere.bulk)
        wait = total.wait(ticket.priority, self.num_engines)
        bound = self._limits.backlog_seconds
        if ticket.caller is not None:
            held = self._callers.get(ticket.caller, 0.0) / self.num_engines
            if held > 0 and held + ticket.cost > self._limits.caller_share * bound:
                msg = (
                    f"your requests in progress take about {held:.3g} s and this one {ticket.cost:.3g} s; one caller "
                    f"may have {self._limits.caller_share * bound:g} s at a time; try again in {held:.3g} s"
                )
                raise _rejected("share", ShareExceededError(msg, retry_after_seconds=held))
        if wait > 0 and wait + ticket.cost > min(bound, seconds):
            most = min(bound, seconds)
            msg = (
                f"the requests before this one take about {wait:.3g} s and it takes {ticket.cost:.3g} s itself, "
                f"more than the {most:g} s within which it would have to be answered; try again in {wait:.3g} s"
            )
            raise _rejected("full", UnavailableError(msg, reason="OVERLOADED", retry_after_seconds=wait))

    def _add(self, ticket: Ticket, seconds: float) -> None:
        left = max(0.0, getattr(self._own, ticket.priority) + seconds)
        left = 0.0 if left < 1e-9 else left
        setattr(self._own, ticket.priority, left)
        BACKLOG.labels(ticket.priority).set(left)
        if ticket.caller is not None:
            self._callers[ticket.caller] = self._callers.get(ticket.caller, 0.0) + seconds


def _rejected(reason: str, error: ErrorT) -> ErrorT:
    REJECTED.labels(reason).inc()
    return error
