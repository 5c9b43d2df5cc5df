"""Capabilities of models as types: what a model can do is what it is an instance of."""

from abc import ABC, abstractmethod
from typing import final

from jaxtyping import Bool, Float, Num
from torch import Tensor, nn

from zoo.core.random import RandomStream
from zoo.core.spaces import Space
from zoo.core.targets import States
from zoo.specs.errors import CapabilityMissingError


class Sampler(ABC):
    """Draws independent configurations."""

    @property
    @abstractmethod
    def space(self) -> Space:
        """The space of the samples."""

    @abstractmethod
    def sample(self, num_samples: int, rng: RandomStream) -> Num[Tensor, "batch *event"]:
        """Independent samples, shape (num_samples, *event_shape); row i depends on ``rng`` and i alone."""


class Density(ABC):
    """Knows its normalised log-density exactly."""

    @abstractmethod
    def log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """Ln q(x) in nats with respect to the space's base measure, float64, shape (batch,)."""


class Weighable(Sampler, nn.Module):
    """A model whose samples can be weighed: it draws x together with auxiliary variables a, such as the way to x.

    With q(x, a), the density of what is drawn, and r(a|x), a normalised one of the auxiliary variables given x,

        l = ln q(x, a) - ln r(a|x),      <exp(-u(x) - l)>_q = Z,      <u(x) + l>_q >= -ln Z,      <exp l>_r(a|x) = q(x),

    so that l is to every estimator what ln q(x) is: log-weights are -u - l, exact for any r, and their spread is that
    of both x and a.  Without auxiliary variables l is ln q(x).

    Source: Jarzynski, PRL 78, 2690 (1997); Crooks, PRE 60, 2721 (1999).
    """

    @abstractmethod
    def sample_and_log_ratio(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """Samples and their l in nats, float64, in one pass; the pair that log-weights are made of."""

    @abstractmethod
    def log_ratio(self, x: Num[Tensor, "batch *event"], rng: RandomStream) -> Float[Tensor, " batch"]:
        """L in nats, float64, of given configurations, with auxiliary variables drawn from r(a|x); ln q where none."""


class Model(Weighable, Density):
    """Sampler and density in one: what every reweighting needs, trainable by gradient."""

    @abstractmethod
    def sample_and_log_prob(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """Samples and their ln q, in one pass."""

    @final
    def sample_and_log_ratio(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """Samples and their ln q."""
        return self.sample_and_log_prob(num_samples, rng)

    @final
    def log_ratio(self, x: Num[Tensor, "batch *event"], rng: RandomStream) -> Float[Tensor, " batch"]:
        """Ln q(x)."""
        return self.log_prob(x)


def density_of(model: Weighable) -> Model:
    """The model as one that knows ln q(x).

    Raises:
        CapabilityMissingError: it has weights of its samples alone.
    """
    if isinstance(model, Model):
        return model
    msg = (
        "the model has no likelihood: its samples come by random ways, which have weights; ask it for samples with "
        "correction 'importance', or for free energies"
    )
    raise CapabilityMissingError(msg)


class TargetedModel(nn.Module, ABC):
    """A model of whatever target it is taken to: its way to x uses the energy."""

    @property
    @abstractmethod
    def space(self) -> Space:
        """The space of the samples."""

    @abstractmethod
    def toward(self, state: States) -> Weighable:
        """The model of this target, of one state."""


class ConditionalModel(nn.Module, ABC):
    """A model q(x|c) for each value of its conditions c: parameters of a target, or the class of a configuration."""

    @property
    @abstractmethod
    def space(self) -> Space:
        """The space of the samples, the same for all values."""

    @property
    @abstractmethod
    def conditions(self) -> tuple[str, ...]:
        """The names of the conditions, in the order of their columns."""

    @abstractmethod
    def at(self, values: Float[Tensor, "row condition"]) -> Model:
        """The model with conditions ``values``: one row for all configurations, or one for each of a batch."""


class Completing(ABC):
    """A model that fills in the missing sites of partly known configurations."""

    @abstractmethod
    def propose(
        self, known: Num[Tensor, "batch *event"], mask: Bool[Tensor, "batch *event"], rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """Completions drawn from a proposal r, and ln w = ln q(x) - ln r(missing | known), float64; one for each row.

        ``mask`` is True where a site is known; the other values of ``known`` are not looked at.  <w>_r is the marginal
        probability of the known part, and completions with weights w are samples of q(missing | known).
        """

    @abstractmethod
    def is_exact(self, mask: Bool[Tensor, "batch *event"]) -> Bool[Tensor, " batch"]:
        """Whether the proposal for a row is q(missing | known) itself: w depends on the known part alone."""


class SequentialDensity(Density):
    """A density that is a product over sites in an order: q(x) = prod_i q(x_i | x_1 .. x_(i-1))."""

    @abstractmethod
    def site_log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, "batch site"]:
        """Ln q(x_i | x_1 .. x_(i-1)) of every site in that order, float64, differentiable; they sum to ``log_prob``."""


class Reparametrised(ABC):
    """A model whose samples are x = T(u): T is differentiable, and the numbers u know nothing of the weights."""

    @abstractmethod
    def pull_back(self, x: Float[Tensor, "batch *event"], gradient: Float[Tensor, "batch *event"]) -> Float[Tensor, ""]:
        """A number whose gradient in the weights is the sum over the batch of (dx / dweights)^T ``gradient``, u fixed.

        Only its gradient has a meaning.  ``x`` are samples of the model; neither argument is differentiated.
        """


class DifferentiableSampler(ABC):
    """A model whose samples are x = T(u), made in one differentiable pass; u knows nothing of the weights."""

    @abstractmethod
    def differentiable_sample(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """The samples that ``sample`` draws and ln q(x) at them, float64; both as functions of the weights, u fixed."""


class IndependentSites(SequentialDensity):
    """A density of two-valued sites that know nothing of each other: q(x) = prod_i q_i(x_i)."""

    @abstractmethod
    def log_odds(self) -> Float[Tensor, "row site"]:
        """Ln q_i(upper value) / q_i(lower value), differentiable; one row for all configurations or one for each."""
