"""Jobs as a user writes them: one spec for each kind."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from zoo.catalog import AnyModel, AnyObjective, AnyTarget
from zoo.specs.base import Spec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.training import TrainingSpec

ModelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
AliasName = Annotated[str, Field(pattern=r"^(?!latest$)[a-z][a-z0-9-]{0,62}$")]


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
