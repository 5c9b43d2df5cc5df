"""One HTTP connection to a service: requests, bounded retries, and problems as exceptions."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import httpx

from helmholtz.arrays import JSON, to_json
from helmholtz.errors import (
    ApiError,
    InvalidArgumentError,
    NoAnswerInTimeError,
    ServiceUnreachableError,
    UnexpectedAnswerError,
    api_error,
)

RETRIED_STATUSES = frozenset({429, 503})
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long to try again: only what may be repeated, after 429, 503 or a connection that broke.

    The k-th pause is what Retry-After says, or ``first_pause * 2^k``; one longer than ``longest_pause`` is not waited
    for.
    """

    max_retries: int = 6
    first_pause: float = 0.2
    longest_pause: float = 30.0
    sleep: Callable[[float], None] = time.sleep

    def pause(self, attempt: int) -> float:
        """Seconds before retry number ``attempt`` (from 0) when the service names none."""
        return min(self.first_pause * 2.0**attempt, self.longest_pause)


@dataclass(frozen=True)
class Call:
    """One request.  ``repeatable`` says that sending it twice does what sending it once does.

    ``timeout`` is in seconds, where another one than the connection's is meant.
    """

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    timeout: float | None = None


def json_call(path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None, **options: Any) -> Call:  # noqa: ANN401 - fields of Call
    """A POST (or the ``method`` of ``options``) with a JSON body; entries of ``body`` that are None are left out."""
    content = to_json({name: value for name, value in body.items() if value is not None})
    options.setdefault("method", "POST")
    return Call(path=path, content=content, headers={"Content-Type": JSON, **(headers or {})}, **options)


def path_of(*segments: str | int) -> str:
    """``/v1/`` and the segments, each escaped.

    Raises:
        InvalidArgumentError: a segment that is empty or made of dots, which would name another resource.
    """
    for segment in segments:
        if not str(segment).strip("."):
            msg = f"a name in {'/'.join(map(str, segments))!r} is {segment!r}; a name has letters or digits"
            raise InvalidArgumentError(msg)
    return "/v1/" + "/".join(quote(str(segment), safe="") for segment in segments)


class Connection:
    """A connection pool to one service.  Threads may share it."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        timeout: float = 120.0,
        transport: httpx.BaseTransport | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.url = _checked_url(url)
        self.timeout = timeout
        self.retry = retry or RetryPolicy()
        self.reached = False
        headers = {"User-Agent": f"helmholtz-python/{version('helmholtz')}"}
        if httpx.URL(self.url).host in LOOPBACK:
            headers["Accept-Encoding"] = "identity"  # compressing takes longer than sending to this machine
        if api_key is not None:
            headers["Authorization"] = f"Bearer {api_key}"
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            transport=transport,
            trust_env=httpx.URL(self.url).host not in LOOPBACK,  # a proxy cannot reach this machine's loopback
        )

    def close(self) -> None:
        """Close the pool."""
        self._http.close()

    def send(self, call: Call) -> httpx.Response:
        """The service's 2xx answer to ``call``.

        Raises:
            ApiError: the service refused.
            ServiceUnreachableError: no answer came.
        """
        for attempt in range(self.retry.max_retries):
            try:
                return self._send_once(call)
            except (ApiError, ServiceUnreachableError) as error:
                pause = self._pause_before_repeating(call, error, attempt)
                if pause is None:
                    raise
            self.retry.sleep(pause)
        return self._send_once(call)

    def json(self, call: Call) -> dict[str, Any]:
        """The JSON object that answers ``call``."""
        return self.read_object(self.send(call))

    def get(self, path: str, **params: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a query string holds
        """The JSON object at ``path``; parameters that are None are left out."""
        return self.json(Call("GET", path, params={k: v for k, v in params.items() if v is not None}))

    def pages(self, path: str, plural: str, limit: int | None = None, **params: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        """The entries of a list, its pages joined, at most ``limit``."""
        entries: list[dict[str, Any]] = []
        token: str | None = None
        while limit is None or len(entries) < limit:
            page = self.get(path, **params, page_token=token)
            if not isinstance(page.get(plural), list):
                raise self._not_helmholtz(f"{path} has no list {plural!r}")
            entries += page[plural]
            token = page.get("next_page_token")
            if not token:
                break
        return entries[:limit]

    def probe(self, path: str) -> httpx.Response | None:
        """The answer to one GET, whatever its status, or None when there is none."""
        try:
            return self._http.get(path)
        except httpx.TransportError:
            return None

    def read_object(self, response: httpx.Response) -> dict[str, Any]:
        """The JSON object that ``response`` carries.

        Raises:
            UnexpectedAnswerError: it carries something else.
        """
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            kind = response.headers.get("content-type", "no content type")
            raise self._not_helmholtz(f"{response.request.url.path} answered {response.status_code} with {kind}")
        return body

    @contextmanager
    def stream(self, call: Call, read_timeout: float) -> Iterator[httpx.Response]:
        """The 2xx answer to ``call`` while it arrives; at most ``read_timeout`` seconds between its parts."""
        timeout = httpx.Timeout(self.timeout, read=read_timeout)
        request = self._http.build_request(
            call.method, call.path, params=call.params, headers=call.headers, timeout=timeout
        )
        with self._transport_errors():
            response = self._http.send(request, stream=True)
        try:
            if not response.is_success:
                with self._transport_errors():
                    response.read()
            self._raise_for_status(response)
            yield response
        finally:
            response.close()

    def _send_once(self, call: Call) -> httpx.Response:
        with self._transport_errors():
            response = self._http.request(
                call.method,
                call.path,
                params=call.params,
                content=call.content,
                headers=call.headers,
                timeout=httpx.USE_CLIENT_DEFAULT if call.timeout is None else call.timeout,
            )
        self._raise_for_status(response)
        return response

    def _raise_for_status(self, response: httpx.Response) -> None:
        self.reached = True
        if response.is_success:
            return
        if response.status_code < 400:
            raise self._not_helmholtz(f"{response.request.url.path} answered {response.status_code}")
        raise api_error(response.status_code, _problem(response), _retry_after(response))

    def _pause_before_repeating(
        self, call: Call, error: ApiError | ServiceUnreachableError, attempt: int
    ) -> float | None:
        """Seconds to wait before ``call`` is sent again, or None when it must not be."""
        if not call.repeatable or isinstance(error, NoAnswerInTimeError):
            return None
        pause = self.retry.pause(attempt)
        if isinstance(error, ServiceUnreachableError):
            return pause if self.reached else None  # who has never answered is not restarting
        if error.status not in RETRIED_STATUSES:
            return None
        pause = pause if error.retry_after is None else error.retry_after
        return pause if pause <= self.retry.longest_pause else None

    @contextmanager
    def _transport_errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError as error:
            msg = (
                f"no Helmholtz service answers at {self.url} ({error}); start one with `helmholtz serve`, "
                "or name another URL"
            )
            raise ServiceUnreachableError(msg) from None
        except httpx.TimeoutException:
            msg = f"{self.url} gave no answer in {self.timeout:g} s; give the client a longer timeout, or ask for less"
            raise NoAnswerInTimeError(msg) from None
        except httpx.TransportError as error:
            self.reached = True
            msg = f"the connection to {self.url} broke before the answer came ({error or type(error).__name__})"
            raise ServiceUnreachableError(msg) from None

    def _not_helmholtz(self, what: str) -> UnexpectedAnswerError:
        return UnexpectedAnswerError(f"{what}; {self.url} does not look like a Helmholtz service of this version")


def _checked_url(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        parsed = httpx.URL("")
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        msg = f"the URL of the service is {url!r}; expected http://HOST:PORT or https://HOST, as http://127.0.0.1:8000"
        raise InvalidArgumentError(msg)
    return str(url).rstrip("/")


def _problem(response: httpx.Response) -> dict[str, Any]:
    """The problem document, or the little that a proxy's error page tells."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict):
        return body
    path = response.request.url.path
    return {"detail": f"{path} answered {response.status_code} {response.reason_phrase} without a problem document"}


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds named by Retry-After, given as a number or as a date."""
    text = response.headers.get("retry-after")
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
