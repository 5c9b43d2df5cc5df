"""Jobs as a user writes them: one spec for each kind."""

from collections.abc import Callable
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from models_registry.datasets import validate_dataset_name
from models_registry.names import validate_alias_name, validate_model_name
from zoo.catalog import AnyModel, AnyObjective, AnySampler, AnyTarget
from zoo.specs.base import Spec
from zoo.specs.errors import InvalidValueError
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.requests import Seed
from zoo.specs.samplers import ChainLength, SamplerSpec, default_sampler, path_sampler
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
DatasetName = Annotated[str, AfterValidator(_checked(validate_dataset_name))]
AliasName = Annotated[str, AfterValidator(_checked(validate_alias_name))]


class PublishSpec(Spec):
    """Where the trained model goes in the registry."""

    model: ModelName
    """Letters a-z, digits, dots, underscores and hyphens; at most 63."""
    alias: AliasName | None = None
    """Alias to set on the new version; ``latest`` is reserved."""


def _by_name(value: object) -> object:
    """A sampler's bare name stands for the sampler with its defaults."""
    return {"kind": value} if isinstance(value, str) else value


NamedSampler = Annotated[AnySampler, BeforeValidator(_by_name)]


class JobSpec(Spec):
    """A job.  Subclasses add what it does."""

    kind: str
    target: AnyTarget


class TrainJobSpec(JobSpec):
    """Train a model against a target and publish it."""

    kind: Literal["train"] = "train"
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
        if isinstance(self.objective, ReverseKlSpec) and not self.target.energy_is_finite:
            msg = (
                f"objective 'reverse_kl' averages the energy over the model's samples, and most configurations of "
                f"{self.target.kind!r} have an infinite one; this target is learnt from its data, not from its energy"
            )
            raise ValueError(msg)
        return self

    @property
    def published_as(self) -> PublishSpec:
        """Where the model goes, the default filled in."""
        return self.publish or PublishSpec(model=f"{self.model.family}-{self.target.kind}")


class DatasetJobSpec(JobSpec):
    """Draw configurations of a target by Monte Carlo and keep them as a dataset."""

    kind: Literal["dataset"] = "dataset"
    sampler: NamedSampler | None = None
    """Chains to draw with, or the name of a kind; default: what suits the target best."""
    n: int = Field(strict=True, ge=1, le=100_000_000)
    """Number of configurations."""
    seed: Seed = 0
    name: DatasetName | None = None
    """Default: the target's kind."""

    @property
    def chains(self) -> SamplerSpec:
        """The sampler, the default filled in."""
        return self.sampler or default_sampler(self.target)

    @model_validator(mode="after")
    def _sampler_moves_target(self) -> Self:
        reason = None if self.sampler is None else self.sampler.unsupported_reason(self.target)
        if reason is not None:
            raise ValueError(reason)
        return self


class ReferenceJobSpec(JobSpec):
    """The free energy of a target by the conventional route: chains along a path from a system that is solved."""

    kind: Literal["reference"] = "reference"
    method: Literal["thermodynamic_integration", "mbar", "ais"] = "mbar"
    num_states: int = Field(default=24, strict=True, ge=3, le=512)
    """States along the path, both ends included."""
    sampler: NamedSampler | None = None
    """Chains to draw with, or the name of a kind; default: what suits the target best."""
    length: ChainLength = ChainLength()
    """Chains at each state; for ``ais`` the number of independent annealing runs is num_chains x num_draws."""
    seed: Seed = 0

    @property
    def chains(self) -> SamplerSpec:
        """The sampler, the default filled in."""
        return path_sampler(self.sampler, self.target)

    @model_validator(mode="after")
    def _sampler_runs_along_a_path(self) -> Self:
        chains = path_sampler(self.sampler, self.target)
        own = [name for name in ("num_chains", "burn_in", "thin") if _differs_from_default(chains, name)]
        if own:
            msg = f"sampler.{own[0]}: how long chains run is said by 'length'; leave it out of the sampler"
            raise ValueError(msg)
        return self


def _differs_from_default(chains: SamplerSpec, name: str) -> bool:
    return bool(getattr(chains, name) != type(chains).model_fields[name].default)
