"""Energy and data together: the variational free energy and the likelihood of data, weighted."""

from collections.abc import Mapping
from typing import final

from zoo.core.models import Weighable
from zoo.core.random import RandomStream
from zoo.objectives.base import Batch, HasAlternatives, Loss, Objective
from zoo.objectives.maximum_likelihood import MaximumLikelihood
from zoo.objectives.reverse_kl import ReverseKl
from zoo.specs.objectives import MaximumLikelihoodSpec, MixedSpec


@final
class Mixed(Objective, HasAlternatives):
    """w <beta E + ln q>_q - (1 - w) <ln q>_data.

    Where data are samples of the target both terms are lowest at q = p; the data keep modes that samples of q would not
    find, and the energy makes up for few data.
    """

    def __init__(self, spec: MixedSpec) -> None:
        self.spec = spec
        self._energy = ReverseKl(spec.reverse_kl)
        self._data = MaximumLikelihood(MaximumLikelihoodSpec())

    def __call__(self, model: Weighable, batch: Batch, rng: RandomStream) -> Loss:
        """The weighted sum; ``parts`` of both, and the log-weights of the model's samples."""
        w = self.spec.energy_weight
        energy, data = self._energy(model, batch, rng), self._data(model, batch, rng)
        return Loss(w * energy.value + (1 - w) * data.value, energy.log_weights, energy.parts | data.parts)

    def alternatives(self, model: Weighable) -> Mapping[str, Objective]:
        """Those of the energy's part, each beside the same likelihood."""
        return {
            name: Mixed(
                self.spec.model_copy(update={"reverse_kl": self.spec.reverse_kl.model_copy(update={"gradient": name})})
            )
            for name in self._energy.alternatives(model)
        }
