"""Ports of a stack: free ones where 0 was asked, and a clear refusal where somebody else listens."""

import socket

from service.launcher.errors import StartError


class ReservedPort:
    """A port that stays ours from the choice to the end of the stack, also while the gateway is being restarted.

    The socket is bound and never listens; the gateway binds beside it with SO_REUSEPORT.
    """

    def __init__(self, host: str, port: int, setting: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family) as probe:  # without SO_REUSEPORT: fails beside any other socket
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
                probe.listen()
                port = probe.getsockname()[1]
            self._socket = socket.socket(family)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._socket.bind((host, port))
        except (OSError, OverflowError) as error:
            msg = f"cannot listen on {host}:{port}: {error}; choose another port with {setting} (0 takes a free one)"
            raise StartError(msg) from None
        self.port: int = port

    def release(self) -> None:
        """Give the port back."""
        self._socket.close()
