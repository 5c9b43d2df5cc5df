"""Point an alias at a version that is in the engines' memory by then."""

from dataclasses import dataclass
from functools import partial

import structlog
from anyio.to_thread import run_sync

from models_registry.aliases import AliasRecord
from models_registry.names import validate_alias_name
from service.context import Context
from service.use_cases.resolve import check_ready
from service.use_cases.warm_version import warm_version
from zoo.specs.errors import DeadlineExceededError, UnavailableError

log = structlog.get_logger()


@dataclass(frozen=True)
class Move:
    """What is asked: ``if_match`` is the alias's entity tag or ``*``; ``force`` passes the physics gate."""

    model: str
    alias: str
    version: int
    if_match: str | None = None
    force: bool = False


async def move_alias(context: Context, move: Move, caller: str) -> AliasRecord:
    """The alias after its move; every engine that could be reached has loaded the version before.

    Raises:
        InvalidValueError: no alias can have this name.
        NotFoundError: no such version.
        CorruptArtifactError: its weights are not what they were.
        StateConflictError: the physics gate refuses it.
        PreconditionRequiredError, PreconditionFailedError: the alias exists, and If-Match is missing or names another
            state of it.
    """
    validate_alias_name(move.alias)
    record = await run_sync(context.versions.get, move.model, move.version)
    check_ready(record)
    try:
        await warm_version(context, record)
    except (UnavailableError, DeadlineExceededError) as error:  # the alias can be moved all the same
        log.warning("a version was not loaded ahead", model=record.model, version=record.version, error=error.detail)
    work = partial(
        context.aliases.set,
        move.model,
        move.alias,
        move.version,
        if_match=move.if_match,
        force=move.force,
        caller=caller,
    )
    return await run_sync(work)
