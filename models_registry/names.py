"""Names in the registry: what a model and an alias may be called."""

import re

from zoo.specs.errors import InvalidValueError

MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
ALIAS_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")

LATEST = "latest"
"""Reserved: means the newest version that is ready, and never an alias."""
PRODUCTION = "production"
"""The alias that is meant when a request names no version."""


def validate_model_name(name: str) -> str:
    """The name itself.

    Raises:
        InvalidValueError: the name does not match ``^[a-z0-9][a-z0-9._-]{0,62}$``.
    """
    if not MODEL_NAME.fullmatch(name):
        msg = (
            f"{_shown(name)} is not a model name; expected 1 to 63 of a-z, 0-9, '.', '_' and '-', "
            "the first a letter or a digit"
        )
        raise InvalidValueError(msg)
    return name


def validate_alias_name(name: str) -> str:
    """The name itself.

    Raises:
        InvalidValueError: the name does not match ``^[a-z][a-z0-9-]{0,62}$``, or is the reserved ``latest``.
    """
    if name == LATEST:
        msg = "the alias 'latest' is reserved: it always means the newest version; choose another name"
        raise InvalidValueError(msg)
    if not ALIAS_NAME.fullmatch(name):
        msg = f"{_shown(name)} is not an alias; expected 1 to 63 of a-z, 0-9 and '-', the first a letter"
        raise InvalidValueError(msg)
    return name


def _shown(name: str) -> str:
    """The name as a message shows it: quoted, escaped and not longer than 80 characters."""
    return ascii(name if len(name) <= 80 else name[:77] + "...")
