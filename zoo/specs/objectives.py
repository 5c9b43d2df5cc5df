"""Training principles as a user writes them."""

from typing import Literal

from zoo.specs.base import Spec


class ObjectiveSpec(Spec):
    """A scalar loss.  Subclasses add ``kind`` and its parameters."""

    kind: str


class ReverseKlSpec(ObjectiveSpec):
    """Variational free energy <beta E + ln q>_q, minimised by its score-function gradient, with baseline."""

    kind: Literal["reverse_kl"] = "reverse_kl"
