"""A load generator: requests over HTTP from this process, in a closed loop or at a given rate.

    echo '{"url": ..., "bodies": [...], ...}' | python -m benchmarks.serving.load

Prints a JSON document.  The method is that of perf_analyzer: windows of five seconds, until three in a row agree within
10 % in requests/s and in their median latency; the last three count.  It is stable only then; the answer says so.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from statistics import median

import aiohttp

WINDOW_SECONDS = 5.0
AGREEMENT = 0.10
MOST_WINDOWS = 10


@dataclass(frozen=True)
class Load:
    """What is asked: ``body`` has ``"{seed}"`` where each request has its own number.

    With ``rate`` requests are sent at that rate, whatever the answers do (open loop); else ``concurrency`` askers each
    send one after the other.
    """

    url: str
    body: str
    headers: dict[str, str] = field(default_factory=dict)
    concurrency: int = 1
    rate: float | None = None
    most_windows: int = MOST_WINDOWS


@dataclass(frozen=True)
class Window:
    """What five seconds saw."""

    seconds: float
    latencies: list[float]
    statuses: dict[int, int]
    num_bytes: int

    @property
    def requests_per_second(self) -> float:
        """Answers with status 200 per second."""
        return len(self.latencies) / self.seconds


@dataclass(frozen=True)
class Measured:
    """What the last three windows say together; latencies are in seconds.

    What is said ``in_all`` counts from the first request on, as does this process's own ``cpu_seconds``.
    """

    requests_per_second: float
    p50: float
    p99: float
    num_answers: int
    statuses: dict[int, int]
    bytes_per_second: float
    is_stable: bool
    num_windows: int
    answers_in_all: int
    bytes_in_all: int
    cpu_seconds: float


def agree(windows: Sequence[Window]) -> bool:
    """Whether three windows agree within 10 %, in requests/s and in median latency."""
    if len(windows) < 3 or not all(window.latencies for window in windows):
        return False
    for values in ([w.requests_per_second for w in windows], [median(w.latencies) for w in windows]):
        if max(values) > (1 + AGREEMENT) * min(values):
            return False
    return True


def summary(windows: Sequence[Window], first: Window) -> Measured:
    """The last three windows together; ``first`` is the one that does not count."""
    last = windows[-3:]
    latencies = sorted(value for window in last for value in window.latencies)
    seconds = sum(window.seconds for window in last)
    statuses: dict[int, int] = {}
    for window in last:
        for status, number in window.statuses.items():
            statuses[status] = statuses.get(status, 0) + number
    return Measured(
        requests_per_second=len(latencies) / seconds,
        p50=quantile(latencies, 0.50),
        p99=quantile(latencies, 0.99),
        num_answers=len(latencies),
        statuses=statuses,
        bytes_per_second=sum(window.num_bytes for window in last) / seconds,
        is_stable=agree(last),
        num_windows=len(windows),
        answers_in_all=sum(len(window.latencies) for window in [first, *windows]),
        bytes_in_all=sum(window.num_bytes for window in [first, *windows]),
        cpu_seconds=time.process_time(),
    )


def quantile(ordered: Sequence[float], part: float) -> float:
    """The value that ``part`` of them do not exceed; NaN where there are none."""
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")


async def measure(load: Load) -> Measured:
    """Send the load, after one second that does not count."""
    seeds = count(1)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(60)) as session:
        asker = _Asker(session, load, seeds)
        first = await asker.window(1.0)
        windows: list[Window] = []
        while len(windows) < load.most_windows and not agree(windows[-3:]):
            windows.append(await asker.window(WINDOW_SECONDS))
        await asker.stop()
    return summary(windows, first)


class _Asker:
    """Keeps the askers of a load going, and counts what they see in windows."""

    def __init__(self, session: aiohttp.ClientSession, load: Load, seeds: Iterator[int]) -> None:
        self._session, self._load, self._seeds = session, load, seeds
        self._latencies: list[float] = []
        self._statuses: dict[int, int] = {}
        self._num_bytes = 0
        if load.rate is not None:
            self._tasks = [asyncio.create_task(self._at_a_rate(load.rate))]
        else:
            self._tasks = [asyncio.create_task(self._one_by_one()) for _ in range(load.concurrency)]
        self._sent: set[asyncio.Task[None]] = set()

    async def window(self, seconds: float) -> Window:
        """What comes within a time."""
        self._latencies, self._statuses, self._num_bytes = [], {}, 0
        started = time.perf_counter()
        done, _ = await asyncio.wait(self._tasks, timeout=seconds)
        for task in done:
            task.result()  # an asker ends with an error alone
        return Window(time.perf_counter() - started, self._latencies, self._statuses, self._num_bytes)

    async def stop(self) -> None:
        """End all askers."""
        tasks = [*self._tasks, *self._sent]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _one_by_one(self) -> None:
        while True:
            await self._ask()

    async def _at_a_rate(self, rate: float) -> None:
        started = time.perf_counter()
        for number in count():
            await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
            task = asyncio.create_task(self._ask())
            self._sent.add(task)
            task.add_done_callback(self._sent.discard)

    async def _ask(self) -> None:
        body = self._load.body.replace("{seed}", str(next(self._seeds)))
        started = time.perf_counter()
        async with self._session.post(self._load.url, data=body.encode(), headers=self._load.headers) as answer:
            content = await answer.read()
        if answer.status == 200:
            self._latencies.append(time.perf_counter() - started)
            self._num_bytes += len(content)
        self._statuses[answer.status] = self._statuses.get(answer.status, 0) + 1


def main() -> None:
    """Read a load, print what it measured."""
    print(json.dumps(asdict(asyncio.run(measure(Load(**json.load(sys.stdin)))))))


if __name__ == "__main__":
    main()
