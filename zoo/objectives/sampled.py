"""What an estimator of the gradient of an average over a model's own samples is given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from jaxtyping import Float, Num
from torch import Tensor

from zoo.core.models import Model
from zoo.core.targets import States


@final
@dataclass(frozen=True)
class Penalty:
    """w <ln q(x) - ln q(g x)>_q: its weight w, and ``image``, which gives g x with one fixed g for each row."""

    weight: float
    image: Callable[[Num[Tensor, "batch *event"]], Num[Tensor, "batch *event"]]


@final
@dataclass(frozen=True)
class Sampled:
    """Samples x of a model and f(x) = u(x) + ln q(x), with w (ln q(x) - ln q(g x)) added where there is a penalty.

    ``f`` is float64 and detached; ``log_prob`` = ln q(x) is differentiable in the weights.
    """

    model: Model
    states: States
    x: Num[Tensor, "batch *event"]
    f: Float[Tensor, " batch"]
    log_prob: Float[Tensor, " batch"]
    penalty: Penalty | None = None
    path: Float[Tensor, "batch *event"] | None = None
    """The same samples as a differentiable function of the weights, from models that draw so."""
