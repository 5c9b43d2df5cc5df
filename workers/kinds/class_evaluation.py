"""How well a model of each class tells the classes of held-out configurations apart."""

from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from zoo.core.models import ConditionalModel
from zoo.models.classes import class_log_joint
from zoo.training.problem import TrainingData
from zoo.training.trainer import HELD_OUT_ROWS


def class_metrics(model: ConditionalModel, data: TrainingData, num_classes: int) -> dict[str, Any]:
    """``label_counts`` of the training data, whose fractions are p(y), and what they make of held-out configurations.

    ``held_out_marginal_nll`` is -ln sum_y p(y) q(x|y) in nats, to be compared with models that know no classes;
    ``held_out_accuracy`` how often the class of the largest p(y|x) is the true one.
    """
    if data.labels is None:
        return {}
    counts = torch.bincount(data.labels.long(), minlength=num_classes)
    metrics: dict[str, Any] = {"label_counts": counts.tolist()}
    if data.held_out_labels is None or not len(data.held_out):
        return metrics
    nll, predicted = _judged(model, data, torch.log(counts.double() / counts.sum()))
    right = (predicted == data.held_out_labels).double()
    return metrics | {
        "held_out_marginal_nll": float(nll.mean()),
        "held_out_marginal_standard_error": float(nll.std() / len(nll) ** 0.5) if len(nll) > 1 else None,
        "held_out_accuracy": float(right.mean()),
    }


def _judged(
    model: ConditionalModel, data: TrainingData, log_prior: Float64[Tensor, " label"]
) -> tuple[Float64[Tensor, " held_out"], Int64[Tensor, " held_out"]]:
    """-ln q of each held-out configuration, and its most probable class."""
    nll, predicted = [], []
    with torch.no_grad():
        for rows in torch.split(data.held_out, HELD_OUT_ROWS):
            joint = class_log_joint(model, log_prior, rows)
            nll.append(-torch.logsumexp(joint, 1))
            predicted.append(joint.argmax(1))
    return torch.cat(nll), torch.cat(predicted)
