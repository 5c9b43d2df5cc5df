"""The API key of an installation, compared in constant time."""

import hashlib
import hmac

from workers.settings import Settings
from zoo.specs.errors import UnauthenticatedError


def check_authorization(header: str | None, settings: Settings) -> None:
    """Nothing, when no key is configured or ``header`` is ``Bearer`` with the right one.

    Raises:
        UnauthenticatedError: the key is missing or wrong.
    """
    if settings.api_key is None:
        return
    scheme, _, key = (header or "").partition(" ")
    given, expected = (hashlib.sha256(k.encode()).digest() for k in (key, settings.api_key))
    if scheme.lower() != "bearer" or not hmac.compare_digest(given, expected):
        msg = "send the API key of this installation as `Authorization: Bearer KEY`"
        raise UnauthenticatedError(msg)
