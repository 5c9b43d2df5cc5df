"""Training principles as a user writes them."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from zoo.specs.base import Spec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import TargetSpec

Source = Literal["energy", "data", "teacher"]


class ObjectiveSpec(Spec):
    """A scalar loss.  Subclasses add ``kind`` and its parameters."""

    learns_from: ClassVar[tuple[Source, ...]]
    """What it needs: the energy of a target, data, both, or the density of a published version."""
    biased: ClassVar[str | None] = None
    """Why the average of its gradient over batches is not the gradient of what it minimises; None where it is."""

    kind: str

    def unsupported_reason(self, target: TargetSpec) -> str | None:
        """Why nothing can be learnt so from ``target``, whatever the model, or None when it can."""
        return None


class ReverseKlSpec(ObjectiveSpec):
    """Variational free energy <beta E + ln q>_q, minimised on the model's own samples."""

    learns_from: ClassVar[tuple[Source, ...]] = ("energy",)

    kind: Literal["reverse_kl"] = "reverse_kl"
    gradient: Literal["auto", "score_function", "measure_valued", "reparametrised", "path_wise"] = "auto"
    """``score_function``: any density.  ``measure_valued``: both values of every site in turn, for independent
    two-valued sites.  ``reparametrised``: the whole derivative through the samples, for families that make them in one
    differentiable pass (flows).  ``path_wise``: through the samples without the derivative of ln q at fixed samples,
    whose average is zero: it vanishes where q = p, costs an inverse pass more for flows, and exists for continuous
    autoregressive models too.  Through the samples the noise is less, but the weights of modes that are far apart are
    learnt slowly.  ``auto``: for flows the one of these two whose measured variance times its work is the smaller,
    ``reparametrised`` until that has been measured; for others ``score_function``."""
    baseline: Literal["leave_one_out", "batch_mean", "control_variate", "none"] = "leave_one_out"
    """What the score function is compared with.  ``leave_one_out``: the mean of the other samples.  ``batch_mean``: the
    mean of all, which shrinks the gradient by (n - 1) / n.  ``control_variate``: for each site a linear function of the
    log-probability of the sites before it, fitted on the other half of the batch.  ``none``: zero."""
    symmetry_penalty: float | None = Field(default=None, ge=0, le=1e6)
    """Weight of <ln q(x) - ln q(-x)>_q, which is zero only where q(-x) = q(x), for targets with ``z2``: it keeps both
    modes of an ordered phase.  Default: 1 where the target has ``z2`` and the model has not, else 0."""

    def unsupported_reason(self, target: TargetSpec) -> str | None:
        """Gradients that move samples need variables that move."""
        return _immovable_reason(self.gradient, target)


class MaximumLikelihoodSpec(ObjectiveSpec):
    """Negative log-likelihood -<ln q> of data."""

    learns_from: ClassVar[tuple[Source, ...]] = ("data",)

    kind: Literal["maximum_likelihood"] = "maximum_likelihood"


class MixedSpec(ObjectiveSpec):
    """w <beta E + ln q>_q - (1 - w) <ln q>_data: the variational free energy and the likelihood of data together."""

    learns_from: ClassVar[tuple[Source, ...]] = ("energy", "data")

    kind: Literal["mixed"] = "mixed"
    energy_weight: float = Field(default=0.5, gt=0, lt=1)
    """w, greater than 0 and less than 1."""
    reverse_kl: ReverseKlSpec = ReverseKlSpec()
    """How the energy's part is estimated."""

    def unsupported_reason(self, target: TargetSpec) -> str | None:
        """That of the energy's part."""
        return self.reverse_kl.unsupported_reason(target)


class TeacherSpec(Spec):
    """A version whose density is learnt."""

    model: str = Field(min_length=1, max_length=63)
    """Its model in the registry."""
    version: (
        Annotated[int, Field(strict=True, ge=1, lt=2**31)] | Annotated[str, Field(min_length=1, max_length=63)] | None
    ) = None
    """Its number or an alias; default: the alias ``production``, else the newest version.  A job keeps the number that
    it means when the job is submitted."""


class DistillationSpec(ObjectiveSpec):
    """KL(q || p) for the density p of a published version, minimised on the model's own samples.

    It makes a fast model of a good one: an ``iaf``, which samples in one pass, of a ``maf``, which learns from data in
    one pass.  The energy is not asked for; where there is a target, free energies are evaluated on it at the end.
    """

    learns_from: ClassVar[tuple[Source, ...]] = ("teacher",)

    kind: Literal["distillation"] = "distillation"
    teacher: TeacherSpec
    """The version: any family with an exact density, without conditions, on the space of the target where there is
    one."""
    gradient: Literal["auto", "score_function", "reparametrised", "path_wise"] = "auto"
    """As that of ``reverse_kl``."""

    @property
    def reverse_kl(self) -> ReverseKlSpec:
        """The same divergence, as that from a target whose symmetries are not known."""
        return ReverseKlSpec(gradient=self.gradient, symmetry_penalty=0)

    def unsupported_reason(self, target: TargetSpec) -> str | None:
        """Gradients that move samples need variables that move."""
        return _immovable_reason(self.gradient, target)

    def immovable_reason(self, space: SpaceSpec, whose: str) -> str | None:
        """Why samples on the ``space`` of what is learnt cannot be moved as is asked, or None when they can."""
        return _immovable(self.gradient, space, whose)


class AlphaDivergenceSpec(ObjectiveSpec):
    """ln <(p / q)^alpha>_q / (alpha (alpha - 1)), a divergence of p from q, minimised on the model's own samples."""

    learns_from: ClassVar[tuple[Source, ...]] = ("energy",)
    biased: ClassVar[str | None] = (
        "weights w^alpha are divided by their sum over the batch, since the partition function is not known: the mean "
        "of a ratio is not the ratio of the means, and the gradient is off by a part that falls as 1 / batch_size"
    )

    kind: Literal["alpha_divergence"] = "alpha_divergence"
    alpha: float = Field(default=2.0, ge=-10, le=10)
    """The larger, the more q covers what p has; from -10 to 10, not 0, near which it is the ``reverse_kl``, and not 1,
    near which it is the forward divergence.  Default: 2, which minimises the variance of the weights."""
    gradient: Literal["auto", "score_function", "path_wise"] = "auto"
    """``score_function``: any density.  ``path_wise``: through the samples, with less noise, for real variables.
    ``auto``: ``path_wise`` for families that draw in one differentiable pass (flows), else ``score_function``."""

    @model_validator(mode="after")
    def _is_no_limit(self) -> Self:
        if self.alpha in (0, 1):
            instead = "'reverse_kl'" if self.alpha == 0 else "0.99, or 'maximum_likelihood' on data"
            msg = f"alpha is {self.alpha:g}, where the divergence is a limit; use {instead}"
            raise ValueError(msg)
        return self

    def unsupported_reason(self, target: TargetSpec) -> str | None:
        """Gradients that move samples need variables that move."""
        return _immovable_reason(self.gradient, target)


def _immovable_reason(gradient: str, target: TargetSpec) -> str | None:
    return _immovable(gradient, target.space, f"target {target.kind!r}")


def _immovable(gradient: str, space: SpaceSpec, whose: str) -> str | None:
    if gradient not in {"path_wise", "reparametrised"} or not space.is_discrete:
        return None
    return (
        f"objective.gradient {gradient!r} moves samples along forces, and {whose} lives on {space.kind}, whose values "
        "jump; use 'score_function'"
    )
