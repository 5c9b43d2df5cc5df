"""The one record of an estimated number, across zoo, jobs, REST, gRPC and dashboard."""

from pydantic import Field

from zoo.specs.base import Spec


class Estimate(Spec):
    """A number with its error and the evidence for both.

    ``standard_error`` is one standard deviation of ``value``, or None when it cannot be given, and then ``reliable``
    is False.  ``effective_sample_size`` is (sum w)^2 / sum w^2 out of ``num_samples``; ``pareto_k`` the tail index of
    the weights (above 0.7 their mean is not to be trusted); both None where no weights are involved.
    ``num_samples`` is 0 for what was computed without any.
    """

    value: float
    standard_error: float | None
    num_samples: int = Field(ge=0)
    method: str
    effective_sample_size: float | None = None
    pareto_k: float | None = None
    reliable: bool = True
    warnings: tuple[str, ...] = ()

    @property
    def effective_sample_fraction(self) -> float | None:
        """Effective sample size over number of samples."""
        return None if self.effective_sample_size is None else self.effective_sample_size / self.num_samples


class ExactReference(Spec):
    """An exact ``beta_f = -ln Z`` with where it comes from; ``observables`` per site, in the target's units."""

    beta_f: float
    method: str
    citation: str
    observables: dict[str, float] = {}


class ForwardCheck(Spec):
    """What Monte Carlo samples of the target say of a model: whether it reaches where they are.

    With w = exp(-beta E) / q, the effective sample fraction 1 / (<w>_p <1/w>_p) of samples of the target p has the same
    limit as that of the model's own samples, unless p has probability where the model never draws.

    A mode counts as missing when the former is below a tenth of the latter, and more than one in a hundred of the
    target's samples weigh more than ten times the heaviest of the model's samples.  Both hold for a mode of more than
    0.01 of the probability; for a model without missing modes neither does while its own fraction is above 0.01: its
    two fractions agree to a factor of about 3, and a part of about 1 / num_samples lies beyond its heaviest weight.
    """

    condition: dict[str, float] = {}
    """The values at which it was made; nothing for models without conditions."""
    forward_effective_sample_fraction: float = Field(ge=0)
    num_forward_samples: int = Field(ge=1)
    unseen_fraction: float = Field(ge=0, le=1)
    """Of the target's samples: those that weigh more than ten times the heaviest of the model's."""
    effective_sample_fraction: float = Field(ge=0)
    num_samples: int = Field(ge=1)
    sampler: str
    """The kind of the chains that drew the target's samples."""

    @property
    def doubt(self) -> str | None:
        """That a mode seems to be missing, with the evidence; None where nothing speaks for it."""
        forward, reverse = self.forward_effective_sample_fraction, self.effective_sample_fraction
        if forward >= _FAR_BELOW * reverse or self.unseen_fraction <= _NEGLIGIBLE_MASS:
            return None
        at = (
            " at " + ", ".join(f"{name} = {value:g}" for name, value in self.condition.items())
            if self.condition
            else ""
        )
        return (
            f"a mode seems to be missing{at}: the effective sample fraction is {forward:.2g} on "
            f"{self.num_forward_samples} Monte Carlo samples of the target ({self.sampler}) and {reverse:.2g} on "
            f"{self.num_samples} samples of the model, and {self.unseen_fraction:.1%} of the former lie where the "
            "model hardly draws; then beta_f is too large, and no error bar shows it.  The other reading is that the "
            "chains have not converged"
        )


_FAR_BELOW = 0.1
_NEGLIGIBLE_MASS = 0.01
