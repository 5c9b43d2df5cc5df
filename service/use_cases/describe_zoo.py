"""Describe what can be asked for: the families and the targets, from the specs themselves."""

from typing import Any, TypeVar

from zoo.catalog import FAMILIES, TARGETS, tag_of
from zoo.specs.errors import NotFoundError
from zoo.specs.models.base import ModelSpec
from zoo.specs.targets.base import TargetSpec

SpecT = TypeVar("SpecT", bound=type)


def describe_families() -> list[dict[str, Any]]:
    """Every model family: description, citation, capabilities and the JSON schema of its spec."""
    return [_family(spec) for spec in FAMILIES]


def describe_family(name: str) -> dict[str, Any]:
    """One model family; NotFoundError lists the known ones."""
    return _family(_find(name, {tag_of(spec): spec for spec in FAMILIES}, "model family"))


def describe_targets() -> list[dict[str, Any]]:
    """Every target: formula, units, citation, exact references and the JSON schema of its spec."""
    return [_target(spec) for spec in TARGETS]


def describe_target(name: str) -> dict[str, Any]:
    """One target; NotFoundError lists the known ones."""
    return _target(_find(name, {tag_of(spec): spec for spec in TARGETS}, "target"))


def _family(spec: type[ModelSpec]) -> dict[str, Any]:
    return {
        "family": tag_of(spec),
        "description": spec.description,
        "citation": spec.citation,
        "capabilities": spec.capabilities.model_dump(mode="json") | {"data_space": list(spec.served_spaces())},
        "schema": spec.model_json_schema(),
    }


def _target(spec: type[TargetSpec]) -> dict[str, Any]:
    return {
        "kind": tag_of(spec),
        "formula": spec.formula,
        "units": spec.units,
        "citation": spec.citation,
        "references": list(spec.references),
        "schema": spec.model_json_schema(),
    }


def _find(name: str, known: dict[str, SpecT], what: str) -> SpecT:
    if name not in known:
        msg = f"{what} {name!r} is not known; the known ones are {', '.join(sorted(known))}"
        raise NotFoundError(msg)
    return known[name]
