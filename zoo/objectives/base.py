"""What a training principle is: a scalar loss and its named parts."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float, Num
from torch import Tensor

from zoo.core.models import Weighable
from zoo.core.random import RandomStream
from zoo.core.symmetries import Images
from zoo.core.targets import States


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    ``num_samples`` are drawn from the model where the loss is an average over it; they belong to ``states``, equal
    parts in turn.  ``data`` are configurations, shape (batch, *event_shape).  ``images`` are symmetries that the target
    has and the model has not.
    """

    num_samples: int
    states: States | None = None
    data: Num[Tensor, "batch *event"] | None = None
    images: Images | None = None


@dataclass(frozen=True)
class Loss:
    """``value`` is differentiated.

    ``log_weights`` = -beta E(x) - ln q(x) of the model's samples are float64 and detached, empty where none were drawn;
    those of several states are each divided by their state's mean weight.  ``parts`` are float64 and detached.
    """

    value: Float[Tensor, ""]
    log_weights: Float[Tensor, " batch"]
    parts: dict[str, Float[Tensor, ""]]


class Objective(ABC):
    """A scalar whose minimum is the target."""

    @abstractmethod
    def __call__(self, model: Weighable, batch: Batch, rng: RandomStream) -> Loss:
        """The loss of ``model`` on ``batch``; samples are drawn with ``rng``.

        Raises:
            CapabilityMissingError: the model or the target cannot be trained so.
            InvalidValueError: the batch lacks what the principle learns from.
        """


class HasAlternatives(ABC):
    """An objective whose gradient can be estimated in several ways; which has the least noise, a measurement tells."""

    @abstractmethod
    def alternatives(self, model: Weighable) -> Mapping[str, Objective]:
        """The objective with each gradient that may be chosen for ``model``, the default first; none to choose: {}."""
