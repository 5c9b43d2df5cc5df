"""What a model is conditioned on, as a user writes it: one network for a range of parameters, or for classes."""

from collections.abc import Mapping
from itertools import product
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from zoo.specs.base import Spec
from zoo.specs.targets.base import MAX_BETA, MAX_COUPLING, MIN_BETA, TargetSpec

TOLERATED_FRACTION = 0.1
"""How far outside its range, in units of the range's width, a model still answers, marked as unreliable."""

Range = tuple[
    Annotated[float, Field(ge=-MAX_COUPLING, le=MAX_COUPLING)],
    Annotated[float, Field(ge=-MAX_COUPLING, le=MAX_COUPLING)],
]
BetaRange = tuple[Annotated[float, Field(ge=MIN_BETA, le=MAX_BETA)], Annotated[float, Field(ge=MIN_BETA, le=MAX_BETA)]]


class ConditionOn(Spec):
    """Conditions c of a model q(x|c): parameters of the target, each in a range, and the class of a configuration.

    A model has one value of each condition for every configuration; none of them is a part of the configuration.
    """

    beta: BetaRange | None = None
    """Lowest and highest inverse temperature."""
    h: Range | None = None
    """Lowest and highest uniform field, for targets that have one."""
    J: Range | None = None
    """Lowest and highest coupling, for targets that have one."""
    mass_squared: Range | None = None
    """Lowest and highest m^2, for lattice fields."""
    coupling: Range | None = None
    """Lowest and highest lambda, for lattice fields."""
    label: Annotated[int, Field(ge=2, le=1000)] | None = None
    """Number of classes: labels are 0 .. label - 1."""

    @property
    def names(self) -> tuple[str, ...]:
        """The conditions there are, in the order in which values are given to the network."""
        return tuple(name for name in type(self).model_fields if getattr(self, name) is not None)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """The range of each parameter of the target that is a condition."""
        return {name: getattr(self, name) for name in self.names if name != "label"}

    @model_validator(mode="after")
    def _ranges_are_not_empty(self) -> Self:
        for name, (low, high) in self.ranges.items():
            if not low < high:
                msg = f"{name} is [{low:g}, {high:g}]; a lowest value was expected and then a higher one"
                raise ValueError(msg)
        return self

    def unsupported_reason(self, target: TargetSpec) -> str | None:
        """Why a model of ``target`` cannot be conditioned so, or None when it can."""
        if self.label is not None and self.ranges:
            return "condition_on.label is a class of the data and the others are parameters of the target; choose one"
        for name in self.ranges:
            if name == "beta" and target.state_beta != target.beta:
                return (
                    f"condition_on.beta: the energy of {target.kind!r} is an action that holds the temperature already"
                )
            if not isinstance(getattr(target, name, None), float):
                has = ", ".join(n for n in type(self).model_fields if isinstance(getattr(target, n, None), float))
                return f"condition_on.{name}: target {target.kind!r} has no such parameter; it has {has}"
        return self._impossible_corner(target)

    def _impossible_corner(self, target: TargetSpec) -> str | None:
        """Why the target does not exist at some ends of the ranges, or None where it does at all of them."""
        for ends in product(*self.ranges.values()):
            corner = dict(zip(self.ranges, ends, strict=True))
            try:
                type(target).model_validate(target.model_dump(exclude=set(corner)) | corner)
            except ValidationError as error:
                at = ", ".join(f"{name} = {value:g}" for name, value in corner.items())
                why = error.errors()[0]["msg"].removeprefix("Value error, ")
                return f"condition_on: there is no such target at {at}: {why}"
        return None

    def values_of(self, target: TargetSpec) -> dict[str, float]:
        """The target's own value of each condition that is a parameter and lies in its range."""
        own = {name: float(getattr(target, name)) for name in self.ranges if hasattr(target, name)}
        return {name: value for name, value in own.items() if self.ranges[name][0] <= value <= self.ranges[name][1]}

    def distance_outside(self, values: Mapping[str, float]) -> dict[str, float]:
        """How far each value lies outside its range, in units of the range's width; nothing for those inside."""
        outside = {
            name: max(low - values[name], values[name] - high) / (high - low)
            for name, (low, high) in self.ranges.items()
            if name in values
        }
        return {name: distance for name, distance in outside.items() if distance > 0}


NO_CONDITION = ConditionOn()
