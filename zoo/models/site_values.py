"""One variable of a sequential model: how its value enters a network, and how the network's numbers distribute it."""

from abc import ABC, abstractmethod
from typing import final

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid, one_hot

from zoo.core.random import RandomStream

_HALF_CELL = 2.0**-25  # a float32 uniform has 24 bits


class Draws(ABC):
    """The values of a batch being drawn, site by site in order; all random numbers were made beforehand."""

    @abstractmethod
    def draw(
        self, site: int, parameters: Float[Tensor, "parameter batch"], channels: Float[Tensor, "channel batch"]
    ) -> None:
        """Draw the values of ``site`` from the distribution of these parameters; ``channels`` is what they enter as."""

    @abstractmethod
    def numbers(self) -> tuple[Tensor, ...]:
        """The memory of the random numbers: those of other draws, written there, give the values of those draws."""

    @abstractmethod
    def configurations(self) -> Num[Tensor, "batch site"]:
        """All values, in the dtype of the space, once every site has been drawn."""


class SiteValues(ABC):
    """q(x_i | parameters) of one variable.  A value enters the network as ``num_channels`` numbers.

    ``num_parameters`` numbers of the network make the distribution of one variable.
    """

    num_channels: int
    num_parameters: int

    @abstractmethod
    def encode(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, "batch site channel"]:
        """What the values enter a network as, float32."""

    @abstractmethod
    def log_prob(
        self, parameters: Float[Tensor, "batch site parameter"], x: Num[Tensor, "batch *event"]
    ) -> Float[Tensor, "batch site"]:
        """Ln q(x_i | parameters_i) of every site, float64, differentiable in the parameters."""

    @abstractmethod
    def draws(
        self, num_samples: int, num_sites: int, rng: RandomStream, like: Tensor, known: "Known | None" = None
    ) -> Draws:
        """Values to be drawn with the numbers of ``rng``: row i depends on ``rng`` and i alone; known ones are kept."""


def levels(num_samples: int, num_sites: int, rng: RandomStream, device: torch.device) -> Float[Tensor, "sample site"]:
    """The float32 uniforms of ``rng``, with 2^-25 for 0: the middle of the cell [0, 2^-24) that 0 stands for.

    The number 0 lies below any probability.  One number in 2^24 would draw a value to which the model gives, say,
    e^-50, and its importance weight could outweigh all others.
    """
    return rng.uniforms(num_samples, num_sites, device).clamp_min(_HALF_CELL)


@final
class Known:
    """Partly known configurations: the values where ``mask`` is True are given."""

    def __init__(self, values: Num[Tensor, "batch *event"], mask: Bool[Tensor, "batch *event"]) -> None:
        self.values = values.flatten(1)
        self.mask = mask.flatten(1)


@final
class SpinValues(SiteValues):
    """A spin: q(s) = sigmoid(s logit), one channel s, one parameter logit = ln q(+1) / q(-1).

    With ``quotient`` the network sees s' = s s_1, whose first spin is always +1, and the sign of s_1 is drawn evenly,
    so ln q(s) = -ln 2 + ln q'(s') and q(-s) = q(s) to the last bit.
    """

    num_channels = 1
    num_parameters = 1

    def __init__(self, *, quotient: bool) -> None:
        self.quotient = quotient

    def encode(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, "batch site 1"]:
        """s, or s s_1."""
        return self._relative(x).unsqueeze(2)

    def log_prob(
        self, parameters: Float[Tensor, "batch site 1"], x: Num[Tensor, "batch *event"]
    ) -> Float[Tensor, "batch site"]:
        """Ln sigmoid(s logit); -ln 2 for the first site of a quotient."""
        logits = parameters.squeeze(2)
        if self.quotient:
            logits = torch.cat([torch.zeros_like(logits[:, :1]), logits[:, 1:]], dim=1)
        return logsigmoid((logits * self._relative(x)).double())

    def draws(
        self, num_samples: int, num_sites: int, rng: RandomStream, like: Tensor, known: Known | None = None
    ) -> Draws:
        """Spin i of sample b is +1 when uniform (b, i) of ``rng`` is below q(s_i = +1 | earlier)."""
        uniforms = levels(num_samples, num_sites, rng, like.device).double()
        # a uniform u is below sigmoid(x) exactly when ln u/(1 - u) is below x
        thresholds = torch.logit(uniforms).to(like.dtype).t().contiguous()
        if known is not None:
            given = known.values.t().to(like.dtype)
            thresholds = torch.where(known.mask.t(), -torch.inf * given, thresholds)
        return _SpinDraws(thresholds, quotient=self.quotient)

    def _relative(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, "batch site"]:
        spins = x.flatten(1).float()
        return spins * spins[:, :1] if self.quotient else spins


@final
class _SpinDraws(Draws):
    def __init__(self, thresholds: Float[Tensor, "site batch"], *, quotient: bool) -> None:
        self._thresholds = thresholds
        self._one = thresholds.new_ones(())
        self._first = torch.ones_like(thresholds[0])
        self._drawn: dict[int, Tensor] = {}
        if quotient:
            self._first = torch.copysign(self._first, -thresholds[0])
            thresholds *= self._first
            thresholds[0] = -torch.inf

    def draw(self, site: int, parameters: Float[Tensor, "1 batch"], channels: Float[Tensor, "1 batch"]) -> None:
        above = self._thresholds[site].neg_().add_(parameters[0])
        torch.copysign(self._one, above, out=channels[0])
        self._drawn[site] = channels[0]

    def numbers(self) -> tuple[Tensor, ...]:
        return self._thresholds, self._first

    def configurations(self) -> Num[Tensor, "batch site"]:
        return (torch.stack(list(self._drawn.values())) * self._first).to(torch.int8).t().contiguous()


@final
class CategoricalValues(SiteValues):
    """A variable of q values: softmax of q logits; a value enters as q channels, one-hot."""

    def __init__(self, num_values: int) -> None:
        self.num_channels = num_values
        self.num_parameters = num_values

    def encode(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, "batch site channel"]:
        """One-hot."""
        return one_hot(x.flatten(1).long(), self.num_channels).float()

    def log_prob(
        self, parameters: Float[Tensor, "batch site parameter"], x: Num[Tensor, "batch *event"]
    ) -> Float[Tensor, "batch site"]:
        """The value's entry of the log-softmax."""
        return log_softmax(parameters.double(), 2).gather(2, x.flatten(1).long().unsqueeze(2)).squeeze(2)

    def draws(
        self, num_samples: int, num_sites: int, rng: RandomStream, like: Tensor, known: Known | None = None
    ) -> Draws:
        """Value i of sample b is the first whose cumulative probability exceeds uniform (b, i) of ``rng``."""
        uniforms = levels(num_samples, num_sites, rng, like.device).t().contiguous()
        return _CategoricalDraws(uniforms, self.num_channels, known)


@final
class _CategoricalDraws(Draws):
    def __init__(self, uniforms: Float[Tensor, "site batch"], num_values: int, known: Known | None) -> None:
        self._uniforms = uniforms
        self._last = num_values - 1
        self._drawn = torch.zeros(uniforms.shape, dtype=torch.int64, device=uniforms.device)
        self._known = None if known is None else (known.values.t().long(), known.mask.t())

    def draw(
        self, site: int, parameters: Float[Tensor, "parameter batch"], channels: Float[Tensor, "channel batch"]
    ) -> None:
        cumulative = (parameters - parameters.amax(0)).exp_().cumsum_(0)
        level = self._uniforms[site] * cumulative[-1]
        value = torch.sum(cumulative <= level, 0).clamp_max_(self._last)
        if self._known is not None:
            values, mask = self._known
            value = torch.where(mask[site], values[site], value)
        self._drawn[site] = value
        channels.zero_().scatter_(0, value.unsqueeze(0), 1.0)

    def numbers(self) -> tuple[Tensor, ...]:
        return (self._uniforms,)

    def configurations(self) -> Num[Tensor, "batch site"]:
        return self._drawn.to(torch.uint8).t().contiguous()
