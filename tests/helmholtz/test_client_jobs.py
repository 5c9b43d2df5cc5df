"""Jobs and their events: submission, lists, and streams that break and go on."""

import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from helmholtz import Client, JobCancelledError, JobFailedError, ServiceUnreachableError, WaitTimeoutError
from helmholtz.connection import Connection
from helmholtz.errors import ConflictError, NotFoundError, UnexpectedAnswerError
from helmholtz.events import Event, Follower, decode, lines

Scripted = Callable[..., tuple[Client, list[httpx.Request], list[float]]]


class Chunks(httpx.SyncByteStream):
    """A body that arrives in pieces, and breaks at the end when told to."""

    def __init__(self, *pieces: str, breaks: Exception | None = None) -> None:
        self._pieces = pieces
        self._breaks = breaks

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            yield piece.encode()
        if self._breaks is not None:
            raise self._breaks


def stream(*pieces: str, breaks: Exception | None = None) -> httpx.Response:
    return httpx.Response(200, stream=Chunks(*pieces, breaks=breaks), headers={"content-type": "text/event-stream"})


def event(number: int, kind: str, **data: object) -> str:
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"


def job(state: str, **fields: object) -> httpx.Response:
    return httpx.Response(200, json={"id": "j1", "kind": "train", "state": state} | fields)


QUEUED = event(1, "state", state="queued")
STEP = event(2, "progress", step=10, max_steps=20, fraction=0.5, eta_seconds=3.0)
LOSS = event(3, "metric", step=10, loss=-1.5)
DONE = event(4, "state", state="succeeded")


def test_a_sweep_is_sent_as_a_grid_or_as_points_and_read_with_its_children(scripted: Scripted) -> None:
    child = {"id": "j2", "state": "queued", "values": {"target.beta": 0.3}, "model": "m-beta-0.3"}
    answer = {"id": "j1", "kind": "sweep", "state": "queued", "children": [child], "parent": None}
    client, requests, _ = scripted(*(httpx.Response(202, json=answer) for _ in "ab"))
    made = client.sweep({"model": {"family": "made"}}, {"target.beta": [0.3]})
    client.sweep({"model": {"family": "made"}}, points=[{"target.beta": 0.3}])
    common = {"kind": "sweep", "train": {"model": {"family": "made"}}}
    assert json.loads(requests[0].content) == common | {"grid": {"target.beta": [0.3]}}
    assert json.loads(requests[1].content) == common | {"list": [{"target.beta": 0.3}]}
    assert made.children is not None
    assert (made.children[0].model, made.children[0].values) == ("m-beta-0.3", {"target.beta": 0.3})


def test_the_jobs_of_a_sweep_can_be_listed(scripted: Scripted) -> None:
    found = {"jobs": [{"id": "j2", "kind": "train", "state": "queued", "parent": "j1"}], "next_page_token": None}
    client, requests, _ = scripted(httpx.Response(200, json=found))
    assert [job.parent for job in client.jobs(parent="j1")] == ["j1"]
    assert requests[0].url.params["parent"] == "j1"


def test_train_sends_what_was_given_and_nothing_else(scripted: Scripted) -> None:
    client, requests, _ = scripted(httpx.Response(202, json={"id": "j1", "kind": "train", "state": "queued"}))
    made = client.train({"kind": "ising"}, {"family": "made"}, training={"max_steps": 5}, publish="ising-4")
    assert (requests[0].method, requests[0].url.path) == ("POST", "/v1/jobs")
    assert json.loads(requests[0].content) == {
        "kind": "train",
        "target": {"kind": "ising"},
        "model": {"family": "made"},
        "training": {"max_steps": 5},
        "publish": {"model": "ising-4"},
    }
    assert (made.id, made.finished) == ("j1", False)


def test_a_finished_job_names_its_version(scripted: Scripted) -> None:
    times = {"created_at": "2030-01-01T00:00:00Z", "finished_at": "2030-01-01T00:01:00.5Z"}
    client, _, _ = scripted(job("succeeded", result={"model": "ising-4", "version": 3}, **times))
    found = client.job("j1")
    assert found.published == ("ising-4", 3)
    assert found.created_at is not None
    assert found.finished_at is not None
    assert (found.finished_at - found.created_at).total_seconds() == 60.5


def test_lists_join_pages_up_to_the_limit(scripted: Scripted) -> None:
    page = [{"id": f"j{i}", "kind": "train", "state": "queued"} for i in range(3)]
    answers = [
        httpx.Response(200, json={"jobs": page, "next_page_token": "t"}),
        httpx.Response(200, json={"jobs": page, "next_page_token": "u"}),
    ]
    client, requests, _ = scripted(*answers)
    assert len(client.jobs(state="queued", limit=5)) == 5
    assert dict(requests[0].url.params) == {"state": "queued", "page_size": "5"}
    assert dict(requests[1].url.params) == {"state": "queued", "page_size": "5", "page_token": "t"}


def test_verbs_of_a_job(scripted: Scripted) -> None:
    finished = {"title": "t", "status": 409, "detail": "it is over", "reason": "JOB_FINISHED"}
    client, requests, _ = scripted(
        job("running", cancel_requested=True), httpx.Response(409, json=finished), job("queued", retry_of="j0")
    )
    assert client.cancel("j1").cancel_requested
    with pytest.raises(ConflictError) as caught:
        client.cancel("j1")
    assert caught.value.reason == "JOB_FINISHED"
    assert client.retry("j0").retry_of == "j0"
    assert [r.url.path for r in requests] == ["/v1/jobs/j1:cancel", "/v1/jobs/j1:cancel", "/v1/jobs/j0:retry"]
    assert "idempotency-key" in requests[2].headers


def test_series_and_logs(scripted: Scripted) -> None:
    series = {"name": "loss", "points": [{"step": 1, "value": -1.0}, {"step": 2, "value": None}]}
    logs = {"lines": [{"at": "2030-01-01T00:00:00Z", "line": "step 1"}], "next_page_token": None}
    client, requests, _ = scripted(httpx.Response(200, json=series), httpx.Response(200, json=logs))
    assert [(p.step, p.value) for p in client.metrics("j1", "loss")] == [(1, -1.0), (2, None)]
    assert [line.line for line in client.logs("j1")] == ["step 1"]
    assert str(requests[0].url) == "http://service.test/v1/jobs/j1/metrics?name=loss"


def test_events_are_the_same_however_the_bytes_are_cut() -> None:
    text = (
        f": hello\n\n{QUEUED}{STEP}: alive\n\n" + 'id: 9\r\nevent: metric\r\ndata: {"note":\r\ndata: "\u2028"}\r\n\r\n'
    )
    expected = [
        Event("1", "state", {"state": "queued"}),
        Event("2", "progress", {"step": 10, "max_steps": 20, "fraction": 0.5, "eta_seconds": 3.0}),
        Event("9", "metric", {"note": "\u2028"}),
    ]
    for size in range(1, 40):
        chunks = [text[i : i + size] for i in range(0, len(text), size)]
        assert [e for e in decode(lines(chunks)) if e is not None] == expected


def test_an_event_that_is_cut_off_is_not_delivered() -> None:
    assert list(decode(lines([QUEUED, STEP[:-1]]))) == [Event("1", "state", {"state": "queued"})]


def test_data_that_is_not_an_object_is_refused() -> None:
    with pytest.raises(UnexpectedAnswerError, match="JSON object"):
        list(decode(["data: 3", ""]))


def test_events_end_with_the_last_state(scripted: Scripted) -> None:
    client, requests, _ = scripted(stream(QUEUED, STEP, LOSS, DONE, "and more"))
    assert [e.id for e in client.events("j1")] == ["1", "2", "3", "4"]
    assert requests[0].url.path == "/v1/jobs/j1/events"
    assert requests[0].headers["accept"] == "text/event-stream"
    assert "last-event-id" not in requests[0].headers


def test_a_broken_stream_is_resumed_after_its_last_whole_event(scripted: Scripted) -> None:
    broken = httpx.RemoteProtocolError("peer closed")
    client, requests, pauses = scripted(
        stream(QUEUED, STEP, LOSS[:-5], breaks=broken),
        httpx.ConnectError("restarting"),
        httpx.Response(503, json={"status": 503}, headers={"retry-after": "1"}),
        stream(LOSS, DONE),
    )
    assert [e.id for e in client.events("j1")] == ["1", "2", "3", "4"]
    assert [r.headers.get("last-event-id") for r in requests] == [None, "2", "2", "2"]
    assert pauses == [0.2, 0.4, 1.0]


def test_a_quiet_stream_is_opened_again_without_counting_as_broken(scripted: Scripted) -> None:
    quiet = [stream(breaks=httpx.ReadTimeout("quiet")) for _ in range(30)]
    client, _, pauses = scripted(stream(QUEUED, breaks=httpx.ReadTimeout("quiet")), *quiet, stream(DONE))
    assert [e.id for e in client.events("j1")] == ["1", "4"]
    assert pauses == []


def test_events_may_start_in_the_middle_or_after_the_end(scripted: Scripted) -> None:
    client, requests, _ = scripted(stream(LOSS, DONE))
    assert [e.id for e in client.events("j1", after=2)] == ["3", "4"]
    assert requests[0].headers["last-event-id"] == "2"
    client, _, _ = scripted(stream(), job("succeeded"), stream())
    assert list(client.events("j1", after=4)) == []


def test_a_job_that_ends_between_two_streams_loses_no_event(scripted: Scripted) -> None:
    client, _, _ = scripted(stream(QUEUED), job("succeeded"), stream(DONE))
    assert [e.id for e in client.events("j1")] == ["1", "4"]


def test_a_stream_that_never_gets_anywhere_is_given_up(scripted: Scripted) -> None:
    answers = [answer for _ in range(10) for answer in (stream(), job("running"))]
    client, _, _ = scripted(stream(QUEUED), job("running"), *answers)
    with pytest.raises(ServiceUnreachableError, match="ended 7 times"):
        list(client.events("j1"))


def test_an_unknown_job_or_an_absent_service_is_said_at_once(scripted: Scripted) -> None:
    client, requests, _ = scripted(httpx.Response(404, json={"status": 404, "detail": "no job j1"}))
    with pytest.raises(NotFoundError, match="no job j1"):
        list(client.events("j1"))
    assert len(requests) == 1
    client, requests, _ = scripted(httpx.ConnectError("refused"))
    with pytest.raises(ServiceUnreachableError):
        list(client.events("j1"))
    assert len(requests) == 1


def test_wait_shows_events_and_returns_the_job(scripted: Scripted) -> None:
    client, _, _ = scripted(stream(QUEUED, STEP, LOSS, DONE), job("succeeded", result={"model": "m", "version": 1}))
    seen: list[str] = []
    assert client.wait("j1", lambda e: seen.append(e.kind)).published == ("m", 1)
    assert seen == ["state", "progress", "metric", "state"]


@pytest.mark.parametrize(("state", "error_class"), [("failed", JobFailedError), ("cancelled", JobCancelledError)])
def test_wait_says_how_a_job_ended_without_a_result(
    scripted: Scripted, state: str, error_class: type[JobFailedError | JobCancelledError]
) -> None:
    ended = job(state, error={"type": "NumericalError", "title": "t", "detail": "the loss is NaN", "reason": "R"})
    client, _, _ = scripted(stream(QUEUED, event(2, "state", state=state)), ended)
    with pytest.raises(error_class, match=r"NaN|cancelled") as caught:
        client.wait("j1")
    assert (caught.value.job_id, caught.value.state) == ("j1", state)


def test_waiting_ends_at_its_deadline_though_comments_keep_coming(scripted: Scripted) -> None:
    now = iter(range(100))
    endless = stream(*[": alive\n\n"] * 1000)
    with_clock = httpx.MockTransport(lambda _: endless)
    connection = Connection("http://service.test", transport=with_clock)
    follower = Follower(connection, "/v1/jobs/j1/events", lambda: False, deadline=20, clock=lambda: float(next(now)))
    with pytest.raises(WaitTimeoutError, match="goes on"):
        list(follower.events())
    connection.close()
    client, requests, _ = scripted()
    with pytest.raises(WaitTimeoutError):
        client.wait("j1", timeout=0)
    assert requests == []
