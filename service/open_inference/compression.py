"""Request bodies that are compressed with gzip or deflate, inflated no further than the bound on bodies."""

import zlib

from fastapi import Request

from service.rest.bodies import read_bytes
from service.use_cases.off_the_loop import off_the_loop
from workers.settings import PREFIX, Settings
from zoo.specs.errors import MalformedError, PayloadTooLargeError

_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_ENCODING = b"content-encoding"


async def read_inflated(request: Request, settings: Settings) -> bytes:
    """The whole body, inflated when its Content-Encoding is gzip or deflate.

    Raises:
        PayloadTooLargeError: it has more than ``max_body_bytes``, as it comes or inflated; reading stops there.
        MalformedError: it is not compressed as it says, or bytes follow its end.
        UnsupportedMediaTypeError: it is compressed in another way.
        ClientGoneError: the client closed the connection in the middle of it.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in _WINDOW_BITS:
        return await read_bytes(request, settings)
    headers = [(name, value) for name, value in request.scope["headers"] if name.lower() != _ENCODING]
    compressed = await read_bytes(Request({**request.scope, "headers": headers}, request.receive), settings)
    return await off_the_loop(settings.max_body_bytes, inflate, compressed, encoding, settings.max_body_bytes)


def inflate(compressed: bytes, encoding: str, most: int) -> bytes:
    """What ``compressed`` holds, at most ``most`` bytes.

    Raises:
        PayloadTooLargeError: it holds more.
        MalformedError: it is not compressed with ``encoding``, is cut short, or bytes follow its end.
    """
    inflater = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        content = inflater.decompress(compressed, most + 1)
    except zlib.error:
        content = None
    if content is not None and len(content) > most:
        msg = f"the body has more than {most} bytes when it is inflated (setting {PREFIX}MAX_BODY_BYTES)"
        raise PayloadTooLargeError(msg)
    if content is None or not inflater.eof or inflater.unused_data:
        msg = f"Content-Encoding is {encoding}, and the body is not {encoding} from its first to its last byte"
        raise MalformedError(msg)
    return content
