"""The children of a sweep: each one validated as the train job that it is, errors told where the user wrote them."""

from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from models_registry.digests import canonical_digest
from service.limits import check_job, check_num_children, check_sweep_bytes
from service.use_cases.check_stored import Stores, settled
from service.use_cases.specs import parse
from workers.jobs.specs import TrainJobSpec
from workers.jobs.sweeps import (
    Child,
    Combination,
    SweepJobSpec,
    check_paths,
    combinations,
    document_of,
    named,
    without,
)
from workers.settings import Settings
from zoo.specs.errors import FieldError, InvalidValueError, LimitExceededError

_UNKNOWN = "there is no field of this name here"


def expand_sweep(spec: SweepJobSpec, settings: Settings, stores: Stores | None = None) -> tuple[Child, ...]:
    """The jobs of a sweep in their order; how many they are is looked at before the first one is made.

    With ``stores`` the datasets and versions that the jobs name are looked at too.

    Raises:
        NotFoundError: a dataset or a version that a child names does not exist.
        InvalidValueError: a path, or a child; the errors stand where the values stand in the sweep.
        LimitExceededError: too many children, children that are too large together, or one that is too large.
    """
    check_num_children(spec.num_children, spec.swept, settings)
    check_paths(spec)
    check_sweep_bytes(_bytes_of_children(spec), settings)
    made = [(combination, _child(spec, combination, settings, stores)) for combination in combinations(spec)]
    _check_distinct(spec, made)
    return named(made)


def _bytes_of_children(spec: SweepJobSpec) -> int:
    """The size of the children's documents as JSON, each value of a grid measured once."""
    size = spec.num_children * len(orjson.dumps(spec.train))
    if spec.grid is None:
        return size + len(orjson.dumps(spec.list))
    uses = {path: spec.num_children // len(values) for path, values in spec.grid.items()}
    return size + sum(uses[path] * len(orjson.dumps(values)) for path, values in spec.grid.items())


def _child(spec: SweepJobSpec, combination: Combination, settings: Settings, stores: Stores | None) -> TrainJobSpec:
    document = document_of(spec.train, combination)
    try:
        child = parse(TrainJobSpec, document)
        check_job(child, settings)
        if stores is not None:
            child = settled(child, stores, settings)
    except InvalidValueError as error:
        raise _translated(error, spec, combination, document) from None
    return child


def _translated(
    error: InvalidValueError, spec: SweepJobSpec, combination: Combination, document: dict[str, Any]
) -> InvalidValueError:
    """A child's error with its paths in the sweep's document."""
    came = error.errors or (FieldError("body", error.detail),)
    errors = tuple(_field_error(field, spec, combination, document) for field in came)
    detail = "; ".join(f"{field.path}: {field.message}" for field in errors)
    kind = LimitExceededError if isinstance(error, LimitExceededError) else InvalidValueError
    return kind(detail, reason=error.reason, errors=errors)


def _field_error(
    field: FieldError, spec: SweepJobSpec, combination: Combination, document: dict[str, Any]
) -> FieldError:
    within = [path for path in combination.values if f"{field.path}.".startswith(f"{path}.")]
    if within:  # the deepest one was set last
        path = max(within, key=len)
        message = _with_known_fields(field, document) if field.path == path else field.message
        return FieldError(combination.places[path] + field.path.removeprefix(path), message, field.allowed)
    behind = [path for path in combination.values if path.startswith(f"{field.path}.")]
    if behind and field.path.split(".")[-1] not in _fields_at(spec.train, field.path.split(".")[:-1]):
        message = f"{field.path}: {_with_known_fields(field, document)}"
        return FieldError(combination.places[behind[0]], message, field.allowed)
    if field.path == "body":
        place = spec.swept if spec.grid is not None else f"list.{combination.position}"
        return FieldError(place, f"{combination}: {field.message}", field.allowed)
    return FieldError(f"train.{field.path}", field.message, field.allowed)


def _with_known_fields(field: FieldError, document: dict[str, Any]) -> str:
    """The message, and for a field that does not exist those that do."""
    if field.message != _UNKNOWN:
        return field.message
    try:
        found: object = TrainJobSpec.model_validate(without(document, field.path))
    except ValidationError:
        return field.message
    for name in field.path.split(".")[:-1]:
        found = getattr(found, name, None)
    known = ", ".join(type(found).model_fields) if isinstance(found, BaseModel) else ""
    return f"{field.message}; the fields are {known}" if known else field.message


def _fields_at(document: Any, names: list[str]) -> set[str]:  # noqa: ANN401 - JSON
    """The names of the fields of the object at a path, none where there is no object."""
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return set(document) if isinstance(document, dict) else set()


def _check_distinct(spec: SweepJobSpec, made: list[tuple[Combination, TrainJobSpec]]) -> None:
    """Nothing, when no two children are the same job.

    Raises:
        InvalidValueError: two are.
    """
    seen: dict[str, Combination] = {}
    for combination, child in made:
        digest = canonical_digest(child.model_dump(mode="json", exclude={"publish"}))
        first = seen.setdefault(digest, combination)
        if first is not combination:
            message = f"{combination} is the same job as {first}; leave one of them out"
            raise InvalidValueError(f"{spec.swept}: {message}", errors=(FieldError(spec.swept, message),))
