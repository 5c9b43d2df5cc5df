"""What a request carries beside what it asks: who sends it, what it is called in the logs, whether it wants no cache.

Both protocols set them once for each request; whatever serves it can look them up.
"""

import re
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, replace
from itertools import count

_GATEWAY = uuid.uuid4().hex
_NUMBERS = count()
_TRACE = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@dataclass(frozen=True)
class Wishes:
    """``trace`` names the request in logs; ``caller`` is None where no key is asked for."""

    trace: str = ""
    caller: str | None = None
    use_cache: bool = True


NO_WISHES = Wishes()
WISHES: ContextVar[Wishes] = ContextVar("wishes", default=NO_WISHES)


def want_no_cache() -> None:
    """Have the request that is being served answered anew, and its answer kept by nobody."""
    WISHES.set(replace(WISHES.get(), use_cache=False))


def new_id() -> str:
    """An id that no other request has, in this process or in another one: its own number, and that of the process."""
    return f"{_GATEWAY}{next(_NUMBERS):x}"


def trace_or_new(given: str | None) -> str:
    """The name that the client gave to its request, where it can stand in a log, or a new one."""
    return given if given is not None and _TRACE.fullmatch(given) else new_id()[16:]
