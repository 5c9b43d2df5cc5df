"""Who is let in: a bounded backlog in seconds of computing, an honest Retry-After for everybody else."""

import math
import time
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
_RECENT_SECONDS = 5.0
_NEWS_SECONDS = 2.0  # what was heard of other gateways before says nothing of now
_LEAST_PROMISE = 0.05  # seconds; what is promised sooner says little of the pace
_SLOWEST = 1 / _BULK_SHARE
_HEADROOM = 0.8  # of the time a request may take is promised; the rest is for estimates that err
_LITTLE = 0.2  # of the time that is left, or of the backlog, is what one that takes nearly all of it may wait
_UP, _DOWN = 0.3, 0.02  # the pace follows late answers fast and early ones slowly: about the 94 % expectile


@dataclass(frozen=True)
class AdmissionLimits:
    """How much may wait: seconds of computing for each engine, and the part of it that one caller may have."""

    backlog_seconds: float
    caller_share: float


@dataclass
class Ticket:
    """A request that was let in: what of its cost is still to come, and within how many seconds an answer is due."""

    cost: float
    priority: Priority
    caller: str | None
    left: float
    promised: float = 0.0


@dataclass
class Backlog:
    """Seconds of computing that wait, by priority."""

    interactive: float = 0.0
    bulk: float = 0.0

    def seconds(self, priority: Priority, cost: float, num_engines: int, rate: float = 0.0) -> float:
        """Seconds until a request that comes now and takes ``cost`` is answered.

        ``rate`` is the part of the engines' time that interactive requests ask for: those that come later go before a
        bulk request, which waits (I + B) / (1 - rate), but no longer than its share of the time allows, B / 0.2.
        """
        if priority == "interactive":
            slowed = 1 - _BULK_SHARE if self.bulk > 0 else 1.0
            return (self.interactive / num_engines + cost) / slowed
        overtaken = ((self.interactive + self.bulk) / num_engines + cost) / max(1 - rate, 1e-9)
        return min(overtaken, (self.bulk / num_engines + cost) / _BULK_SHARE)


@dataclass
class Recent:
    """Cost of what has come of late: a sum that forgets with a time constant of five seconds."""

    total: float = 0.0
    at: float = 0.0

    def add(self, cost: float, now: float) -> None:
        """Note an arrival."""
        self.total = self.rate(now) * _RECENT_SECONDS + cost
        self.at = now

    def rate(self, now: float) -> float:
        """Cost that arrives per second."""
        return self.total * math.exp((self.at - now) / _RECENT_SECONDS) / _RECENT_SECONDS


class Admission:
    """The backlog of a gateway, and what it knows of the others': ``num_engines`` and ``elsewhere`` are told to it.

    ``pace`` is how many seconds pass for one second of the backlog, for either priority.  It is learnt: engines share
    their machine with others, and short requests that come later go before long ones.
    """

    def __init__(self, limits: AdmissionLimits) -> None:
        self._limits = limits
        self._own = Backlog()
        self._callers: dict[str, float] = {}
        self._elsewhere = Backlog()
        self._elsewhere_at = 0.0
        self.num_engines = 1
        self.draining = False
        self._recent = Recent()
        self.pace: dict[Priority, float] = {"interactive": 1.0, "bulk": 1.0}

    @property
    def own(self) -> Backlog:
        """What this gateway has let in and is not answered yet."""
        return self._own

    @property
    def elsewhere(self) -> Backlog:
        """What other gateways have let in, as far as that was heard of lately."""
        return self._elsewhere if time.monotonic() - self._elsewhere_at < _NEWS_SECONDS else Backlog()

    @elsewhere.setter
    def elsewhere(self, backlog: Backlog) -> None:
        self._elsewhere, self._elsewhere_at = backlog, time.monotonic()

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
        if ticket.priority == "interactive":
            self._recent.add(cost, time.monotonic())
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

    def learn(self, ticket: Ticket, seconds: float) -> None:
        """Note how long the answer to a request took, from its being let in to its last part."""
        if ticket.promised >= _LEAST_PROMISE:
            pace, ratio = self.pace[ticket.priority], min(seconds / ticket.promised, _SLOWEST)
            self.pace[ticket.priority] = max(1.0, pace + (_UP if ratio > pace else _DOWN) * (ratio - pace))

    def _check(self, ticket: Ticket, seconds: float) -> None:
        if seconds <= 0:
            msg = "the deadline had passed when the request came; allow more time"
            raise _rejected("deadline", DeadlineExceededError(msg))
        if self.draining:
            msg = "this gateway is shutting down and takes no new requests; try again"
            raise _rejected("draining", UnavailableError(msg, reason="DRAINING"))
        elsewhere = self.elsewhere
        total = Backlog(self._own.interactive + elsewhere.interactive, self._own.bulk + elsewhere.bulk)
        rate, pace = self._recent.rate(time.monotonic()) / self.num_engines, self.pace[ticket.priority]
        ticket.promised = total.seconds(ticket.priority, ticket.cost, self.num_engines, rate)
        wait = pace * total.seconds(ticket.priority, 0.0, self.num_engines, rate)
        own = max(0.0, pace * ticket.promised - wait)
        bound = self._limits.backlog_seconds
        if ticket.caller is not None:
            held = self._callers.get(ticket.caller, 0.0) / self.num_engines
            again = max(wait, pace * held)
            if held > 0 and held + ticket.cost > self._limits.caller_share * bound:
                msg = (
                    f"your requests in progress take about {held:.3g} s and this one {ticket.cost:.3g} s; one caller "
                    f"may have {self._limits.caller_share * bound:g} s at a time; try again in {again:.3g} s"
                )
                raise _rejected("share", ShareExceededError(msg, retry_after_seconds=again))
        most = self._may_wait(own, seconds)
        if wait > most:
            msg = (
                f"the requests before this one take about {wait:.3g} s and it takes {own:.3g} s itself; to be answered "
                f"within {seconds:g} s it could wait for {most:.3g} s; try again in {wait:.3g} s"
            )
            raise _rejected("full", UnavailableError(msg, reason="OVERLOADED", retry_after_seconds=wait))

    def _may_wait(self, own: float, seconds: float) -> float:
        """Seconds that a request which takes ``own`` may wait, for all to be within the bound and within its deadline.

        One that takes nearly all of either by itself would starve beside others: it may wait for a fifth of the bound,
        and of the time that it leaves.
        """
        bound = self._limits.backlog_seconds
        in_time = max(_HEADROOM * seconds - own, _LITTLE * (seconds - own))
        return max(0.0, min(max(bound - own, _LITTLE * bound), in_time))

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
