"""Likelihoods of a class-conditional model without a class: a sum over all of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zoo.core.models import ConditionalModel
from zoo.models.classes import class_log_joint
from zoo.specs.errors import CapabilityMissingError

if TYPE_CHECKING:
    from workers.engine.operations import Engine

Part = dict[str, Any]


def class_log_likelihood(engine: "Engine", payload: Part) -> Iterator[Part]:
    """For each tile ``log_likelihood`` = ln sum_y p(y) q(x|y) and ``label_posterior`` p(y|x), (rows, classes), float64.

    ``class_probabilities`` of the payload are p(y) for y = 0, 1, ...

    Raises:
        CapabilityMissingError: the model is not conditioned on a class.
    """
    warm = engine.models.get(payload["model"], payload["version"])
    model = warm.trainable
    if not isinstance(model, ConditionalModel) or model.conditions != ("label",):
        msg = "the model is not conditioned on a class, so there are no classes to sum over"
        raise CapabilityMissingError(msg)
    log_prior = torch.log(torch.tensor(payload["class_probabilities"], dtype=torch.float64, device=engine.device))
    samples = payload["samples"]
    for tile in warm.tiles(len(samples)):
        rows = samples[tile.start : tile.start + tile.used]
        padding = np.repeat(rows[:1], tile.rows - tile.used, axis=0)
        batch = torch.from_numpy(np.concatenate([rows, padding])).to(engine.device)
        joint = class_log_joint(model, log_prior, batch)[: tile.used]
        yield {
            "log_likelihood": torch.logsumexp(joint, 1).cpu().numpy(),
            "label_posterior": torch.softmax(joint, 1).cpu().numpy(),
        }
