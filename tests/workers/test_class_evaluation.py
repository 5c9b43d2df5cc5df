"""What a model of each class makes of held-out configurations, by Bayes' rule written out."""

from itertools import product

import numpy as np
import torch
from scipy.special import logsumexp

from workers.kinds.class_evaluation import class_metrics
from zoo.catalog import build
from zoo.core.models import ConditionalModel
from zoo.core.spaces import build_space
from zoo.models.classes import class_log_joint
from zoo.specs.models.made import MadeSpec
from zoo.specs.spaces import SpaceSpec
from zoo.training.problem import TrainingData

ALL = torch.tensor(list(product((0, 1), repeat=4)), dtype=torch.uint8).reshape(-1, 2, 2)
LABELS = torch.tensor([0, 0, 2, 0, 2])
HELD_OUT_LABELS = torch.arange(16) % 3


def conditional_model() -> ConditionalModel:
    """Three classes of 2 x 2 bits, far from each other."""
    spec = MadeSpec.model_validate({"width": 8, "condition_on": {"label": 3}})
    model = build(spec, build_space(SpaceSpec(kind="bits", event_shape=(2, 2))), seed=1)
    assert isinstance(model, ConditionalModel)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.linspace(-1, 1, parameter.numel()).reshape(parameter.shape))
    return model


def test_every_class_is_normalised_and_weighted_by_its_probability() -> None:
    prior = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    with torch.no_grad():
        joint = class_log_joint(conditional_model(), prior.log(), ALL)
    assert joint.shape == (16, 3)
    np.testing.assert_allclose(joint.exp().sum(0), prior, rtol=1e-5)
    assert (joint - prior.log()).std(1).max() > 0.1


def test_counts_are_those_of_the_training_data_and_the_rest_of_what_is_held_out() -> None:
    model = conditional_model()
    metrics = class_metrics(model, TrainingData(ALL[:5], ALL, LABELS, HELD_OUT_LABELS), 4 - 1)
    assert metrics["label_counts"] == [3, 0, 2]
    with torch.no_grad():
        of_class = [model.at(torch.tensor([[float(y)]])).log_prob(ALL).numpy() for y in (0, 2)]
    joint = np.log([[0.6], [0.4]]) + np.array(of_class)
    nll = -logsumexp(joint, axis=0)
    predicted = np.array([0, 2])[joint.argmax(0)]
    assert abs(metrics["held_out_marginal_nll"] - nll.mean()) < 1e-6
    assert abs(metrics["held_out_marginal_standard_error"] - nll.std(ddof=1) / 4) < 1e-6
    assert metrics["held_out_accuracy"] == np.mean(predicted == HELD_OUT_LABELS.numpy())
    assert 0 < metrics["held_out_accuracy"] < 1


def test_without_labels_or_held_out_data_less_is_said() -> None:
    model = conditional_model()
    assert class_metrics(model, TrainingData(ALL, ALL), 3) == {}
    alone = class_metrics(model, TrainingData(ALL[:5], ALL[:0], LABELS, LABELS[:0]), 3)
    assert alone == {"label_counts": [3, 0, 2]}
    few = class_metrics(model, TrainingData(ALL[:2], ALL[:0], LABELS[:2], LABELS[:0]), 3)
    assert few == {"label_counts": [2, 0, 0]}  # a class that was never seen has a place too
