"""The client: one object with every question that a service answers."""

from types import TracebackType
from typing import Self

import httpx

from helmholtz.completion import CompletionCalls
from helmholtz.connection import Connection, RetryPolicy
from helmholtz.datasets import DatasetCalls
from helmholtz.draws import DrawCalls
from helmholtz.jobs import JobCalls
from helmholtz.registry import RegistryCalls
from helmholtz.zoo import ZooCalls

DEFAULT_URL = "http://127.0.0.1:8000"


class Client(ZooCalls, JobCalls, DrawCalls, DatasetCalls, RegistryCalls, CompletionCalls):
    """A Helmholtz service at ``url``.

    >>> with Client("http://127.0.0.1:8000") as client:  # doctest: +SKIP
    ...     job = client.wait(client.train({"kind": "ising", "shape": [8, 8], "beta": 0.44}, {"family": "pixelcnn"}))
    ...     model, version = job.published
    ...     spins = client.sample(model, n=1000, seed=7).samples

    Requests that may be repeated are, after 429, 503 or a broken connection, as ``retry`` says; ``timeout`` is in
    seconds, for one answer.  Threads may share a client.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        api_key: str | None = None,
        timeout: float = 120.0,
        *,
        transport: httpx.BaseTransport | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        super().__init__(Connection(url, api_key, timeout, transport, retry))

    @property
    def url(self) -> str:
        """Where the service is."""
        return self._connection.url

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
