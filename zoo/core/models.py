"""Capabilities of models as types: what a model can do is what it is an instance of."""

from abc import ABC, abstractmethod

from jaxtyping import Bool, Float, Num
from torch import Tensor, nn

from zoo.core.random import RandomStream
from zoo.core.spaces import Space


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


class Model(Sampler, Density, nn.Module):
    """Sampler and density in one: what every reweighting needs, trainable by gradient."""

    @abstractmethod
    def sample_and_log_prob(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """Samples and their ln q, in one pass; the pair that log-weights are made of."""


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
