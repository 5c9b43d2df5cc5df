"""Probability-density distillation: a model learns the density of another."""

from collections.abc import Mapping
from typing import final

from zoo.core.models import Weighable
from zoo.core.random import RandomStream
from zoo.objectives.base import Batch, HasAlternatives, Loss, Objective
from zoo.objectives.reverse_kl import ReverseKl
from zoo.specs.objectives import DistillationSpec


@final
class Distillation(Objective, HasAlternatives):
    """KL(q || p) = <ln q(x) - ln p(x)>_q >= 0 in nats, where p is the teacher's density, which is normalised.

    It is the ``reverse_kl`` with u(x) = -ln p(x) for the reduced energy, and is estimated as that is: the student's
    samples in one pass, the teacher's likelihoods of them in another.

    Source: van den Oord et al., arXiv:1711.10433, section 4.
    """

    def __init__(self, spec: DistillationSpec) -> None:
        self.spec = spec
        self._reverse_kl = ReverseKl(spec.reverse_kl)

    def __call__(self, model: Weighable, batch: Batch, rng: RandomStream) -> Loss:
        """The loss on ``batch.num_samples`` >= 2 samples, with the teacher as ``batch.states``.

        ``parts``: ``kl_divergence`` with its ``standard_error``, ``teacher_log_prob`` = <ln p> and ``log_prob`` =
        <ln q>, in nats, detached.
        """
        loss = self._reverse_kl(model, batch, rng)
        parts = {
            "kl_divergence": loss.parts["variational_beta_f"],
            "standard_error": loss.parts["standard_error"],
            "teacher_log_prob": -loss.parts["reduced_energy"],
            "log_prob": loss.parts["log_prob"],
        }
        return Loss(loss.value, loss.log_weights, parts)

    def alternatives(self, model: Weighable) -> Mapping[str, Objective]:
        """Those of the reverse Kullback-Leibler divergence."""
        names = self._reverse_kl.alternatives(model)
        return {name: Distillation(self.spec.model_copy(update={"gradient": name})) for name in names}
