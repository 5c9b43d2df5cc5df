"""What the client's headers ask for: the type of the answer, and the time it may take."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from service.context import build_context
from service.rest.dependencies import ClientGoneError, seconds_allowed, while_connected
from service.rest.encoding import negotiate, plain, timing
from service.rest.problems import status_of
from workers.settings import Settings
from zoo.specs.errors import InvalidValueError, NotAcceptableError, NotFoundError

JSON, NPY = "application/json", "application/x-npy"


def request(**headers: str) -> Request:
    encoded = [(name.encode(), value.encode("latin1")) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "headers": encoded})


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (NPY, NPY),
        ("Application/X-NPY", NPY),
        (f"{JSON}, {NPY}", JSON),
        (f"{NPY}, {JSON}", NPY),
        (f"{JSON};q=0.5, {NPY}", NPY),
        (f"{JSON};q=0.5, {NPY};q=0.4", JSON),
        (f"{NPY} ; q=0.9 , {JSON} ; q=0.95", JSON),
        (f"text/html, {NPY};q=0.1", NPY),
        ("text/html,*/*;q=0.8", JSON),
        (f"{JSON};q=0, {NPY};q=0.1", NPY),
        (f"{NPY};q=high, {JSON}", JSON),
        (f"{JSON};q=0, */*", NPY),
        ("application/*;q=0.2, text/html", JSON),
        (f"{NPY};version=1;q=1, {JSON};q=0.9", NPY),
    ],
)
def test_the_best_accepted_type_is_chosen(accept: str, chosen: str) -> None:
    assert negotiate(request(accept=accept)) == chosen


def test_without_a_wish_it_is_json() -> None:
    assert negotiate(request()) == JSON


@pytest.mark.parametrize("accept", ["text/html", "application/xml, image/*", f"{JSON};q=0", f"{NPY};q=nan", ""])
def test_other_types_are_not_acceptable(accept: str) -> None:
    with pytest.raises(NotAcceptableError, match=f"{JSON} and {NPY}"):
        negotiate(request(accept=accept))


def allowed(prefer: str | None) -> float:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            data_dir=Path(folder), redis_url="unix:///nowhere", sync_limit_seconds=10, max_wait_seconds=300
        )
        return asyncio.run(seconds_allowed(build_context(settings), prefer))


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 10),
        ("", 10),
        ("respond-async", 10),
        ("wait=25", 25),
        ("wait = 25", 25),
        ("wait=0.5", 0.5),
        ("respond-async, wait=300", 300),
        ("wait=20; respond-async", 20),
        ("await=20", 10),
    ],
)
def test_the_client_says_how_long_it_waits(prefer: str | None, seconds: float) -> None:
    assert allowed(prefer) == seconds


@pytest.mark.parametrize(
    "prefer", ["wait=0", "wait=301", "wait=0.0", "wait=99999999999999999999", "wait=soon", "wait=-1", "wait=nan"]
)
def test_a_wait_that_is_not_allowed_is_named(prefer: str) -> None:
    with pytest.raises(InvalidValueError, match="at most 300") as caught:
        allowed(prefer)
    assert [error.path for error in caught.value.errors] == ["Prefer"]


class Connection:
    """A client whose connection can be closed; ``request`` is what a route sees after it has read the body."""

    def __init__(self) -> None:
        self._gone = asyncio.Event()
        self.request = Request({"type": "http", "method": "POST", "headers": []}, self._receive)

    def close(self) -> None:
        self._gone.set()

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}


def test_work_is_cancelled_when_the_client_goes() -> None:
    async def scene() -> list[str]:
        connection, told = Connection(), list[str]()

        async def work() -> None:
            connection.close()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                told.append("cancelled")
                raise

        with pytest.raises(ClientGoneError):
            await while_connected(connection.request, work())
        return told

    assert asyncio.run(asyncio.wait_for(scene(), 5)) == ["cancelled"]


def test_the_result_comes_when_the_client_stays() -> None:
    async def scene() -> tuple[int, int]:
        async def work() -> int:
            await asyncio.sleep(0)
            return 7

        answer = await while_connected(Connection().request, work())
        await asyncio.sleep(0)  # what was cancelled ends
        return answer, len(asyncio.all_tasks())

    assert asyncio.run(scene()) == (7, 1)


def test_the_works_own_error_comes_out() -> None:
    async def scene() -> None:
        async def work() -> None:
            msg = "no such thing"
            raise NotFoundError(msg)

        await while_connected(Connection().request, work())

    with pytest.raises(NotFoundError, match="no such thing"):
        asyncio.run(scene())


def test_work_is_cancelled_with_the_one_who_waits_for_it() -> None:
    async def scene() -> bool:
        ended = asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()

        before = asyncio.all_tasks()
        waiting = asyncio.create_task(while_connected(Connection().request, work()))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return ended.is_set() and asyncio.all_tasks() == before

    assert asyncio.run(asyncio.wait_for(scene(), 5))


def test_a_client_that_has_gone_is_no_fault_of_the_service() -> None:
    assert status_of(ClientGoneError("gone")) == 499


def test_small_words_of_answers() -> None:
    assert [plain(x) for x in (1.5, float("nan"), float("inf"), "a", None)] == [1.5, None, None, "a", None]
    assert timing(queue=0.0015, compute=2) == "queue;dur=1.500, compute;dur=2000.000"
