"""Training principles as a user writes them."""

from typing import ClassVar, Literal

from pydantic import Field

from zoo.specs.base import Spec

Source = Literal["energy", "data"]


class ObjectiveSpec(Spec):
    """A scalar loss.  Subclasses add ``kind`` and its parameters."""

    learns_from: ClassVar[tuple[Source, ...]]
    """What it needs: the energy of a target, data, or both."""

    kind: str


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
    learnt slowly.  ``auto``: ``reparametrised`` for flows, else ``score_function``."""
    baseline: Literal["leave_one_out", "batch_mean", "control_variate", "none"] = "leave_one_out"
    """What the score function is compared with.  ``leave_one_out``: the mean of the other samples.  ``batch_mean``: the
    mean of all, which shrinks the gradient by (n - 1) / n.  ``control_variate``: for each site a linear function of the
    log-probability of the sites before it, fitted on the other half of the batch.  ``none``: zero."""
    symmetry_penalty: float | None = Field(default=None, ge=0, le=1e6)
    """Weight of <ln q(x) - ln q(-x)>_q, which is zero only where q(-x) = q(x), for targets with ``z2``: it keeps both
    modes of an ordered phase.  Default: 1 where the target has ``z2`` and the model has not, else 0."""


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
