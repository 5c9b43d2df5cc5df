"""What the parts of the client have in common: the connection."""

from helmholtz.connection import Connection


class Room:
    """A part of the client: the calls of one chapter of the API."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
