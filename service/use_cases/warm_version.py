"""Load a version into every engine before anybody is sent to it."""

from models_registry.versions import VersionRecord
from service.context import Context

_SECONDS = 10.0


async def warm_version(context: Context, record: VersionRecord) -> int:
    """How many engines have the version in memory now: all that are alive.

    Raises:
        CorruptArtifactError: its weights are not what they were; it is quarantined from now on.
        UnavailableError: no engine is alive, or Redis is away.
        DeadlineExceededError: an engine has not loaded it in 10 s.
    """
    payload = {"model": record.model, "version": record.version}
    return len(await context.engine.ask_every_engine("warm", payload, _SECONDS))
