"""Answers that were given before: sampling is a pure function of version, operation, parameters and seed."""

import hashlib
from collections import OrderedDict
from typing import Any

import numpy as np
from prometheus_client import Counter, Gauge

from service.metrics import METRICS
from workers.messages import pack

LOOKED_UP = Counter("helmholtz_response_cache", "Answers looked for in the cache", ("outcome",), registry=METRICS)
HELD = Gauge("helmholtz_response_cache_bytes", "Bytes of the answers in the cache", registry=METRICS)
EVICTED = Counter("helmholtz_response_cache_evictions", "Answers dropped from the cache", registry=METRICS)

PURE = frozenset({"sample", "log_likelihood", "class_log_likelihood", "complete"})
"""Operations whose answers depend on their payload alone; estimates of free energies are stored each time."""

_OVERHEAD_BYTES = 1024  # of an entry, beside its arrays

Part = dict[str, Any]


class ResponseCache:
    """The latest answers, at most ``max_bytes`` of them; 0 keeps none."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._answers: OrderedDict[bytes, tuple[list[Part], int]] = OrderedDict()
        self._bytes = 0

    def keeps(self, operation: str) -> bool:
        """Whether answers to this operation are kept at all."""
        return self._max_bytes > 0 and operation in PURE

    def key(self, operation: str, payload: Part) -> bytes:
        """What an answer is found by, in 32 bytes.  Versions are immutable and never numbered again."""
        return hashlib.sha256(pack([operation, payload])).digest()

    def get(self, key: bytes) -> list[Part] | None:
        """The parts of an answer that was given before."""
        found = self._answers.get(key)
        LOOKED_UP.labels("miss" if found is None else "hit").inc()
        if found is None:
            return None
        self._answers.move_to_end(key)
        return found[0]

    def put(self, key: bytes, parts: list[Part]) -> None:
        """Keep an answer, unless it is larger than the cache."""
        size = len(key) + sum(_size(part) for part in parts)
        if size > self._max_bytes or key in self._answers:
            return
        self._answers[key] = (parts, size)
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, (_, dropped) = self._answers.popitem(last=False)
            self._bytes -= dropped
            EVICTED.inc()
        HELD.set(self._bytes)


def _size(part: Part) -> int:
    return _OVERHEAD_BYTES + sum(value.nbytes for value in part.values() if isinstance(value, np.ndarray))
