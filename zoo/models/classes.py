"""What follows from a model of each class, q(x|y), and the probabilities of the classes, p(y)."""

import torch
from jaxtyping import Float, Float64, Num
from torch import Tensor

from zoo.core.models import ConditionalModel


def class_log_joint(
    model: ConditionalModel, log_prior: Float64[Tensor, " label"], x: Num[Tensor, "batch *event"]
) -> Float[Tensor, "batch label"]:
    """Ln p(y) + ln q(x|y) of every class y = 0, 1, .. in nats, float64.

    Its logarithm of summed exponentials over y is ln q(x), its softmax over y is p(y|x), by Bayes' rule.  A class with
    p(y) = 0 has -inf.
    """
    columns = []
    for label, prior in enumerate(log_prior):
        condition = torch.tensor([[label]], dtype=torch.float64, device=x.device)
        columns.append(prior + model.at(condition).log_prob(x))
    return torch.stack(columns, 1)
