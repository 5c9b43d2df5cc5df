"""Questions to a trained model, as a user writes them."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from zoo.specs.base import Spec
from zoo.specs.corrections import Correction

MAX_SEED = 2**53 - 1
MAX_BETAS = 256
MAX_PROPOSALS = 1_000_000
MIN_TARGET_ERROR = 1e-6

Seed = Annotated[int, Field(strict=True, ge=0, le=MAX_SEED)]
Count = Annotated[int, Field(strict=True, ge=1)]
PositiveBeta = Annotated[float, Field(gt=0)]


class ConditionedRequest(Spec):
    """A question to a model at one value of each of its conditions."""

    beta: PositiveBeta | None = None
    """Inverse temperature, for models conditioned on it; others answer at the one they were trained at."""
    condition: dict[str, float] = Field(default={}, max_length=16)
    """Values of what the model is conditioned on, by name: ``beta``, ``h``, ``J``, ``label``.  Those of a target's
    parameters may be left out: then its own are meant.  A label is a whole number from 0."""

    @property
    def asked(self) -> dict[str, float]:
        """Every condition that was given a value."""
        return self.condition if self.beta is None else self.condition | {"beta": self.beta}

    @model_validator(mode="after")
    def _one_beta(self) -> Self:
        inner = self.condition.get("beta")
        if inner is not None and not inner > 0:
            msg = f"condition.beta is {inner:g}; an inverse temperature greater than 0 was expected"
            raise ValueError(msg)
        if None not in (inner, self.beta) and inner != self.beta:
            msg = f"beta is {self.beta:g} and condition.beta is {inner:g}; give one of them"
            raise ValueError(msg)
        return self


class SampleRequest(ConditionedRequest):
    """Samples of a model: independent ones, or corrected ones, which have the distribution of its target."""

    n: Count
    """Number of samples, at least 1."""
    seed: Seed | None = None
    """0 to 2^53 - 1; the same seed gives the same bits.  Without one the service picks one and tells it."""
    correction: Correction = "none"
    """``none``: q itself.  ``importance``: the same samples with ``log_weight`` = -beta E - ln q.  ``metropolis``:
    states of Markov chains on the target whose proposals are samples of the model.  ``latent_hmc``, for flows: states
    of Markov chains of trajectories in the latent space.  Chains need no weights; states may repeat."""
    include: tuple[Literal["log_prob", "energy"], ...] = ()
    """What to answer beside the samples; both together give ``log_weight`` too, but of chains."""


class MarginalOptions(ConditionedRequest):
    """How the probability of partly known configurations is found where it is not exact."""

    proposals: Annotated[int, Field(strict=True, ge=2, le=MAX_PROPOSALS)] = 1000
    """Proposals for each configuration, where the missing part cannot be drawn exactly."""
    seed: Seed | None = None
    """As for samples; the same seed gives the same bits."""


class LogLikelihoodOptions(MarginalOptions):
    """What can be asked beside ln q."""

    include: tuple[Literal["label_posterior"], ...] = ()
    """``label_posterior``: p(y|x) of every class y, of models conditioned on a class and asked without one."""


class LogLikelihoodRequest(LogLikelihoodOptions):
    """ln q of given configurations, shape (n, *event_shape).

    Of a model conditioned on a class, without a class: ln of the sum over classes of p(y) q(x|y).
    """

    samples: list[object]
    mask: list[object] | None = None
    """True where a site is known, of the shape of the samples or of one configuration: asks for ln q of the known part,
    summed over all values of the rest.  Values where it is false are not looked at, and may be null."""


class CompletionOptions(MarginalOptions):
    """How many completions, and how they are found."""

    n: Count = 1
    """Completions of each configuration, at least 1."""


class CompletionRequest(CompletionOptions):
    """Draws of the missing part of partly known configurations given the known one."""

    samples: list[object]
    """Configurations, shape (m, *event_shape)."""
    mask: list[object]
    """True where a site is known, of the shape of the samples or of one configuration.  Values where it is false are
    not looked at, and may be null."""


class FreeEnergyRequest(ConditionedRequest):
    """The free energy of the system that a model was trained on."""

    method: Literal["auto", "variational", "importance"] = "auto"
    """``auto`` takes importance weights where the model has an exact density."""
    n: Count = 10_000
    """Number of model samples; with ``target_standard_error`` those that it begins with."""
    seed: Seed | None = None
    target_standard_error: Annotated[float | None, Field(ge=MIN_TARGET_ERROR, le=1e6)] = None
    """Samples are drawn until the standard error of beta_f, in nats, is at most this, 1e-6 or more: log-probabilities
    of single-precision networks say no more.  An estimate that could not get there says so."""
    max_seconds: Annotated[float | None, Field(gt=0, le=3600)] = None
    """How long samples are drawn for ``target_standard_error``; without it four fifths of the time that the answer may
    take, which ``Prefer: wait=N`` says."""

    @model_validator(mode="after")
    def _time_for_something(self) -> Self:
        if self.max_seconds is not None and self.target_standard_error is None:
            msg = "max_seconds bounds the search for target_standard_error; give that too, or leave both out"
            raise ValueError(msg)
        return self


class FreeEnergyCurveRequest(Spec):
    """Free energy, energy and heat capacity at several inverse temperatures, of a model conditioned on beta."""

    beta: tuple[PositiveBeta, ...] = Field(min_length=1, max_length=MAX_BETAS)
    """Inverse temperatures, each once, at most 256."""
    condition: dict[str, float] = Field(default={}, max_length=16)
    """Values of the other conditions, as for one free energy."""
    n: Count = 10_000
    """Number of model samples at each beta."""
    seed: Seed | None = None

    @field_validator("beta")
    @classmethod
    def _each_once(cls, betas: tuple[float, ...]) -> tuple[float, ...]:
        repeated = next((beta for i, beta in enumerate(betas) if beta in betas[:i]), None)
        if repeated is not None:
            msg = f"{repeated:g} is in the list more than once; give each beta once"
            raise ValueError(msg)
        return betas

    @field_validator("condition")
    @classmethod
    def _without_beta(cls, condition: dict[str, float]) -> dict[str, float]:
        if "beta" in condition:
            msg = "the betas of a curve are in the list 'beta'; leave beta out of 'condition'"
            raise ValueError(msg)
        return condition
