"""The one record of an estimated number, across zoo, jobs, REST, gRPC and dashboard."""

from pydantic import Field

from zoo.specs.base import Spec


class Estimate(Spec):
    """A number with its error and the evidence for both.

    ``standard_error`` is one standard deviation of ``value``, or None when it cannot be given, and then ``reliable``
    is False.  ``effective_sample_size`` is (sum w)^2 / sum w^2 out of ``num_samples``; ``pareto_k`` the tail index of
    the weights (above 0.7 their mean is not to be trusted); both None where no weights are involved.
    """

    value: float
    standard_error: float | None
    num_samples: int = Field(ge=1)
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
