"""Jobs as a user writes them: one spec for each kind."""

from collections.abc import Callable
from itertools import product
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from models_registry.datasets import validate_dataset_name
from models_registry.names import validate_alias_name, validate_model_name
from zoo.catalog import AnyModel, AnyObjective, AnySampler, AnyTarget
from zoo.specs.base import Spec
from zoo.specs.datasets import AnyBuiltin, BuiltinSpec
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.autoregressive import AutoregressiveSpec
from zoo.specs.models.conditions import NO_CONDITION, ConditionOn
from zoo.specs.models.distribution import DistributionSpec
from zoo.specs.models.fixed_point import FixedPointSpec
from zoo.specs.models.flow import FlowSpec
from zoo.specs.models.mean_field import MeanFieldSpec
from zoo.specs.objectives import (
    DistillationSpec,
    MaximumLikelihoodSpec,
    MixedSpec,
    ObjectiveSpec,
    ReverseKlSpec,
    TeacherSpec,
)
from zoo.specs.requests import SampleRequest, Seed
from zoo.specs.samplers import ChainLength, SamplerSpec, default_sampler, path_sampler
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Symmetry
from zoo.specs.training import TrainingSpec


def _checked(validate: Callable[[str], str]) -> Callable[[str], str]:
    """The registry's rule for a name, in pydantic's terms."""

    def check(name: str) -> str:
        try:
            return validate(name)
        except InvalidValueError as error:
            raise ValueError(error.detail) from None

    return check


_LONGEST_NAME = 63
MIN_CONTROL_VARIATE_BATCH = 6
"""Samples that a control variate needs: three to fit two numbers for each site, in both halves of a batch."""

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


class DatasetSource(Spec):
    """A dataset of this installation."""

    dataset: str = Field(pattern=r"^[0-9a-f]{32}$")
    """Its id."""


def _source_tag(data: object) -> str:
    """Which of the two a source is meant to be: only datasets have a field ``dataset``."""
    has = data if isinstance(data, dict) else getattr(data, "__dict__", {})
    return "stored data" if "dataset" in has else "builtin data"


DataSource = Annotated[
    Annotated[DatasetSource, Tag("stored data")] | Annotated[AnyBuiltin, Tag("builtin data")],
    Discriminator(_source_tag),
]


class InitFrom(Spec):
    """A version whose weights a training begins with."""

    model: ModelName
    """Its model in the registry."""
    version: int = Field(strict=True, ge=1, lt=2**31)
    """Its number."""


class TrainJobSpec(JobSpec):
    """Train a model against a target, from data, from both, or from another version, and publish it."""

    kind: Literal["train"] = "train"
    target: AnyTarget | None = None
    """The system; may be left out where a model learns from data alone, or the density of another version."""
    data: DataSource | None = None
    """Configurations to learn from: a dataset, or a builtin with its options."""
    model: AnyModel
    objective: AnyObjective | None = None
    """Default: ``reverse_kl`` with a target, ``maximum_likelihood`` with data, ``mixed`` with both."""
    training: TrainingSpec = TrainingSpec()
    init_from: InitFrom | None = None
    """Fine-tune: begin with the weights of a version, which has the same model spec and the same space.  Then beta is
    not annealed unless ``training.beta_anneal_steps`` says so."""
    publish: PublishSpec | None = None
    """Default: a model named after family and target or data, without an alias."""

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        """There is what the objective learns from, and the model fits the target and, where it is known, the data."""
        reasons = (
            self._solution_reason(),
            self._source_reason(),
            self._condition_reason(),
            self._target_reason(),
            self._gradient_reason(),
            self._builtin_reason(),
        )
        for reason in reasons:
            if reason is not None:
                raise ValueError(reason)
        return self

    @property
    def principle(self) -> ObjectiveSpec:
        """The objective, the default filled in."""
        if self.objective is not None:
            return self.objective
        if self.data is None:
            return ReverseKlSpec()
        return MaximumLikelihoodSpec() if self.target is None else MixedSpec()

    @property
    def reverse_kl(self) -> ReverseKlSpec | None:
        """The objective, or the part of it, that averages an energy, or what stands for it, over model samples."""
        principle = self.principle
        if isinstance(principle, (MixedSpec, DistillationSpec)):
            return principle.reverse_kl
        return principle if isinstance(principle, ReverseKlSpec) else None

    @property
    def teacher(self) -> TeacherSpec | None:
        """The version whose density is learnt, where one is."""
        return self.objective.teacher if isinstance(self.objective, DistillationSpec) else None

    def taught_by(self, version: int) -> Self:
        """The same job with the number of its teacher's version."""
        if not isinstance(self.objective, DistillationSpec):
            return self
        teacher = self.objective.teacher.model_copy(update={"version": version})
        return self.model_copy(update={"objective": self.objective.model_copy(update={"teacher": teacher})})

    @property
    def is_solved(self) -> bool:
        """Whether the model is a fixed point of equations of the target, and nothing is trained."""
        return isinstance(self.model, FixedPointSpec) and self.model.is_solved

    @property
    def schedule(self) -> TrainingSpec:
        """The training, without annealing where weights or a teacher have learnt already, unless asked."""
        begins_anew = self.init_from is None and self.teacher is None
        if begins_anew or self.training.beta_anneal_steps is not None:
            return self.training
        return self.training.model_copy(update={"beta_anneal_steps": 0})

    @property
    def condition_on(self) -> ConditionOn:
        """What the model is conditioned on; nothing for families that know no conditions."""
        return self.model.condition_on if isinstance(self.model, DistributionSpec) else NO_CONDITION

    @property
    def target_conditions(self) -> dict[str, float]:
        """A value of each parameter that is a condition: the target's own where it is in range, else the middle."""
        ranges = self.condition_on.ranges
        own = {} if self.target is None else self.condition_on.values_of(self.target)
        return {name: own.get(name, (low + high) / 2) for name, (low, high) in ranges.items()}

    @property
    def published_as(self) -> PublishSpec:
        """Where the model goes, the default filled in."""
        if self.publish is not None:
            return self.publish
        if self.target is not None:
            return PublishSpec(model=f"{self.model.family}-{self.target.kind}")
        if self.teacher is not None:
            return PublishSpec(model=f"{self.model.family}-{self.teacher.model}"[:_LONGEST_NAME].rstrip("-._"))
        data = self.data.builtin if isinstance(self.data, BuiltinSpec) else "data"
        return PublishSpec(model=f"{self.model.family}-{data}")

    @property
    def known_spaces(self) -> tuple[SpaceSpec, ...]:
        """The space of the target or of a builtin, as far as the spec alone tells: that of a dataset is not in it."""
        if self.target is not None:
            return (self.target.space,)
        return (self.data.space,) if isinstance(self.data, BuiltinSpec) else ()

    def data_reason(self, space: SpaceSpec, num_classes: int | None) -> str | None:
        """Why data on ``space``, with labels below ``num_classes`` or none, cannot be used, or None when it can."""
        if self.target is not None and space != self.target.space:
            return (
                f"the data is {described(space)} and the target {described(self.target.space)}; they must be the same"
            )
        if (reason := self.model.unsupported_reason(space)) is not None:
            return reason.replace("the target", "the data")
        label = self.condition_on.label
        if label is not None and num_classes is None:
            return "model.condition_on.label: the data has no labels; leave it out, or add labels to the data"
        if label is not None and num_classes is not None and num_classes > label:
            return f"model.condition_on.label is {label}, and the data has labels up to {num_classes - 1}"
        return None

    def _source_reason(self) -> str | None:
        """What is missing of what the objective learns from, or superfluous."""
        has = {"energy": self.target is not None, "data": self.data is not None, "teacher": self.teacher is not None}
        if not any(has.values()):
            return "there is nothing to learn from; give a target, data, or both"
        word = {"energy": "target", "data": "data", "teacher": "objective.teacher"}
        for source in self.principle.learns_from:
            if not has[source]:
                return f"objective {self.principle.kind!r} needs {word[source]}; add the field {word[source]!r}"
        if self.data is not None and "data" not in self.principle.learns_from:
            return f"objective {self.principle.kind!r} does not use data; leave 'data' out, or take 'mixed'"
        return None

    def _condition_reason(self) -> str | None:
        """Why conditions cannot be learnt from what the objective learns from."""
        condition = self.condition_on
        if self.teacher is not None and condition.names:
            return "model.condition_on: a teacher is one density, and there are no conditions to learn; leave it out"
        if condition.label is not None and self.data is None:
            return "model.condition_on.label needs data with labels; add the field 'data'"
        if condition.ranges and self.data is not None:
            return "model.condition_on: data belong to one value of the parameters; learn a range from the target alone"
        return None

    def _target_reason(self) -> str | None:
        """Why the model, or the objective, does not fit the target."""
        if self.target is None:
            missing = "model.condition_on: parameters of a target are conditions, and there is no target"
            return missing if self.condition_on.ranges else None
        if (reason := self.model.unsupported_reason(self.target.space)) is not None:
            return reason
        if (reason := self.condition_on.unsupported_reason(self.target)) is not None:
            return f"model.{reason}"
        claimed = self.model.symmetries if isinstance(self.model, DistributionSpec) else ()
        for symmetry in claimed:
            if not self.has_symmetry(symmetry):
                why = "the target does not have it; use 'none', or drop what breaks it"
                return f"model.symmetry is {symmetry!r} and {why}"
        if "energy" in self.principle.learns_from and not self.target.energy_is_finite:
            return (
                f"objective {self.principle.kind!r} averages the energy over the model's samples, and most "
                f"configurations of {self.target.kind!r} have an infinite one; this target is learnt from its data, "
                "not from its energy"
            )
        return self.principle.unsupported_reason(self.target)

    def _solution_reason(self) -> str | None:
        """Why the equations of a family that is solved cannot be written down, or what they make superfluous."""
        if not isinstance(self.model, FixedPointSpec) or not self.is_solved:
            return None
        instead = "; take solution 'trained'" if isinstance(self.model, MeanFieldSpec) else ""
        if self.data is not None:
            return f"family {self.model.family!r} solves equations of a target and learns from no data{instead}"
        if (reason := self.model.unsolvable_reason(self.target)) is not None:
            return reason + instead
        if self.objective is not None:
            return f"family {self.model.family!r} is solved, not trained; leave 'objective' out{instead}"
        return None

    def _gradient_reason(self) -> str | None:
        """Why the gradient of a reverse Kullback-Leibler divergence is not to be had for this family."""
        reverse_kl = self.reverse_kl
        if self.model.capabilities.weighs_paths and (reason := self._path_reason()) is not None:
            return reason
        if reverse_kl is None:
            return None
        if reverse_kl.gradient == "measure_valued" and not isinstance(self.model, MeanFieldSpec):
            return (
                f"objective.gradient 'measure_valued' needs independent sites (family 'mean_field'), and the sites of "
                f"{self.model.family!r} depend on each other; use 'score_function'"
            )
        if reverse_kl.gradient == "reparametrised" and not isinstance(self.model, FlowSpec):
            return (
                f"objective.gradient 'reparametrised' needs a family that draws in one differentiable pass, and "
                f"{self.model.family!r} is sequential; use 'path_wise'"
            )
        return self._control_variate_reason(reverse_kl)

    def _path_reason(self) -> str | None:
        """Why a family without a likelihood cannot be trained so."""
        family, reverse_kl = self.model.family, self.reverse_kl
        if self.data is not None and self.model.capabilities.trains_from == "energy":
            return f"family {family!r} goes to a target by its energy and learns from no data; leave 'data' out"
        if self.principle.kind not in ("reverse_kl", "maximum_likelihood", "mixed"):
            kind = self.principle.kind
            return f"objective {kind!r} needs a likelihood, and family {family!r} has none; use 'reverse_kl'"
        if reverse_kl is not None and reverse_kl.gradient not in ("auto", "reparametrised"):
            return (
                f"objective.gradient {reverse_kl.gradient!r} needs a likelihood, and family {family!r} has none; use "
                "'reparametrised'"
            )
        return None

    def _control_variate_reason(self, reverse_kl: ReverseKlSpec) -> str | None:
        """Why the baseline that is fitted for each site cannot be, or None when it can or is not asked for."""
        if reverse_kl.gradient not in ("auto", "score_function") or reverse_kl.baseline != "control_variate":
            return None
        if self.training.batch_size < MIN_CONTROL_VARIATE_BATCH:
            return (
                f"objective.baseline 'control_variate' is fitted to half of a batch; training.batch_size is "
                f"{self.training.batch_size}, and at least {MIN_CONTROL_VARIATE_BATCH} was expected"
            )
        if not isinstance(self.model, AutoregressiveSpec) or self.target is None:
            return None
        averaged = self.model.averaged_symmetries(self.target.space)
        if averaged:
            return (
                f"objective.baseline 'control_variate' needs a likelihood that is a product over sites, and with "
                f"symmetry {averaged[0]!r} it is an average over images; use 'leave_one_out', or leave the symmetry out"
            )
        return None

    def has_symmetry(self, symmetry: Symmetry) -> bool:
        """Whether the target has it at every value of the conditions."""
        if self.target is None:
            return False
        corners = [
            dict(zip(self.condition_on.ranges, ends, strict=True))
            for ends in product(*self.condition_on.ranges.values())
        ]
        return all(symmetry in self.target.model_copy(update=corner).symmetries for corner in corners)

    def _builtin_reason(self) -> str | None:
        if isinstance(self.data, BuiltinSpec):
            return self.data_reason(self.data.space, self.data.num_classes)
        return None


def described(space: SpaceSpec) -> str:
    """A space in words: ``spins of shape [8, 8]``."""
    values = f" of {space.num_values} values" if space.num_values is not None else ""
    return f"{space.kind}{values} of shape {list(space.event_shape)}"


class DatasetJobSpec(JobSpec):
    """Draw configurations of a target by Monte Carlo and keep them as a dataset."""

    kind: Literal["dataset"] = "dataset"
    target: AnyTarget
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
    target: AnyTarget
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


def _as_text(ref: object) -> object:
    """A version's number may be given as a number."""
    return str(ref) if isinstance(ref, int) and not isinstance(ref, bool) else ref


class SampleJobSpec(JobSpec, SampleRequest):
    """Draw many samples of a version into a file: those that ``:sample`` gives for the same n and seed."""

    kind: Literal["sample"] = "sample"
    model: ModelName
    """Its name in the registry."""
    ref: Annotated[str, BeforeValidator(_as_text), Field(min_length=1, max_length=63)] | None = None
    """Version number or alias; default: the alias ``production``, else the newest version.  The job keeps the number
    that it means when the job is submitted."""
    digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Digest of the version's weights; one with another digest is refused.  The job keeps that of its version."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` is what the installation's engines run on; on another device the samples have other last digits."""


def _differs_from_default(chains: SamplerSpec, name: str) -> bool:
    return bool(getattr(chains, name) != type(chains).model_fields[name].default)
