"""What the protocol asks of the service besides inference: metadata, readiness, the index of models, loading."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version as installed_version

from anyio.to_thread import run_sync

from models_registry.pages import MAX_PAGE_SIZE
from models_registry.versions import VersionRecord, Versions
from service.context import Context
from service.use_cases.describe_service import check_readiness
from service.use_cases.resolve import resolve_version
from service.use_cases.warm_version import warm_version
from zoo.specs.errors import CorruptArtifactError, NotFoundError, StateConflictError

NAME = "helmholtz"
EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository")


@dataclass(frozen=True)
class Indexed:
    """One version in the index: state READY, or UNAVAILABLE with the reason."""

    name: str
    version: str
    state: str
    reason: str


def service_version() -> str:
    """The version of this installation."""
    return installed_version("helmholtz")


async def is_ready(context: Context) -> bool:
    """Whether every dependency answers."""
    return all(state == "ok" for state in (await check_readiness(context)).values())


async def model_is_ready(context: Context, model: str, ref: str | None) -> bool:
    """Whether a version would answer now: it exists, its weights are whole, and an engine is alive."""
    try:
        await resolve_version(context, model, ref)
    except (NotFoundError, CorruptArtifactError):
        return False
    return await is_ready(context)


async def version_numbers(context: Context, model: str) -> list[str]:
    """The versions of a model that can answer, oldest first, as the texts that the protocol has for them.

    Raises:
        NotFoundError: no such model.
    """
    records = await run_sync(lambda: list(_records(context.versions, model)))
    return [str(record.version) for record in reversed(records) if record.state == "ready"]


async def index(context: Context, *, ready_only: bool) -> list[Indexed]:
    """Every version of every model."""
    found = await run_sync(lambda: list(_index(context.versions)))
    return [entry for entry in found if entry.state == "READY" or not ready_only]


async def load(context: Context, model: str) -> None:
    """Nothing, after every engine has the model in memory: the next request finds it warm.

    Raises:
        NotFoundError: no such model.
        HelmholtzError: as ``warm_version`` does.
    """
    await warm_version(context, await resolve_version(context, model, None))


def cannot_unload(model: str) -> StateConflictError:
    """The error of asking a model to leave the memory."""
    msg = (
        f"model {model[:80]!a} cannot be unloaded by hand: models leave the memory of an engine when others need it; "
        "to serve a model no longer, delete it through /v1/models"
    )
    return StateConflictError(msg, reason="UNLOAD_NOT_POSSIBLE")


def _index(versions: Versions) -> Iterator[Indexed]:
    token = None
    while True:
        page = versions.models(MAX_PAGE_SIZE, token)
        for model in page.items:
            yield from (_indexed(record) for record in _records_if_any(versions, model.model))
        if (token := page.next_page_token) is None:
            return


def _indexed(record: VersionRecord) -> Indexed:
    if record.state == "ready":
        return Indexed(record.model, str(record.version), "READY", "")
    return Indexed(record.model, str(record.version), "UNAVAILABLE", "its weights do not have the digest they had")


def _records_if_any(versions: Versions, model: str) -> Iterator[VersionRecord]:
    try:
        yield from _records(versions, model)
    except NotFoundError:  # deleted since it was listed
        return


def _records(versions: Versions, model: str) -> Iterator[VersionRecord]:
    token = None
    while True:
        page = versions.versions(model, MAX_PAGE_SIZE, token)
        yield from page.items
        if (token := page.next_page_token) is None:
            return
