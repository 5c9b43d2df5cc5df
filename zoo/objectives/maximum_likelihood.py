"""Maximum likelihood: the negative log-likelihood of data."""

from typing import final

from zoo.core.models import Weighable
from zoo.core.random import RandomStream
from zoo.objectives.base import Batch, Loss, Objective
from zoo.specs.errors import InvalidValueError
from zoo.specs.objectives import MaximumLikelihoodSpec

_AUXILIARY = 2**23 + 2**22  # index of the stream of auxiliary variables


@final
class MaximumLikelihood(Objective):
    """-<ln q(x)>_data in nats: the cross-entropy, KL(data || q) and the entropy of the data together.

    Of a model without a likelihood it is -<l>, with auxiliary variables drawn for each configuration: on average an
    upper bound, the cross-entropy of the data and those variables less the entropy of the latter.
    """

    def __init__(self, spec: MaximumLikelihoodSpec) -> None:
        self.spec = spec

    def __call__(self, model: Weighable, batch: Batch, rng: RandomStream) -> Loss:
        """The loss on ``batch.data``; ``parts``: ``negative_log_likelihood`` and its ``data_standard_error``."""
        if batch.data is None:
            msg = "objective 'maximum_likelihood' learns from data, and there is none"
            raise InvalidValueError(msg)
        log_prob = model.log_ratio(batch.data, rng.spawn(_AUXILIARY))
        detached = log_prob.detach()
        parts = {
            "negative_log_likelihood": -detached.mean(),
            "data_standard_error": detached.std() / len(detached) ** 0.5,
        }
        return Loss(-log_prob.mean(), detached.new_zeros(0), parts)
