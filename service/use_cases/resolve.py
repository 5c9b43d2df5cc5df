"""Resolve a model and a reference to the immutable version that answers."""

from anyio.to_thread import run_sync

from models_registry.versions import VersionRecord
from service.context import Context
from service.use_cases.specs import parse_target
from zoo.catalog import MODELS, tag_of
from zoo.specs.errors import CapabilityMissingError, CorruptArtifactError
from zoo.specs.models.base import Capabilities, ModelSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import TargetSpec

_FAMILIES: dict[str, type[ModelSpec]] = {tag_of(spec): spec for spec in MODELS}


async def resolve_version(context: Context, model: str, ref: str | None) -> VersionRecord:
    """The version behind a number, an alias or nothing (``production``, else the newest).

    Raises:
        NotFoundError: no such model, version or alias.
        CorruptArtifactError: the version is quarantined.
    """
    record = await run_sync(context.versions.resolve, model, ref)
    if record.state != "ready":
        msg = f"version {record.version} of {model!r} is quarantined: its weights do not have the digest they had"
        raise CorruptArtifactError(msg)
    return record


def target_of(record: VersionRecord) -> TargetSpec:
    """The system that a version was trained on."""
    return parse_target(record.target)


def space_of(record: VersionRecord) -> SpaceSpec:
    """The space that a version's samples live in."""
    return target_of(record).space


def capabilities_of(record: VersionRecord) -> Capabilities:
    """What the family of a version can do."""
    return _FAMILIES[record.model_spec["family"]].capabilities


def check_beta(record: VersionRecord, beta: float | None) -> None:
    """Nothing, when the version can answer at ``beta``.

    Raises:
        CapabilityMissingError: it was trained at one beta, and another was asked.
    """
    trained = target_of(record).state_beta
    if beta is not None and beta != trained:
        msg = (
            f"beta {beta:g} was asked; version {record.version} of {record.model!r} is not conditioned on beta and "
            f"answers at the beta it was trained at, {trained:g}; leave beta out, or train a model at {beta:g}"
        )
        raise CapabilityMissingError(msg)
