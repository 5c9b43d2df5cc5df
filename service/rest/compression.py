"""Bodies that travel compressed: requests inflated no further than the bound on bodies, answers where it is asked."""

import zlib
from collections.abc import Sequence
from typing import Protocol

from backports import zstd

from service.rest.formats.parted import Buffer
from workers.settings import PREFIX
from zoo.specs.errors import MalformedError, PayloadTooLargeError

IDENTITY = "identity"
ENCODINGS = ("zstd", "gzip")
"""Content codings that are read and answered, the better first."""

_WINDOW_LOG = 23  # 8 MiB, what every reader of zstd over HTTP has: RFC 9659
_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 1  # spins shrink eightfold at any level; the first takes the least time


class _Inflater(Protocol):
    """What zlib and zstd have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


class _Deflater(Protocol):
    """What zlib and zstd have in common."""

    def compress(self, data: Buffer, /) -> bytes: ...

    def flush(self) -> bytes: ...


def inflate(compressed: bytes, encoding: str, most: int) -> bytes:
    """What ``compressed`` holds, at most ``most`` bytes; ``encoding`` is one of ``ENCODINGS``.

    Raises:
        PayloadTooLargeError: it holds more; no more than one byte of it has been inflated.
        MalformedError: it is not compressed with ``encoding``, is cut short, or bytes follow its end.
    """
    inflater = _inflater(encoding)
    try:
        content = inflater.decompress(compressed, most + 1)
    except (zlib.error, zstd.ZstdError):
        content = None
    if content is not None and len(content) > most:
        msg = f"the body has more than {most} bytes when it is inflated (setting {PREFIX}MAX_BODY_BYTES)"
        raise PayloadTooLargeError(msg)
    if content is None or not inflater.eof or inflater.unused_data:
        msg = (
            f"Content-Encoding is {encoding}, and the body is not one {encoding} stream from its first to its last "
            f"byte, with a window of at most {2**_WINDOW_LOG} bytes"
        )
        raise MalformedError(msg)
    return content


def accepted_encoding(header: str) -> str:
    """The content coding that an Accept-Encoding header names and likes best; identity where it names none."""
    qualities = dict(map(_quality, header.lower().split(",")))
    best = max(ENCODINGS, key=lambda encoding: qualities.get(encoding, 0.0))  # the first of equals
    liked = qualities.get(best, 0.0)
    return best if liked > 0 and liked >= qualities.get(IDENTITY, 0.0) else IDENTITY


def deflated(buffers: Sequence[Buffer], encoding: str) -> list[Buffer]:
    """The bytes compressed, in pieces; nothing of the size of all of them is made but the outcome."""
    deflater = _deflater(encoding)
    pieces = [deflater.compress(buffer) for buffer in buffers]
    return [piece for piece in (*pieces, deflater.flush()) if piece]


def _quality(item: str) -> tuple[str, float]:
    name, _, parameter = item.partition(";")
    key, _, value = parameter.partition("=")
    try:
        return name.strip(), float(value) if key.strip() == "q" else 1.0
    except ValueError:
        return name.strip(), 0.0


def _inflater(encoding: str) -> _Inflater:
    if encoding == "zstd":
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})
    return zlib.decompressobj(_GZIP)


def _deflater(encoding: str) -> _Deflater:
    return zstd.ZstdCompressor(level=_LEVEL) if encoding == "zstd" else zlib.compressobj(_LEVEL, wbits=_GZIP)
