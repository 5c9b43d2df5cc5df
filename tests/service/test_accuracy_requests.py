"""What the gateway makes of an error that is asked for: what an engine is told, what it is expected to cost."""

import pytest

from service.costs import CostModel, num_rows
from zoo.specs.requests import FreeEnergyRequest

ASKED = {"model": "m", "version": 1, "n": 1000}
WISH = {
    "accuracy": {"target_standard_error": 0.01, "max_seconds": 8.0, "max_samples": 10**6},
    "expected_samples": 50_000,
}


def test_the_cost_is_that_of_the_samples_expected_and_never_more_than_the_time_allowed() -> None:
    costs = CostModel()
    assert num_rows("free_energy", ASKED | WISH) == 50_000
    assert num_rows("free_energy", ASKED) == 1000
    costs.introduce("m", 1, 1e-5)
    assert costs.seconds("free_energy", ASKED | WISH) == pytest.approx(0.5)
    costs.introduce("m", 1, 1e-2)
    assert costs.seconds("free_energy", ASKED | WISH) == 8.0
    assert costs.seconds("free_energy", ASKED) == pytest.approx(10)


def test_nothing_is_learnt_from_answers_whose_size_was_not_known() -> None:
    costs = CostModel()
    costs.learn("free_energy", ASKED, 0.1)
    before = costs.seconds("free_energy", ASKED)
    costs.learn("free_energy", ASKED | WISH, 7.9)
    assert costs.seconds("free_energy", ASKED) == before


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"target_standard_error": 0.0}, "target_standard_error"),
        ({"target_standard_error": 9e-7}, "target_standard_error"),
        ({"target_standard_error": float("nan")}, "target_standard_error"),
        ({"max_seconds": 3.0}, "leave both out"),
        ({"target_standard_error": 0.1, "max_seconds": -1.0}, "max_seconds"),
    ],
)
def test_wishes_that_make_no_sense_are_no_requests(fields: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FreeEnergyRequest.model_validate(fields)
