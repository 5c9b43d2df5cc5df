"""Parse specs that came as data, with errors that name the field in the user's own words."""

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

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


def parse(spec_class: type[SpecT], data: object) -> SpecT:
    """The spec of a known class in JSON-like data.

    Raises:
        InvalidValueError: with one entry for each offending field.
    """
    try:
        return spec_class.model_validate(data)
    except ValidationError as error:
        raise invalid_value(error, data) from None


def parse_job(data: object) -> JobSpec:
    """The job spec in JSON-like data, by its ``kind``.

    Raises:
        InvalidValueError: with one entry for each offending field.
    """
    kind = data.get("kind", "train") if isinstance(data, dict) else "train"
    if not isinstance(kind, str) or kind not in KIND_NAMES:
        known = ", ".join(sorted(KIND_NAMES))
        message = f"kind {kind!r} is not known; the known kinds are {known}"
        raise InvalidValueError(message, errors=(FieldError("kind", message, known),))
    return parse(KIND_NAMES[kind], data)


def invalid_value(error: ValidationError, data: object) -> InvalidValueError:
    """The error for the user, from pydantic's."""
    errors = tuple(_field_error(e, data) for e in error.errors(include_url=False))
    return InvalidValueError(
        "; ".join(f"{e.path}: {e.message}" if e.path else e.message for e in errors), errors=errors
    )


def _field_error(error: ErrorDetails, data: object) -> FieldError:
    path = _path(error["loc"], data)
    context = error.get("ctx", {})
    message = error["msg"].removeprefix("Value error, ").replace("valid tuple", "valid list")  # JSON has no tuples
    message = message[0].lower() + message[1:]
    allowed = context.get("expected_tags") or context.get("expected")
    if error["type"] == "union_tag_invalid":
        tag_field = str(context["discriminator"]).strip("'")
        path = f"{path}.{tag_field}" if path else tag_field
        message = f"{context['tag']!r} is not known; the known ones are {allowed}"
    elif error["type"] == "union_tag_not_found":
        message = f"the field {context['discriminator']} is missing; it says which one is meant"
    elif error["type"] == "extra_forbidden":
        message = "there is no field of this name here"
    elif error["type"] not in {"missing", "value_error"}:
        message = f"{message}; {_shown(error['input'])} came"
    return FieldError(path, message, None if allowed is None else str(allowed))


def _path(location: Sequence[int | str], data: object) -> str:
    """The path in the user's data: the tags that a union adds to a location are not in it."""
    names: list[str] = []
    here: Any = data
    for index, name in enumerate(location):
        last = index == len(location) - 1
        if isinstance(here, dict) and name not in here and not last:
            continue  # a tag
        if isinstance(here, dict):
            here = here.get(name)
        elif isinstance(here, list) and isinstance(name, int) and name < len(here):
            here = here[name]
        names.append(str(name))
    return ".".join(names)


def _shown(value: object, longest: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= longest else text[: longest - 3] + "..."
