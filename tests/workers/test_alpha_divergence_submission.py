"""What a user hears who asks for an alpha-divergence in a training job."""

import pytest
from pydantic import ValidationError

from workers.jobs.specs import TrainJobSpec
from zoo.specs.objectives import AlphaDivergenceSpec

JOB = {"model": {"family": "made"}, "target": {"kind": "ising", "shape": [4, 4]}}
FLOW = {
    "model": {"family": "maf"},
    "target": {"kind": "phi4", "shape": [4, 4], "mass_squared": 1, "coupling": 0.5},
}


def submitted(job: dict[str, object], objective: dict[str, object]) -> TrainJobSpec:
    return TrainJobSpec.model_validate(job | {"objective": {"kind": "alpha_divergence"} | objective})


def test_it_is_taken_for_discrete_and_for_real_variables() -> None:
    assert submitted(JOB, {}).principle == AlphaDivergenceSpec()
    assert submitted(FLOW, {"alpha": 0.5, "gradient": "path_wise"}).principle.learns_from == ("energy",)
    assert submitted(JOB, {}).reverse_kl is None


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ({"alpha": 0}, "use 'reverse_kl'"),
        ({"alpha": 1.0}, "where the divergence is a limit"),
        ({"alpha": 11}, "less than or equal to 10"),
        ({"gradient": "path_wise"}, "'path_wise' moves samples .* lives on spins"),
    ],
)
def test_what_cannot_be_is_refused_at_submission(objective: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        submitted(JOB, objective)


def test_it_learns_from_an_energy_alone() -> None:
    with pytest.raises(ValidationError, match="does not use data"):
        submitted(JOB | {"data": {"builtin": "bars_and_stripes", "shape": [4, 4], "n": 100}}, {})
    with pytest.raises(ValidationError, match="infinite"):
        submitted({"model": {"family": "made"}, "target": {"kind": "bars_and_stripes", "shape": [4, 4]}}, {})
