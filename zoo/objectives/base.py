"""What a training principle is: a scalar loss and its named parts."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.targets import ThermodynamicState


@dataclass(frozen=True)
class Loss:
    """``value`` is differentiated; ``log_weights`` = -beta E(x) - ln q(x) are float64 and detached."""

    value: Float[Tensor, ""]
    log_weights: Float[Tensor, " batch"]
    parts: dict[str, Float[Tensor, ""]]


class Objective(ABC):
    """A scalar whose minimum is the target."""

    @abstractmethod
    def __call__(self, model: Model, state: ThermodynamicState, batch_size: int, rng: RandomStream) -> Loss:
        """The loss of ``model`` at ``state``, on ``batch_size`` samples drawn with ``rng``."""
