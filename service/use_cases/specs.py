"""Parse specs that came as data, with errors that name the field in the user's own words."""

from typing import TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from service.use_cases.spec_errors import in_json_words, invalid_value
from workers.jobs.specs import JobSpec
from workers.kinds.table import KIND_NAMES
from zoo.catalog import AnyTarget
from zoo.specs.errors import FieldError, InvalidValueError
from zoo.specs.targets.base import TargetSpec

_TARGETS: TypeAdapter[TargetSpec] = TypeAdapter(AnyTarget)

SpecT = TypeVar("SpecT", bound=BaseModel)


def parse_target(data: object) -> TargetSpec:
    """The target spec in JSON-like data.

    Raises:
        InvalidValueError: with one entry for each offending field.
    """
    try:
        return _TARGETS.validate_python(data)
    except ValidationError as error:
        raise invalid_value(error, data) from None


def parse(spec_class: type[SpecT], data: object, path: str = "") -> SpecT:
    """The spec of a known class in JSON-like data, which stands at ``path`` in what the user sent.

    Raises:
        InvalidValueError: with one entry for each offending field.
    """
    try:
        return spec_class.model_validate(data)
    except ValidationError as error:
        raise invalid_value(error, data, path) from None


def parse_job(data: object) -> JobSpec:
    """The job spec in JSON-like data, by its ``kind``.

    Raises:
        InvalidValueError: with one entry for each offending field.
    """
    kind = data.get("kind", "train") if isinstance(data, dict) else "train"
    if not isinstance(kind, str) or kind not in KIND_NAMES:
        known = ", ".join(sorted(KIND_NAMES))
        message = f"kind {in_json_words(kind)} is not known; the known kinds are {known}"
        raise InvalidValueError(message, errors=(FieldError("kind", message, known),))
    return parse(KIND_NAMES[kind], data)
