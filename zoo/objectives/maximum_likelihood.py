"""Maximum likelihood: the negative log-likelihood of data."""

from typing import final

from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.objectives.base import Batch, Loss, Objective
from zoo.specs.errors import InvalidValueError
from zoo.specs.objectives import MaximumLikelihoodSpec


@final
class MaximumLikelihood(Objective):
    """-<ln q(x)>_data in nats: the cross-entropy, KL(data || q) and the entropy of the data together."""

    def __init__(self, spec: MaximumLikelihoodSpec) -> None:
        self.spec = spec

    def __call__(self, model: Model, batch: Batch, rng: RandomStream) -> Loss:
        """The loss on ``batch.data``; ``parts``: ``negative_log_likelihood`` and its ``data_standard_error``."""
        if batch.data is None:
            msg = "objective 'maximum_likelihood' learns from data, and there is none"
            raise InvalidValueError(msg)
        log_prob = model.log_prob(batch.data)
        detached = log_prob.detach()
        parts = {
            "negative_log_likelihood": -detached.mean(),
            "data_standard_error": detached.std() / len(detached) ** 0.5,
        }
        return Loss(-log_prob.mean(), detached.new_zeros(0), parts)
