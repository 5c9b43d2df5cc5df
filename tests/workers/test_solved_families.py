"""Jobs of families that are solved instead of trained, and of gradients that few families have: what is refused."""

from typing import Any

import pytest

from workers.jobs.specs import TrainJobSpec

ISING = {"kind": "ising", "shape": [4, 4]}
BITS = {"kind": "bitstrings", "qubits": 6, "depth": 4}
DIGITS = {"builtin": "digits"}
REVERSE_KL = {"kind": "reverse_kl"}
MEASURE_VALUED = {"kind": "reverse_kl", "gradient": "measure_valued"}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "data alone": ({"data": DIGITS, "model": {"family": "bethe"}}, "learns from no data"),
    "mean field from data": ({"data": DIGITS, "model": {"family": "mean_field"}}, "take solution 'trained'"),
    "nothing": ({"model": {"family": "bethe"}}, "add the field 'target'"),
    "Potts": (
        {"target": {"kind": "potts", "shape": [3, 3], "q": 3}, "model": {"family": "bethe"}},
        "no sum over pairs",
    ),
    "bits": ({"target": BITS, "model": {"family": "mean_field"}}, "no sum over pairs.*take solution 'trained'"),
    "an objective": (
        {"target": ISING, "model": {"family": "bethe"}, "objective": REVERSE_KL},
        "solved, not trained; leave 'objective' out",
    ),
    "a gradient": (
        {"target": BITS, "model": {"family": "made"}, "objective": MEASURE_VALUED},
        "measure_valued.*'mean_field'.*'score_function'",
    ),
    "a gradient of a part": (
        {
            "target": BITS,
            "data": {"builtin": "bitstrings", "qubits": 6, "depth": 4, "n": 100},
            "model": {"family": "made"},
            "objective": {"kind": "mixed", "reverse_kl": MEASURE_VALUED},
        },
        "measure_valued.*'mean_field'.*'score_function'",
    ),
}

ACCEPTED: dict[str, tuple[dict[str, Any], bool]] = {
    "bethe": ({"target": ISING, "model": {"family": "bethe"}}, True),
    "mean field": ({"target": ISING, "model": {"family": "mean_field"}}, True),
    "trained mean field": ({"target": ISING, "model": {"family": "mean_field", "solution": "trained"}}, False),
    "mean field on bits": (
        {"target": BITS, "model": {"family": "mean_field", "solution": "trained"}, "objective": MEASURE_VALUED},
        False,
    ),
    "mean field from data": ({"data": DIGITS, "model": {"family": "mean_field", "solution": "trained"}}, False),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_solved_is_refused_when_it_is_submitted(name: str) -> None:
    job, words = REFUSED[name]
    with pytest.raises(ValueError, match=words):
        TrainJobSpec.model_validate(job)


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_can_be_solved_or_trained_is_told_apart(name: str) -> None:
    job, is_solved = ACCEPTED[name]
    assert TrainJobSpec.model_validate(job).is_solved == is_solved
