"""Resolve a model and a reference to the immutable version that answers, and what it is asked at."""

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import TypeVar

from anyio.to_thread import run_sync

from models_registry.versions import VersionRecord
from service.context import Context
from service.use_cases.specs import parse_target
from zoo.catalog import FAMILIES, tag_of
from zoo.specs.errors import CapabilityMissingError, CorruptArtifactError, FieldError, InvalidValueError
from zoo.specs.models.base import Capabilities, ModelSpec
from zoo.specs.models.bethe import BetheSpec
from zoo.specs.models.conditions import NO_CONDITION, TOLERATED_FRACTION, ConditionOn
from zoo.specs.models.distribution import DistributionSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import TargetSpec

ResultT = TypeVar("ResultT")

_FAMILIES: dict[str, type[ModelSpec]] = {tag_of(spec): spec for spec in FAMILIES}
_REMEMBERED = 4096  # versions
_FAR = 100.0  # widths outside, from which their number says nothing more
_ROUNDING = 1e-9  # of a distance in units of a range's width


@dataclass(frozen=True)
class Condition:
    """A value of each condition of a version, {} where it has none, and what is to be said about them."""

    values: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    """Which values lie a little outside the range that the model was trained on."""

    @property
    def target_values(self) -> dict[str, float]:
        """Those that are parameters of the target: all but the class of a configuration."""
        return {name: value for name, value in self.values.items() if name != "label"}


async def resolve_version(context: Context, model: str, ref: str | None) -> VersionRecord:
    """The version behind a number, an alias or nothing (``production``, else the newest).

    Raises:
        NotFoundError: no such model, version or alias.
        CorruptArtifactError: the version is quarantined.
    """
    record = await _resolved(context, model, ref)
    check_ready(record)
    return record


def check_ready(record: VersionRecord) -> None:
    """Nothing, when a version can be asked.

    Raises:
        CorruptArtifactError: it is quarantined.
    """
    if record.state != "ready":
        msg = f"version {record.version} of {record.model!r} is quarantined: "
        msg += "its weights do not have the digest they had"
        raise CorruptArtifactError(msg)


async def _resolved(context: Context, model: str, ref: str | None) -> VersionRecord:
    """The version behind a reference, from memory as long as nothing has been committed to the database."""
    revision = context.database.revision()
    found = context.resolved.get((model, ref))
    if revision is not None and found is not None and found[0] == revision:
        return found[1]
    record = await run_sync(context.versions.resolve, model, ref)
    spec = _FAMILIES[record.model_spec["family"]].model_validate(record.model_spec)
    context.engine.costs.introduce(record.model, record.version, spec.nominal_nanoseconds(space_of(record)) / 1e9)
    if revision is not None:
        if len(context.resolved) >= _REMEMBERED:
            context.resolved.clear()
        context.resolved[model, ref] = (revision, record)
    return record


def _once_for_each_record(find: Callable[[VersionRecord], ResultT]) -> Callable[[VersionRecord], ResultT]:
    """``find`` with a memory for as long as somebody has the record, which never changes."""
    known: dict[int, tuple[weakref.ref[VersionRecord], ResultT]] = {}

    @wraps(find)
    def remembered(record: VersionRecord) -> ResultT:
        number = id(record)
        if number not in known:
            known[number] = weakref.ref(record, lambda _: known.pop(number)), find(record)
        return known[number][1]

    return remembered


def source_of(record: VersionRecord) -> str:
    """What a version without a target was learnt from, in words."""
    teacher = record.objective.get("teacher")
    return "data" if teacher is None else f"version {teacher['version']} of {teacher['model']!r}"


@_once_for_each_record
def target_of(record: VersionRecord) -> TargetSpec:
    """The system that a version was trained on.

    Raises:
        CapabilityMissingError: it was learnt from data, or from another version, alone.
    """
    if record.target is None:
        msg = (
            f"version {record.version} of {record.model!r} was learnt from {source_of(record)} alone: it has samples "
            "and likelihoods, and no target, so no energy and no free energy"
        )
        raise CapabilityMissingError(msg)
    return parse_target(record.target)


@_once_for_each_record
def space_of(record: VersionRecord) -> SpaceSpec:
    """The space that a version's samples live in."""
    return SpaceSpec.model_validate(record.space) if record.target is None else target_of(record).space


def capabilities_of(record: VersionRecord) -> Capabilities:
    """What the family of a version can do."""
    return _FAMILIES[record.model_spec["family"]].capabilities


@_once_for_each_record
def condition_on_of(record: VersionRecord) -> ConditionOn:
    """What a version is conditioned on."""
    spec = _FAMILIES[record.model_spec["family"]].model_validate(record.model_spec)
    if isinstance(spec, BetheSpec):
        return spec.answers_at
    return spec.condition_on if isinstance(spec, DistributionSpec) else NO_CONDITION


def resolve_condition(record: VersionRecord, asked: Mapping[str, float], beta_path: str = "beta") -> Condition:
    """A value of every condition of ``record``: those ``asked``, and the target's own where it is in the range.

    A condition that the version does not have may be asked at the value that its target has.  ``beta_path`` is where
    beta stands in the request.

    Raises:
        CapabilityMissingError: another value of something that the version is not conditioned on.
        InvalidValueError: a condition that needs a value and has none, a label that is none of the classes, or a value
            outside the range by more than a tenth of the range's width.
    """
    condition_on = condition_on_of(record)
    target = None if record.target is None else target_of(record)
    for name in asked:
        if name not in condition_on.names:
            _check_is_trained_value(record, target, name, asked[name])
    own = {} if target is None else condition_on.values_of(target)
    given = {name: float(asked[name]) for name in condition_on.names if name in asked}
    outside = condition_on.distance_outside(given)
    for name in condition_on.names:
        why = None
        if name not in given and name not in own:
            why = "no value came, and the model was trained on no single one"
        elif name == "label" and not _is_class(given[name], condition_on):
            why = f"{given[name]:g} is no class"
        elif (distance := outside.get(name, 0.0)) > TOLERATED_FRACTION + _ROUNDING:
            how_far = f"outside by {distance:.0%} of the width" if distance < _FAR else "far outside"
            why = f"{given[name]:g} is {how_far}, and {TOLERATED_FRACTION:.0%} of the width is tolerated"
        if why is not None:
            path, allowed = beta_path if name == "beta" else f"condition.{name}", _expected(condition_on, name)
            message = f"{why}; {allowed} was expected"
            raise InvalidValueError(f"{path}: {message}", errors=(FieldError(path, message, allowed),))
    warnings = tuple(
        f"{name} = {given[name]:g} is outside {_expected(condition_on, name)}; nothing was learnt there"
        for name in outside
    )
    return Condition({name: given[name] if name in given else own[name] for name in condition_on.names}, warnings)


def _is_class(label: float, condition_on: ConditionOn) -> bool:
    return condition_on.label is not None and label == int(label) and 0 <= label < condition_on.label


def _check_is_trained_value(record: VersionRecord, target: TargetSpec | None, name: str, value: float) -> None:
    """Nothing, when the target of a version that is not conditioned on ``name`` has this very value of it."""
    trained = None if target is None else target.state_beta if name == "beta" else getattr(target, name, None)
    if isinstance(trained, float) and value == trained:
        return
    msg = f"{name} {value:g} was asked; version {record.version} of {record.model!r} is not conditioned on {name}"
    if isinstance(trained, float):
        msg += f" and answers at the {name} it was trained at, {trained:g}; "
        msg += f"leave {name} out, or train a model at {value:g}"
    else:
        names = condition_on_of(record).names
        msg += f"; it is conditioned on {', '.join(names)}" if names else "; it has no conditions"
    raise CapabilityMissingError(msg)


def _expected(condition_on: ConditionOn, name: str) -> str:
    """The values that a condition has, in words."""
    if name == "label":
        return f"a whole number from 0 to {(condition_on.label or 1) - 1}"
    low, high = condition_on.ranges[name]
    return f"the range {low:g} to {high:g} that the model was trained on"
