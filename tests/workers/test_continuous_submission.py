"""Jobs on real variables: where the continuous family and the path-wise gradient are refused at submission."""

from typing import Any

import pytest
from pydantic import ValidationError

from workers.jobs.specs import TrainJobSpec

PHI4 = {"kind": "phi4", "shape": [4, 4], "mass_squared": -4, "coupling": 8}
ISING = {"kind": "ising", "shape": [4, 4]}
PATH_WISE = {"kind": "reverse_kl", "gradient": "path_wise"}
CONTROL = {"kind": "reverse_kl", "baseline": "control_variate"}
REAL = {"family": "continuous_autoregressive"}


@pytest.mark.parametrize("symmetry", ["none", "z2", ["z2", "lattice_translation"]])
def test_a_field_is_learnt_through_its_samples(symmetry: str | list[str]) -> None:
    model = REAL | {"symmetry": symmetry, "scale": 0.5}
    spec = TrainJobSpec.model_validate({"kind": "train", "target": PHI4, "model": model, "objective": PATH_WISE})
    assert TrainJobSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        ({"target": ISING, "model": {"family": "made"}, "objective": PATH_WISE}, "'path_wise' .* lives on spins"),
        ({"target": ISING, "model": REAL}, "models reals, and the target lives on spins"),
        ({"target": PHI4, "model": {"family": "made"}}, "the target lives on reals"),
        ({"target": PHI4, "model": REAL | {"components": 65}}, "less than or equal to 64"),
        ({"target": PHI4, "model": REAL | {"scale": 0}}, "scale"),
        ({"target": PHI4, "model": REAL | {"symmetry": "z2"}, "objective": CONTROL}, "an average over images"),
        (
            {"target": ISING, "model": {"family": "made", "symmetry": "lattice_translation"}, "objective": CONTROL},
            "an average over images",
        ),
        (
            {"target": ISING, "model": {"family": "made"}, "objective": CONTROL, "training": {"batch_size": 5}},
            "at least 6 was expected",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(job: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TrainJobSpec.model_validate({"kind": "train"} | job)


def test_a_control_variate_goes_with_a_symmetry_by_construction() -> None:
    job = {"kind": "train", "target": ISING, "model": {"family": "made", "symmetry": "z2"}, "objective": CONTROL}
    assert TrainJobSpec.model_validate(job | {"training": {"batch_size": 6}}).reverse_kl is not None
