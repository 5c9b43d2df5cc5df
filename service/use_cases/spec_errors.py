"""Pydantic's errors as ours: paths in the user's own data, what was allowed, what came, in the words of JSON."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from zoo.specs.errors import FieldError, InvalidValueError

Location = tuple[int | str, ...]

_WHOLE = "body"  # the path of what concerns several fields at once
_MOST_ERRORS = 20
_MOST_SHOWN = 8
_LONGEST_SHOWN = 80
_WORDS = {
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
"""What was expected, by the type of error."""
_OTHER_TYPE = frozenset(_WORDS)
_BOUNDS = {"ge": "at least", "gt": "greater than", "le": "at most", "lt": "less than"}


class _Fault(NamedTuple):
    """One of pydantic's errors, and where it is in the user's data."""

    path: Location
    members: tuple[tuple[Location, str], ...]
    """Names of union members that pydantic put into its location, each with the path at which it stands."""
    details: ErrorDetails


def invalid_value(error: ValidationError, data: object, path: str = "") -> InvalidValueError:
    """The error for the user, from pydantic's over ``data``, which stands at ``path`` in what the user sent."""
    faults = [_fault(details, data) for details in error.errors(include_url=False) if not _is_consequence(details)]
    errors = _merged([_field_error(fault, path) for fault in _without_lost_members(faults)])
    return InvalidValueError(
        "; ".join(e.message if e.path == _WHOLE else f"{e.path}: {e.message}" for e in errors), errors=tuple(errors)
    )


def in_json_words(value: object) -> str:
    """What came, short and in the words of JSON: null, true, 3, "text", [1, 2], a list of 900 values, an object."""
    if isinstance(value, dict):
        return "an object" if value else "an empty object"
    if isinstance(value, list | tuple):
        if len(value) <= _MOST_SHOWN and not any(isinstance(item, list | tuple | dict) for item in value):
            return "[" + ", ".join(map(in_json_words, value)) + "]"
        return f"a list of {len(value)} value{'' if len(value) == 1 else 's'}"
    if isinstance(value, str) and len(value) > _LONGEST_SHOWN:
        return json.dumps(value[: _LONGEST_SHOWN - 3] + "...")
    return json.dumps(value, default=repr)[:_LONGEST_SHOWN]


def _is_consequence(details: ErrorDetails) -> bool:
    """Whether a list is too short only because its bad element, which has an error of its own, was left out."""
    came = details["input"]
    is_short = details["type"] == "too_short"
    return is_short and isinstance(came, list | tuple) and len(came) >= int(details["ctx"]["min_length"])


def _fault(details: ErrorDetails, data: object) -> _Fault:
    """The error at its path in the user's data: what tags and unions add to a location is not in it."""
    path: list[int | str] = []
    members: list[tuple[Location, str]] = []
    here: Any = data
    location = details["loc"]
    for index, name in enumerate(location):
        is_missing_field = details["type"] == "missing" and index == len(location) - 1
        if isinstance(here, dict) and (name in here or is_missing_field):
            here = here.get(name)
        elif isinstance(here, list | tuple) and isinstance(name, int):
            here = here[name] if name < len(here) else None
        elif isinstance(name, str):
            members.append((tuple(path), name))
            continue
        path.append(name)
    return _Fault(tuple(path), tuple(members), details)


def _without_lost_members(faults: list[_Fault]) -> list[_Fault]:
    """The faults but those of a union's members that the user cannot have meant, since another one fits better."""
    tried: dict[Location, dict[str, list[_Fault]]] = defaultdict(lambda: defaultdict(list))
    for fault in faults:
        for place, member in fault.members:
            tried[place][member].append(fault)
    lost: set[tuple[Location, str]] = set()
    for place, by_member in tried.items():
        misfit = {member: _misfit(place, found) for member, found in by_member.items()}
        lost |= {(place, member) for member in by_member if misfit[member] > min(misfit.values())}
    return [fault for fault in faults if not lost.intersection(fault.members)]


def _misfit(place: Location, faults: list[_Fault]) -> tuple[bool, bool, bool]:
    """How little a member of the union at ``place`` is like what came: another type, another kind, other fields."""
    types = {fault.details["type"] for fault in faults}
    other_type = any(fault.path == place and fault.details["type"] in _OTHER_TYPE for fault in faults)
    return other_type, "literal_error" in types, bool(types & {"extra_forbidden", "missing"})


def _field_error(fault: _Fault, root: str) -> FieldError:
    details = fault.details
    names = [root, *map(str, fault.path)] if root else [*map(str, fault.path)]
    context = details.get("ctx", {})
    allowed = _allowed(details)
    match details["type"]:
        case "union_tag_invalid":
            names.append(str(context["discriminator"]).strip("'"))
            message = f"{in_json_words(context['tag'])} is not known; the known ones are {allowed}"
        case "union_tag_not_found":
            message = f"the field {context['discriminator']} is missing; it says which one is meant"
        case "extra_forbidden":
            message = "there is no field of this name here"
        case "missing" | "value_error":
            message = _uncapitalised(details["msg"].removeprefix("Value error, "))
        case _:
            expected = f"input should be {allowed}" if allowed else _uncapitalised(details["msg"])
            message = f"{expected}; {in_json_words(details['input'])} came"
    return FieldError(".".join(names) or _WHOLE, message, allowed)


def _allowed(details: ErrorDetails) -> str | None:
    """What would be accepted, as far as the error knows."""
    context: dict[str, Any] = details.get("ctx", {})
    known = context.get("expected_tags") or context.get("expected") or _WORDS.get(details["type"])
    if known is not None:
        return str(known)
    bounds = [f"{words} {_number(context[name])}" for name, words in _BOUNDS.items() if name in context]
    if bounds:
        return " and ".join(bounds)
    if "pattern" in context:
        return f"text that matches {context['pattern']}"
    lengths = {"min_length": "at least", "max_length": "at most"}
    found = [(words, context[name]) for name, words in lengths.items() if name in context]
    if not found:
        return None
    words, length = found[0]
    of, unit = ("text", "character") if details["type"].startswith("string") else ("a list", "value")
    if isinstance(details["input"], dict):
        of, unit = "an object", "field"
    return f"{of} of {words} {length} {unit}{'' if length == 1 else 's'}"


def _number(bound: float) -> str:
    return str(int(bound)) if float(bound).is_integer() and abs(bound) < 2**63 else f"{bound:g}"


def _merged(errors: Sequence[FieldError]) -> list[FieldError]:
    """The errors, those at one path about one thing that came joined with "or"; at most so many as help."""
    by_path: dict[tuple[str, str], list[FieldError]] = defaultdict(list)
    for error in errors:
        by_path[error.path, error.message.rpartition("; ")[2]].append(error)
    merged: list[FieldError] = []
    for (path, came), alike in by_path.items():
        choices = list(dict.fromkeys(error.allowed for error in alike if error.allowed is not None))
        if len(alike) == 1 or len(choices) < 1:
            merged += dict.fromkeys(alike)
            continue
        allowed = " or ".join(choices)
        merged.append(FieldError(path, f"input should be {allowed}; {came}", allowed))
    return merged[:_MOST_ERRORS]


def _uncapitalised(text: str) -> str:
    return text[0].lower() + text[1:]
