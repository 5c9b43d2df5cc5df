"""Sweeps: one train job, and values of some of its fields; what the children are, and what their models are called."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from models_registry.names import MODEL_NAME
from workers.jobs.specs import JobSpec, PublishSpec, TrainJobSpec
from zoo.specs.errors import FieldError, InvalidValueError

_MOST_FIELDS: Final = 16
_MOST_STEPS: Final = 12
_LONGEST_PATH: Final = 200
_LONGEST_NAME: Final = 63
_MOST_IN_NAME: Final = 4
_LONGEST_WORD: Final = 16

Values = Annotated[tuple[Any, ...], Field(min_length=1)]


class SweepJobSpec(JobSpec):
    """Train a family of models that differ in some fields: a parent job with one train job for each combination."""

    kind: Literal["sweep"] = "sweep"
    train: dict[str, Any]
    """The train job that they share, with or without its ``kind``; what is swept may be missing in it."""
    grid: dict[str, Values] | None = None
    """Values of each swept field, by its path in the train job (``target.beta``); all combinations are trained, the
    last field changing fastest."""
    list: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)] | None = None
    """Instead of a grid: the combinations themselves, each an object of paths and values."""

    @model_validator(mode="after")
    def _says_what_to_sweep(self) -> Self:
        if (self.grid is None) == (self.list is None):
            came = "none" if self.grid is None else "both"
            msg = f"a sweep has a grid or a list; {came} came"
            raise ValueError(msg)
        if self.grid is not None and not 1 <= len(self.grid) <= _MOST_FIELDS:
            msg = f"grid has {len(self.grid)} fields; it needs one, such as target.beta, and at most {_MOST_FIELDS}"
            raise ValueError(msg)
        return self

    @property
    def num_children(self) -> int:
        """How many combinations there are, without making them."""
        if self.grid is not None:
            return prod(len(values) for values in self.grid.values())
        return len(self.list or ())

    @property
    def swept(self) -> str:
        """The name of the field that holds the combinations."""
        return "list" if self.grid is None else "grid"


@dataclass(frozen=True)
class Combination:
    """What sets one child apart: the value at each swept path, and where in the sweep's document that value stands."""

    values: dict[str, Any]
    places: dict[str, str]
    position: int

    def __str__(self) -> str:
        words = ", ".join(f"{path} = {_short(value)}" for path, value in self.values.items())
        return f"number {self.position} ({words})"


@dataclass(frozen=True)
class Child:
    """One job of a sweep."""

    values: dict[str, Any]
    spec: TrainJobSpec


def combinations(spec: SweepJobSpec) -> Iterator[Combination]:
    """The combinations in the order in which they are trained; the caller has looked at how many there are."""
    if spec.grid is None:
        for position, point in enumerate(spec.list or ()):
            yield Combination(dict(point), {path: f"list.{position}.{path}" for path in point}, position)
        return
    paths = tuple(spec.grid)
    for position, chosen in enumerate(product(*(enumerate(values) for values in spec.grid.values()))):
        pairs = list(zip(paths, chosen, strict=True))
        places = {path: f"grid.{path}.{index}" for path, (index, _) in pairs}
        yield Combination({path: value for path, (_, value) in pairs}, places, position)


def check_paths(spec: SweepJobSpec) -> None:
    """Nothing, when every swept path can be one in a train job.

    Raises:
        InvalidValueError: an empty name in a path, a path that is too long, or one of ``kind`` and ``publish``.
    """
    if spec.train.get("kind", "train") != "train":
        raise _refused("train.kind", f"a sweep is made of train jobs; {_short(spec.train['kind'])} came")
    points: Sequence[tuple[str, Mapping[str, Any]]] = (
        [("grid", spec.grid)]
        if spec.grid is not None
        else [(f"list.{index}", point) for index, point in enumerate(spec.list or ())]
    )
    for place, point in points:
        if not 1 <= len(point) <= _MOST_FIELDS:
            raise _refused(place, f"{len(point)} fields are set; a job needs one, and at most {_MOST_FIELDS}")
        for path in point:
            reason = _path_reason(path)
            if reason is not None:
                raise _refused(f"{place}.{path[:_LONGEST_PATH]}", reason)


def document_of(train: Mapping[str, Any], combination: Combination) -> dict[str, Any]:
    """The train job with the values of a combination; nothing that ``train`` holds is changed.

    A value at ``target`` is set before one at ``target.beta``, whatever their order.

    Raises:
        InvalidValueError: a path leads through something that has no fields.
    """
    document = {name: value for name, value in train.items() if name != "kind"}
    for path in sorted(combination.values, key=lambda path: path.count(".")):
        document = _assigned(document, path.split("."), combination.values[path], combination.places[path])
    return document


def without(document: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The document without what stands at ``path``, where there is anything."""
    first, _, rest = path.partition(".")
    if not rest:
        return {name: value for name, value in document.items() if name != first}
    inner = document.get(first)
    return dict(document) | {first: without(inner, rest)} if isinstance(inner, dict) else dict(document)


def named(specs: Sequence[tuple[Combination, TrainJobSpec]]) -> tuple[Child, ...]:
    """The children, each publishing under a name of its own: ``made-ising-beta-0.3``, or ``made-ising-7``.

    The readable name is the shared one, then the last part of each swept path and its value.  Where that is too long,
    is not a name, or belongs to two children, the position takes the place of the values.
    """
    readable = [_readable_name(spec.published_as.model, combination) for combination, spec in specs]
    uses = Counter(readable)
    names = [
        name if name is not None and uses[name] == 1 else _numbered_name(spec.published_as.model, combination.position)
        for name, (combination, spec) in zip(readable, specs, strict=True)
    ]
    if len(set(names)) < len(names):  # a readable name that looks like a numbered one
        names = [_numbered_name(specs[0][1].published_as.model, combination.position) for combination, _ in specs]
    return tuple(
        Child(combination.values, _published(spec, name))
        for name, (combination, spec) in zip(names, specs, strict=True)
    )


def _published(spec: TrainJobSpec, model: str) -> TrainJobSpec:
    publish = PublishSpec(model=model, alias=spec.published_as.alias)
    return spec.model_copy(update={"publish": publish})


def _readable_name(base: str, combination: Combination) -> str | None:
    parts = [base]
    for path, value in combination.values.items():
        word = _word(value)
        if word is None or len(word) > _LONGEST_WORD:
            return None
        parts += [path.rpartition(".")[2], word]
    name = "-".join(parts)
    return name if MODEL_NAME.fullmatch(name) else None


def _numbered_name(base: str, position: int) -> str:
    end = f"-{position}"
    return base[: _LONGEST_NAME - len(end)] + end


def _word(value: object) -> str | None:
    """A value as part of a name: numbers and words as they are, ``[4, 4]`` as 4x4; None when it has no short form."""
    match value:
        case str():
            return value if re.fullmatch(r"[a-z0-9._-]+", value) else None
        case None | bool() | int() | float():
            return json.dumps(value).lower()
        case [*items] if 0 < len(items) <= _MOST_IN_NAME and all(type(item) in {int, float} for item in items):
            return "x".join(json.dumps(item) for item in items)
    return None


def _path_reason(path: str) -> str | None:
    """Why a path cannot be swept, or None when it may be one of a train job."""
    names = path.split(".")
    if len(path) > _LONGEST_PATH or len(names) > _MOST_STEPS:
        return f"a path has at most {_MOST_STEPS} names and {_LONGEST_PATH} characters"
    if not all(names):
        return "a path is names with single dots between them, such as target.beta; this one has an empty name"
    if path == "kind":
        return "the jobs of a sweep are train jobs; their kind cannot be swept"
    if names[0] == "publish":
        return (
            "a sweep names the models of its jobs itself, after the values; set train.publish, whose model begins "
            "every name and whose alias is set on every model"
        )
    return None


def _assigned(fields: Mapping[str, Any], names: Sequence[str], value: object, place: str) -> dict[str, Any]:
    first, *rest = names
    if not rest:
        return dict(fields) | {first: value}
    inner = fields.get(first)
    if inner is None:
        inner = {}
    if not isinstance(inner, dict):
        raise _refused(place, f"{first} is {_short(inner)} in the train job, which has no fields; sweep {first} itself")
    return dict(fields) | {first: _assigned(inner, rest, value, place)}


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 40 else text[:37] + "..."


def _refused(path: str, message: str) -> InvalidValueError:
    return InvalidValueError(f"{path}: {message}", errors=(FieldError(path, message),))
