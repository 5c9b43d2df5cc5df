"""What the service answers, as frozen records.

Fields that a newer service adds are kept (``model_extra``) and never an error.  Energies are in the target's unit,
log densities in nats, ``beta_f = -ln Z``, ``f = beta_f / beta``.
"""

from datetime import datetime
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, ValidationError

from helmholtz.arrays import Array, from_json
from helmholtz.errors import UnexpectedAnswerError

TERMINAL_STATES = frozenset({"succeeded", "failed", "cancelled"})


def _numbers(values: object) -> Array:
    """Numbers as float64; null, which stands for a number that is not finite, as NaN."""
    if not isinstance(values, list | np.ndarray):
        msg = f"a list of numbers was expected, {type(values).__name__} came"
        raise ValueError(msg)
    return np.asarray(values, dtype=np.float64)


def _configurations(values: object) -> Array:
    return values if isinstance(values, np.ndarray) else from_json(values)


def _lists(array: Array) -> list[Any]:
    """Nested lists; numbers that are not finite as None, as JSON has them."""
    plain = array.astype(object)
    plain[~np.isfinite(array)] = None
    return list(plain.tolist())


Numbers = Annotated[Array, PlainValidator(_numbers), PlainSerializer(_lists)]
Configurations = Annotated[Array, PlainValidator(_configurations), PlainSerializer(_lists)]


class Answer(BaseModel):
    """Base of the records: frozen, and tolerant of fields that it does not know."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())

    @classmethod
    def read(cls, fields: object) -> Self:
        """The record that an answer's fields make.

        Raises:
            UnexpectedAnswerError: a field is missing or is not what it should be.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
            msg = f"the answer is not the {cls.__name__} that was expected ({wrong}); is the service of this version?"
            raise UnexpectedAnswerError(msg) from None


class Info(Answer):
    """The installation: version, limits, devices and threads."""

    version: str


class Capabilities(Answer):
    """What a model family can be asked for."""

    data_space: list[str] | str
    latent_space: str | None = None
    sampling: str
    log_likelihood: str
    trains_from: str
    conditional_completion: bool = False
    encode: bool = False


class ModelFamily(Answer):
    """A family of models; ``schema_`` is the JSON schema of its spec."""

    family: str
    description: str = ""
    citation: str = ""
    capabilities: Capabilities
    schema_: dict[str, Any] = Field(default={}, alias="schema")


class TargetKind(Answer):
    """A kind of physical system; ``schema_`` is the JSON schema of its spec."""

    kind: str
    formula: str = ""
    units: str = ""
    citation: str = ""
    references: list[str] = []
    schema_: dict[str, Any] = Field(default={}, alias="schema")


class Reference(Answer):
    """An exact beta_f = -ln Z and where it comes from; ``observables`` per site."""

    beta_f: float
    method: str = ""
    citation: str = ""
    observables: dict[str, float | None] = {}


class Progress(Answer):
    """How far a job has come; ``fraction`` of 1, ``eta_seconds`` until the end as it looks now."""

    step: int = 0
    max_steps: int | None = None
    fraction: float | None = None
    eta_seconds: float | None = None


class JobError(Answer):
    """Why a job failed."""

    type: str = ""
    title: str = ""
    detail: str = ""
    reason: str = ""


class ChildJob(Answer):
    """One job of a sweep: the values that set it apart, and the model that it trains."""

    id: str
    state: str
    values: dict[str, Any] = {}
    model: str | None = None


class Job(Answer):
    """A job as it stood when it was asked for; a sweep, asked for by itself, has ``children``."""

    id: str
    kind: str
    state: str
    spec: dict[str, Any] = {}
    progress: Progress | None = None
    metrics: dict[str, Any] = {}
    attempt: int = 0
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: dict[str, Any] | None = None
    error: JobError | None = None
    retry_of: str | None = None
    parent: str | None = None
    children: list[ChildJob] | None = None
    cancel_requested: bool = False

    @property
    def finished(self) -> bool:
        """Whether nothing follows: succeeded, failed or cancelled."""
        return self.state in TERMINAL_STATES

    @property
    def published(self) -> tuple[str, int] | None:
        """The model and the version that a training job made."""
        if self.result is None or self.kind == "sample" or "model" not in self.result or "version" not in self.result:
            return None
        return str(self.result["model"]), int(self.result["version"])


class Point(Answer):
    """One value of a training series; None where it was not finite."""

    step: int
    value: float | None


class LogLine(Answer):
    """One line that a job wrote."""

    at: datetime | None = None
    line: str


class Dataset(Answer):
    """Configurations that the service keeps; ``source`` says where they come from, ``digest`` what their bytes are."""

    id: str
    name: str
    space: dict[str, Any]
    num_samples: int
    labels: bool = False
    source: dict[str, Any] = {}
    job_id: str | None = None
    digest: str = ""
    size_bytes: int | None = None
    created_at: datetime | None = None

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one configuration."""
        return tuple(self.space.get("event_shape", ()))


class DatasetSamples(Answer):
    """Configurations of a dataset, shape (n, *event_shape), and their labels, shape (n,), where it has them."""

    samples: Configurations
    labels: Configurations | None = None


class RegisteredModel(Answer):
    """A model in the registry: a name, and the versions under it; ``aliases`` maps each alias to its version."""

    model: str
    latest_version: int | None = None
    num_versions: int | None = None
    aliases: dict[str, int] = {}
    created_at: datetime | None = None


class Version(Answer):
    """One immutable version of a model."""

    model: str
    version: int
    job_id: str | None = None
    target: dict[str, Any] | None = None
    model_spec: dict[str, Any] = {}
    objective: dict[str, Any] | None = None
    training: dict[str, Any] | None = None
    seed: int | None = None
    space: dict[str, Any] | None = None
    dataset: str | None = None
    parent: dict[str, Any] | None = None
    metrics: dict[str, Any] = {}
    digest: str = ""
    target_digest: str | None = None
    size_bytes: int | None = None
    libraries: dict[str, str] = {}
    created_at: datetime | None = None
    state: str = "ready"
    aliases: list[str] = []


class Alias(Answer):
    """An alias, the version it points at, and the ``etag`` that moving it needs."""

    alias: str
    version: int
    etag: str | None = None
    updated_at: datetime | None = None


class AliasMove(Answer):
    """One move of an alias: from ``at`` on it pointed at ``version``; ``previous_version`` is None at its creation."""

    version: int
    previous_version: int | None = None
    action: str = ""
    forced: bool = False
    caller: str = ""
    at: datetime | None = None


class SampleResult(Answer):
    """Configurations drawn from a model; ``seed`` draws the same ones again from the same ``version``.

    ``samples`` has shape (n, *event_shape): spins -1/+1 and bits int8, reals float32.  ``log_prob`` (nats), ``energy``
    and ``log_weight`` = -beta E - log q have shape (n,) and are None unless asked for.  ``diagnostics`` of corrected
    samples have the effective sample size, and of chains acceptance, autocorrelation times in steps, and R-hat.
    """

    samples: Configurations
    log_prob: Numbers | None = None
    energy: Numbers | None = None
    log_weight: Numbers | None = None
    seed: int | None = None
    model: str
    version: int | None = None
    digest: str | None = None
    diagnostics: dict[str, Any] = {}


class LogLikelihoodResult(Answer):
    """log q(x) of each configuration in nats, shape (n,); ``kind`` is exact, lower-bound or estimate."""

    log_likelihood: Numbers
    kind: str = "exact"
    standard_error: Numbers | None = None
    model: str | None = None
    version: int | None = None


class EnergyResult(Answer):
    """E(x) of each configuration in the target's unit, shape (n,), and the force -grad E where it was asked for."""

    energy: Numbers
    force: Numbers | None = None


class Bound(Answer):
    """A bound on beta_f and its standard error."""

    beta_f: float | None
    standard_error: float | None = None


class Diagnostics(Answer):
    """The evidence for an estimate; ``reliable`` is the verdict, ``warnings`` the reasons against it."""

    num_samples: int | None = None
    effective_sample_size: float | None = None
    effective_sample_fraction: float | None = None
    pareto_k: float | None = None
    reliable: bool = True
    warnings: list[str] = []
    why: str = ""
    target_standard_error: float | None = None
    target_reached: bool | None = None
    """Whether the error is as small as was asked; None where none was asked for."""


class FreeEnergyResult(Answer):
    """An estimate of beta_f = -ln Z; ``exact`` is beside it where it is known and never enters it."""

    beta_f: float | None
    standard_error: float | None
    beta_f_per_site: float | None = None
    f: float | None = None
    method: str
    upper_bound: Bound | None = None
    lower_bound: Bound | None = None
    observables: dict[str, Any] | None = None
    diagnostics: Diagnostics = Diagnostics()
    exact: Reference | None = None
    model: str | None = None
    version: int | None = None
    seed: int | None = None

    @property
    def deviation_in_sigma(self) -> float | None:
        """(beta_f - exact) / standard_error, or None where one of the three is unknown or the error is zero."""
        if self.exact is None or self.beta_f is None or not self.standard_error:
            return None
        return (self.beta_f - self.exact.beta_f) / self.standard_error


class WithError(Answer):
    """A number and its standard error; ``exact`` beside it where a stored point knows it."""

    value: float | None
    standard_error: float | None = None
    exact: float | None = None


class ExactPoint(Answer):
    """The exact values at one beta, of all sites; energies where the reference has them."""

    beta_f: float
    energy: float | None = None
    heat_capacity: float | None = None
    method: str = ""
    citation: str = ""


class CurvePoint(Answer):
    """Estimates at one beta, of all sites: beta_f = -ln Z, <E>, and the heat capacity beta^2 var(E)."""

    beta: float
    condition: dict[str, float] = {}
    beta_f: float | None
    standard_error: float | None
    upper_bound: Bound | None = None
    energy: WithError
    heat_capacity: WithError
    per_site: dict[str, float | None] = {}
    method: str = ""
    diagnostics: Diagnostics = Diagnostics()
    exact: ExactPoint | None = None


class FreeEnergyCurveResult(Answer):
    """The points of a curve, in the order of the betas that were asked for."""

    points: list[CurvePoint]
    num_sites: int | None = None
    model: str | None = None
    version: int | None = None
    seed: int | None = None


class StoredPoint(Answer):
    """A stored estimate at one beta; ``energy`` and ``heat_capacity`` where they came with it."""

    beta: float
    condition: dict[str, float] | None = None
    beta_f: float | None
    standard_error: float | None = None
    energy: WithError | None = None
    heat_capacity: WithError | None = None
    exact_beta_f: float | None = None
    method: str = ""
    reliable: bool = True
    version: int | None = None
    created_at: datetime | None = None


class StoredCurve(Answer):
    """The newest stored estimate at each beta, the lowest first."""

    model: str
    points: list[StoredPoint]
