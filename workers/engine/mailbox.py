"""An engine's dealings with Redis: requests in, replies out, who has gone; one round trip for everything together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import structlog
from redis import Redis
from redis.exceptions import ResponseError

from workers.messages import (
    CANCEL_KEY,
    ENGINE_GROUP,
    ENGINE_KEY,
    FIELD,
    GATEWAY_KEY,
    OWN_STREAM,
    REQUEST_STREAMS,
    Priority,
    Reply,
    Request,
    decode_request,
    encode,
)

log = structlog.get_logger()

_REPLY_TTL_SECONDS = 120
_CLAIM_IDLE_MILLISECONDS = 1000  # so that two engines do not claim the same entry one after the other

Entry = tuple[str, bytes]
"""A stream and the id of an entry there."""


@dataclass(frozen=True)
class Letter:
    """A request as it came; ``deliveries`` counts how often it was given to an engine."""

    entry: Entry
    request: Request
    deliveries: int = 1


@dataclass
class Outgoing:
    """What is to be sent at the next exchange: replies, and entries that are done with."""

    replies: list[tuple[str, Reply]] = field(default_factory=list)
    done: list[Entry] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    """Requests whose cancellation has done its work."""

    def __bool__(self) -> bool:
        return bool(self.replies or self.done)


@dataclass(frozen=True)
class Incoming:
    """What an exchange brought: new letters, and the ids of requests for which nobody waits."""

    letters: list[Letter]
    abandoned: set[str]


class Mailbox:
    """The mail of the engine ``name``, over one connection; every method raises the errors of Redis."""

    def __init__(self, redis: Redis, name: str) -> None:
        self._redis = redis
        self._name = name
        own = OWN_STREAM + name
        self._read: dict[Priority, Any] = {
            "interactive": {REQUEST_STREAMS["interactive"]: ">", own: ">"},
            "bulk": {REQUEST_STREAMS["bulk"]: ">"},
        }
        self._streams = (*REQUEST_STREAMS.values(), own)

    def exchange(self, outgoing: Outgoing, active: Sequence[Request], room: dict[Priority, int]) -> Incoming:
        """Send what is outgoing, take at most ``room`` new requests of each priority, look who of ``active`` waits."""
        pipeline = self._redis.pipeline(transaction=False)
        self._put(pipeline, outgoing)
        before = len(pipeline.command_stack)
        asked: list[tuple[Priority, Any]] = [(priority, count) for priority, count in room.items() if count > 0]
        if active:
            pipeline.mget([CANCEL_KEY + request.id for request in active])
            pipeline.mget([GATEWAY_KEY + request.reply_to for request in active])
        for priority, count in asked:
            pipeline.xreadgroup(ENGINE_GROUP, self._name, self._read[priority], count=count)
        if not pipeline.command_stack:
            return Incoming([], set())
        answers = pipeline.execute()[before:]
        outgoing.replies.clear()
        outgoing.done.clear()
        outgoing.given_up.clear()
        abandoned = set()
        if active:
            cancelled, present = answers[0], answers[1]
            gone = [c is not None or p is None for c, p in zip(cancelled, present, strict=True)]
            abandoned = {request.id for request, is_gone in zip(active, gone, strict=True) if is_gone}
            answers = answers[2:]
        return Incoming([letter for answer in answers for letter in self._letters(answer)], abandoned)

    def wait(self, milliseconds: int, room: int) -> list[Letter]:
        """The next requests, as soon as there are any; none when none came in that time."""
        streams: Any = dict.fromkeys(self._streams, ">")
        return self._letters(self._redis.xreadgroup(ENGINE_GROUP, self._name, streams, count=room, block=milliseconds))

    def unfinished(self) -> Letter | None:
        """The oldest request that a former engine of this name was given and did not answer, once more."""
        for stream in self._streams:
            while True:
                answer: Any = self._redis.xreadgroup(ENGINE_GROUP, self._name, {stream: "0"}, count=1)
                if not answer or not answer[0][1]:
                    break
                if letters := self._letters(answer):
                    (letter,) = letters
                    return Letter(letter.entry, letter.request, self._deliveries(letter.entry))
        return None

    def claimed(self) -> list[Letter]:
        """Requests that engines which are no longer there have not answered; they are ours from now on."""
        found = []
        for stream in REQUEST_STREAMS.values():
            for consumer in self._redis.xinfo_consumers(stream, ENGINE_GROUP):
                name = consumer["name"].decode()
                if name != self._name and not self._redis.exists(ENGINE_KEY + name):
                    found += self._take_over(stream, name, consumer["pending"])
        return found

    def create_groups(self) -> None:
        """Make the streams and their group of readers, where they are not there."""
        for stream in self._streams:
            try:
                self._redis.xgroup_create(stream, ENGINE_GROUP, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    def leave(self) -> None:
        """Say that this engine has ended."""
        self._redis.delete(ENGINE_KEY + self._name)

    def _put(self, pipeline: Any, outgoing: Outgoing) -> None:  # noqa: ANN401 - redis has no types
        for reply_to, reply in outgoing.replies:
            pipeline.xadd(reply_to, {FIELD: encode(reply)})
        for reply_to in {reply_to for reply_to, _ in outgoing.replies}:
            pipeline.expire(reply_to, _REPLY_TTL_SECONDS)
        if outgoing.given_up:
            pipeline.delete(*[CANCEL_KEY + request for request in outgoing.given_up])
        for stream, ids in _by_stream(outgoing.done).items():
            pipeline.xack(stream, ENGINE_GROUP, *ids)
            pipeline.xdel(stream, *ids)

    def _take_over(self, stream: str, name: str, pending: int) -> list[Letter]:
        """All entries of an engine that has gone; it is forgotten when it has none left."""
        if pending == 0:
            self._redis.xgroup_delconsumer(stream, ENGINE_GROUP, name)
            return []
        waiting: Any = self._redis.xpending_range(
            stream, ENGINE_GROUP, min="-", max="+", count=pending, consumername=name
        )
        deliveries = {entry["message_id"]: entry["times_delivered"] + 1 for entry in waiting}
        if not deliveries:
            return []
        log.warning("requests of an engine that has gone are taken over", engine=name, requests=len(deliveries))
        entries = self._redis.xclaim(stream, ENGINE_GROUP, self._name, _CLAIM_IDLE_MILLISECONDS, list(deliveries))
        letters = self._letters([(stream.encode(), entries)])
        return [Letter(letter.entry, letter.request, deliveries[letter.entry[1]]) for letter in letters]

    def _letters(self, answer: Any) -> list[Letter]:  # noqa: ANN401 - redis has no types
        """The letters in an answer of Redis; what cannot be read is thrown away."""
        found = []
        for stream, entries in answer or []:
            for entry_id, fields in entries:
                entry = (stream.decode(), entry_id)
                try:
                    found.append(Letter(entry, decode_request(fields[FIELD])))
                except Exception:  # nobody can be told; kept, it would end every engine that reads it
                    log.exception("a request could not be read", entry=entry)
                    self._redis.xack(entry[0], ENGINE_GROUP, entry_id)
                    self._redis.xdel(entry[0], entry_id)
        return found

    def _deliveries(self, entry: Entry) -> int:
        stream, entry_id = entry
        pending = cast(
            "list[dict[str, Any]]",
            self._redis.xpending_range(stream, ENGINE_GROUP, min=entry_id, max=entry_id, count=1),
        )
        return int(pending[0]["times_delivered"]) if pending else 1


def _by_stream(entries: Iterable[Entry]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for stream, entry_id in entries:
        found.setdefault(stream, []).append(entry_id)
    return found
