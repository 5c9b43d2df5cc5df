"""What all normalised distributions have in common, symmetries and conditions, as a user writes it."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from zoo.specs.models.base import ModelSpec
from zoo.specs.models.conditions import NO_CONDITION, ConditionOn
from zoo.specs.spaces import SpaceSpec
from zoo.specs.symmetries import MAX_AVERAGED, ModelSymmetry, group_order

SymmetryChoice = (
    Literal["none"] | ModelSymmetry | Annotated[tuple[ModelSymmetry, ...], Field(min_length=1, max_length=3)]
)


class DistributionSpec(ModelSpec):
    """A family with a normalised density.  Subclasses add ``family`` and the parameters of the network."""

    can_learn_symmetries: ClassVar[bool] = True
    """Whether q can come to have a symmetry of the target by training, without losing what it is good for."""

    symmetry: SymmetryChoice = "none"
    """A symmetry of the target that q has exactly, or a list of them.

    ``z2``: q(-x) = q(x), on spins and bits by modelling s s_1 and drawing the sign of s_1 evenly, on reals by averaging
    over both signs.  ``lattice_translation`` and ``lattice_point_group``: by averaging over all shifts, and over all
    reflections and exchanges of axes of equal length; each likelihood then costs as many evaluations."""
    condition_on: ConditionOn = NO_CONDITION
    """Parameters of the target or the class of a configuration that q depends on: one network for all of them."""

    @model_validator(mode="after")
    def _symmetries_are_different(self) -> Self:
        if isinstance(self.symmetry, tuple) and len(set(self.symmetry)) != len(self.symmetry):
            msg = f"symmetry names one of {list(self.symmetry)} twice; once is enough"
            raise ValueError(msg)
        return self

    @property
    def symmetries(self) -> tuple[ModelSymmetry, ...]:
        """The symmetries that the model has, in the order in which they were named."""
        if isinstance(self.symmetry, tuple):
            return self.symmetry
        return () if self.symmetry == "none" else (self.symmetry,)

    def averaged_symmetries(self, space: SpaceSpec) -> tuple[ModelSymmetry, ...]:
        """Those that hold by averaging over images: all but the sign of two-valued variables."""
        return tuple(name for name in self.symmetries if name != "z2" or not space.is_discrete)

    def nominal_nanoseconds(self, space: SpaceSpec) -> float:
        """That of the network, which is evaluated once more for each image that is averaged over."""
        order = group_order(self.averaged_symmetries(space), space)
        return self.network_nanoseconds(space) * (1 if order == 1 else 1 + order)

    def network_nanoseconds(self, space: SpaceSpec) -> float:
        """The same for a sample of the network alone."""
        return super().nominal_nanoseconds(space)

    def unsupported_reason(self, space: SpaceSpec) -> str | None:
        """Beyond the kind of space: the symmetries must mean something there, and be few enough to average over."""
        if (reason := super().unsupported_reason(space)) is not None:
            return reason
        if "z2" in self.symmetries and space.kind == "categorical":
            return "symmetry 'z2' flips signs, and categorical values have none; use 'none'"
        averaged = self.averaged_symmetries(space)
        order = group_order(averaged, space)
        if order > MAX_AVERAGED:
            asked = " and ".join(map(repr, averaged))
            shape = list(space.event_shape)
            return f"symmetry {asked} on {shape} means {order} images; at most {MAX_AVERAGED} are averaged"
        return None
