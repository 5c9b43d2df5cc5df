"""Why a stack cannot be started, in words for the person at the terminal."""


class StartError(Exception):
    """The stack cannot be started as it is configured; the command ends with exit code 2."""
