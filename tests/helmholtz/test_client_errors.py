"""Problems as exceptions, and what is sent again after which failure."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from helmholtz import (
    ApiError,
    Client,
    HelmholtzError,
    InvalidArgumentError,
    InvalidValueError,
    ServiceUnreachableError,
    UnavailableError,
    UnexpectedAnswerError,
)
from helmholtz.errors import ClientFaultError, NoAnswerInTimeError, ServerFaultError, api_error

Scripted = Callable[..., tuple[Client, list[httpx.Request], list[float]]]


def problem(status: int, detail: str = "no", reason: str = "NO", **headers: str) -> httpx.Response:
    body = {"type": "about:blank", "title": "No", "status": status, "detail": detail, "reason": reason}
    return httpx.Response(status, json=body, headers={"content-type": "application/problem+json"} | headers)


OK = {"version": "0.1.0"}
JOB = {"id": "j1", "kind": "train", "state": "queued"}


def test_a_problem_becomes_an_error_with_all_it_says(scripted: Scripted) -> None:
    body = {
        "title": "A value is not allowed",
        "status": 422,
        "detail": "samples[0][1] is 0; spins are -1 or 1",
        "reason": "INVALID_VALUE",
        "errors": [{"path": "samples[0][1]", "message": "is 0", "allowed": "-1 or 1"}, {"path": "n", "message": "odd"}],
    }
    client, _, _ = scripted(httpx.Response(422, json=body))
    with pytest.raises(InvalidValueError) as caught:
        client.info()
    error = caught.value
    assert (error.status, error.title, error.reason) == (422, "A value is not allowed", "INVALID_VALUE")
    assert error.errors[0].path == "samples[0][1]"
    assert str(error) == "samples[0][1] is 0; spins are -1 or 1 (HTTP 422, INVALID_VALUE)\n  n: odd"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 406, 409, 412, 413, 415, 418, 422, 428, 429])
def test_every_4xx_is_the_clients_fault(status: int) -> None:
    assert isinstance(api_error(status, {}), ClientFaultError)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_every_5xx_is_the_servers_fault(status: int) -> None:
    assert isinstance(api_error(status, {}), ServerFaultError)


@pytest.mark.parametrize(
    "body", [b"<html>Bad gateway</html>", b"[1, 2]", b'{"errors": ["odd"]}', b'{"errors": null, "detail": null}']
)
def test_an_error_page_without_a_problem_is_still_an_api_error(scripted: Scripted, body: bytes) -> None:
    client, _, _ = scripted(httpx.Response(502, content=body))
    with pytest.raises(ApiError, match="502"):
        client.info()


@pytest.mark.parametrize("answer", [httpx.Response(200, text="hello"), httpx.Response(200, json=[1])])
def test_another_kind_of_server_is_recognised(scripted: Scripted, answer: httpx.Response) -> None:
    client, _, _ = scripted(answer)
    with pytest.raises(UnexpectedAnswerError, match=r"service\.test does not look like a Helmholtz service"):
        client.info()


def test_a_redirect_is_not_followed(scripted: Scripted) -> None:
    client, requests, _ = scripted(httpx.Response(302, headers={"location": "http://elsewhere.test"}))
    with pytest.raises(UnexpectedAnswerError):
        client.info()
    assert len(requests) == 1


def test_a_service_that_never_answered_is_unreachable_at_once(scripted: Scripted) -> None:
    client, requests, pauses = scripted(httpx.ConnectError("refused"))
    with pytest.raises(ServiceUnreachableError, match=r"http://service\.test.*helmholtz serve"):
        client.info()
    assert (len(requests), pauses) == (1, [])


def test_a_service_that_has_answered_is_taken_to_restart(scripted: Scripted) -> None:
    refused = httpx.ConnectError("refused")
    client, requests, pauses = scripted(httpx.Response(200, json=OK), refused, refused, httpx.Response(200, json=OK))
    client.info()
    assert client.info().version == "0.1.0"
    assert len(requests) == 4
    assert pauses == [0.2, 0.4]


def test_full_services_are_asked_again_when_they_say(scripted: Scripted) -> None:
    client, requests, pauses = scripted(
        problem(503, **{"retry-after": "2.5"}), problem(429, **{"retry-after": "1"}), httpx.Response(200, json=OK)
    )
    assert client.info().version == "0.1.0"
    assert len(requests) == 3
    assert pauses == [2.5, 1.0]


def test_retry_after_may_be_a_date(scripted: Scripted) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=10), usegmt=True)
    client, _, pauses = scripted(problem(503, **{"retry-after": date}), httpx.Response(200, json=OK))
    client.info()
    assert 5 < pauses[0] <= 10


def test_patience_is_bounded_in_number_and_length(scripted: Scripted) -> None:
    client, requests, _ = scripted(*[problem(503) for _ in range(20)])
    with pytest.raises(UnavailableError):
        client.info()
    assert len(requests) == 7
    client, requests, pauses = scripted(problem(503, **{"retry-after": "3600"}))
    with pytest.raises(UnavailableError) as caught:
        client.info()
    assert caught.value.retry_after == 3600
    assert (len(requests), pauses) == (1, [])


def test_a_timeout_is_not_doubled(scripted: Scripted) -> None:
    client, requests, _ = scripted(httpx.Response(200, json=OK), httpx.ReadTimeout("slow"), timeout=3.0)
    client.info()
    with pytest.raises(NoAnswerInTimeError, match="3 s"):
        client.info()
    assert len(requests) == 2


def test_submitting_is_repeated_under_one_idempotency_key(scripted: Scripted) -> None:
    client, requests, _ = scripted(httpx.ReadError("broke"), httpx.Response(202, json=JOB))
    client.train({"kind": "ising", "shape": [8, 8]}, {"family": "made"})
    first, second = (request.headers["idempotency-key"] for request in requests)
    assert first == second
    assert requests[0].content == requests[1].content
    client, requests, _ = scripted(httpx.Response(202, json=JOB))
    client.train({"kind": "ising", "shape": [8, 8]}, {"family": "made"})
    assert requests[0].headers["idempotency-key"] != first


def test_moving_an_alias_is_never_repeated(scripted: Scripted) -> None:
    client, requests, _ = scripted(httpx.ReadError("broke"))
    with pytest.raises(ServiceUnreachableError, match="broke"):
        client.set_alias("m", "production", 2, if_match='"1"')
    client, requests, _ = scripted(problem(503))
    with pytest.raises(UnavailableError):
        client.rollback("m", "production")
    assert len(requests) == 1


@pytest.mark.parametrize("url", ["localhost:8000", "", "ftp://x", "http://", "http://[::1", None])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="http://HOST:PORT"):
        Client(url)


def test_health_is_a_yes_or_no(scripted: Scripted) -> None:
    client, requests, _ = scripted(httpx.Response(200), problem(503), httpx.ConnectError("refused"))
    assert client.healthy()
    assert not client.ready()
    assert not client.ready()
    assert [r.url.path for r in requests] == ["/healthz", "/readyz", "/readyz"]


def test_the_api_key_travels_as_bearer(scripted: Scripted) -> None:
    client, requests, _ = scripted(httpx.Response(200, json=OK), api_key="k" * 16)
    client.info()
    assert requests[0].headers["authorization"] == "Bearer " + "k" * 16


def test_every_error_is_one_of_ours() -> None:
    assert issubclass(ApiError, HelmholtzError)
    assert issubclass(ServiceUnreachableError, HelmholtzError | ConnectionError)
