"""Jobs as a user writes them: one spec for each kind."""

from collections.abc import Callable
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from models_registry.names import validate_alias_name, validate_model_name
from zoo.catalog import AnyModel, AnyObjective, AnyTarget
from zoo.specs.base import Spec
from zoo.specs.errors import InvalidValueError
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.training import TrainingSpec


def _checked(validate: Callable[[str], str]) -> Callable[[str], str]:
    """The registry's rule for a name, in pydantic's terms."""

    def check(name: str) -> str:
        try:
            return validate(name)
        except InvalidValueError as error:
            raise ValueError(error.detail) from None

    return check


ModelName = Annotated[str, AfterValidator(_checked(validate_model_name))]
AliasName = Annotated[str, AfterValidator(_checked(validate_alias_name))]


class PublishSpec(Spec):
    """Where the trained model goes in the registry."""

    model: ModelName
    """Letters a-z, digits, dots, underscores and hyphens; at most 63."""
    alias: AliasName | None = None
    """Alias to set on the new version; ``latest`` is reserved."""


class TrainJobSpec(Spec):
    """Train a model against a target and publish it."""

    kind: Literal["train"] = "train"
    target: AnyTarget
    model: AnyModel
    objective: AnyObjective = ReverseKlSpec()
    training: TrainingSpec = TrainingSpec()
    publish: PublishSpec | None = None
    """Default: a model named after family and target, without an alias."""

    @model_validator(mode="after")
    def _model_fits_target(self) -> Self:
        """The model lives on the target's space, and claims no symmetry that the target lacks."""
        reason = self.model.unsupported_reason(self.target.space)
        if reason is not None:
            raise ValueError(reason)
        symmetry = getattr(self.model, "symmetry", "none")
        if symmetry != "none" and symmetry not in self.target.symmetries:
            msg = f"model.symmetry is {symmetry!r} and the target does not have it; use 'none', or drop what breaks it"
            raise ValueError(msg)
        return self

    @property
    def published_as(self) -> PublishSpec:
        """Where the model goes, the default filled in."""
        return self.publish or PublishSpec(model=f"{self.model.family}-{self.target.kind}")


JobSpec = TrainJobSpec
