"""exp(log_prob) sums to one over all configurations, trained or not."""

import pytest
import torch

from tests.conformance.cases import MODEL_CASES, ModelCase, spins
from zoo.core.models import Density
from zoo.models.made import Made
from zoo.specs.models.made import MadeSpec

TOLERANCE = 1e-6


def total_probability(model: Density, shape: tuple[int, ...]) -> float:
    with torch.no_grad():
        return float(torch.logsumexp(model.log_prob(spins(shape).enumerate()), 0).exp())


@pytest.mark.parametrize("case", MODEL_CASES, ids=str)
def test_probabilities_of_all_65536_configurations_sum_to_one(case: ModelCase) -> None:
    assert abs(total_probability(case.model((4, 4)), (4, 4)) - 1) < TOLERANCE


def test_a_mask_that_lets_a_spin_see_itself_is_caught() -> None:
    model = ModelCase(MadeSpec(width=24), "scrambled").model((3, 3))
    assert isinstance(model, Made)
    model._input_mask.fill_(1)
    assert abs(total_probability(model, (3, 3)) - 1) > 100 * TOLERANCE
