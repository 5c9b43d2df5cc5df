"""One rule for the conditions of a request: what is asked, what the target has, what is refused and why."""

from typing import Any

import pytest
from pydantic import ValidationError

from models_registry.versions import VersionRecord
from service.use_cases.estimate_free_energy import doubts_of, with_doubts
from service.use_cases.resolve import condition_on_of, resolve_condition, space_of, target_of
from zoo.specs.errors import CapabilityMissingError, InvalidValueError
from zoo.specs.estimate import Estimate
from zoo.specs.requests import FreeEnergyCurveRequest, FreeEnergyRequest, SampleRequest

ISING: dict[str, Any] = {"kind": "ising", "shape": [4, 4], "beta": 0.44, "h": 0.1}
SPACE = {"kind": "spins", "event_shape": [4, 4]}


def record(
    condition_on: dict[str, Any] | None = None, target: dict[str, Any] | None = ISING, **metrics: object
) -> VersionRecord:
    model: dict[str, Any] = {"family": "made", "width": 8}
    return VersionRecord(
        model="m",
        job_id="job-1",
        target=target,
        space=SPACE,
        model_spec=model if condition_on is None else model | {"condition_on": condition_on},
        objective={},
        training={},
        seed=0,
        metrics=metrics,
        target_digest="0" * 64,
        libraries={},
        version=3,
        digest="",
        size_bytes=1,
        created_at=0.0,
        state="ready",
    )


ON_BETA = {"beta": [0.2, 1.0]}
ON_BOTH = {"beta": [0.2, 1.0], "h": [-0.5, 0.5]}
CLASSES = record({"label": 10}, target=None)


def refusal(of: VersionRecord, asked: dict[str, float]) -> InvalidValueError:
    with pytest.raises(InvalidValueError) as caught:
        resolve_condition(of, asked)
    return caught.value


@pytest.mark.parametrize(
    ("condition_on", "asked", "values"),
    [
        (None, {}, {}),
        (None, {"beta": 0.44}, {}),
        (None, {"h": 0.1}, {}),
        (ON_BETA, {}, {"beta": 0.44}),
        (ON_BETA, {"beta": 0.9}, {"beta": 0.9}),
        (ON_BETA, {"beta": 0.9, "h": 0.1}, {"beta": 0.9}),
        (ON_BOTH, {"h": 0}, {"beta": 0.44, "h": 0.0}),
        (ON_BOTH, {"h": 0.5, "beta": 0.2}, {"beta": 0.2, "h": 0.5}),
    ],
)
def test_what_is_not_asked_is_the_targets_own(
    condition_on: dict[str, Any] | None, asked: dict[str, float], values: dict[str, float]
) -> None:
    found = resolve_condition(record(condition_on), asked)
    assert found.values == values
    assert list(found.values) == list(values)
    assert found.warnings == ()


def test_a_target_outside_the_range_has_no_value_of_its_own() -> None:
    error = refusal(record({"beta": [0.5, 1.0]}), {})
    assert error.errors[0].path == "beta"
    assert error.errors[0].allowed == "the range 0.5 to 1 that the model was trained on"
    assert refusal(record({"h": [0.2, 0.5]}), {}).errors[0].path == "condition.h"


@pytest.mark.parametrize("beta", [0.12, 0.15, 1.0001, 1.08])
def test_a_little_outside_is_answered_with_a_warning(beta: float) -> None:
    found = resolve_condition(record(ON_BETA), {"beta": beta})
    assert found.values == {"beta": beta}
    assert found.warnings == (
        f"beta = {beta:g} is outside the range 0.2 to 1 that the model was trained on; nothing was learnt there",
    )
    estimate = Estimate(value=-1.0, standard_error=0.1, num_samples=1000, method="importance")
    doubtful = with_doubts(estimate, doubts_of(record(ON_BETA), found))
    assert not doubtful.reliable
    assert doubtful.warnings == found.warnings
    assert with_doubts(estimate, ()) == estimate


@pytest.mark.parametrize("beta", [0.119, 1.081, 5.0, 1e308])
def test_far_outside_is_refused_with_the_range(beta: float) -> None:
    error = refusal(record(ON_BETA), {"beta": beta})
    assert "0.2 to 1" in error.detail
    assert f"{beta:g}" in error.detail
    assert error.errors[0].path == "beta"
    assert "inf" not in error.detail
    assert len(error.detail) < 200


@pytest.mark.parametrize("label", [-1, 10, 2.5, 1e30])
def test_a_label_is_one_of_the_classes(label: float) -> None:
    error = refusal(CLASSES, {"label": label})
    assert error.errors[0].allowed == "a whole number from 0 to 9"
    assert error.errors[0].path == "condition.label"


def test_a_class_has_no_default() -> None:
    assert refusal(CLASSES, {}).errors[0].path == "condition.label"
    found = resolve_condition(CLASSES, {"label": 9})
    assert found.values == {"label": 9.0}
    assert found.target_values == {}


@pytest.mark.parametrize(
    ("of", "asked", "said"),
    [
        (
            record(),
            {"beta": 0.3},
            "answers at the beta it was trained at, 0.44; leave beta out, or train a model at 0.3",
        ),
        (record(), {"h": 0.2}, "answers at the h it was trained at, 0.1"),
        (record(), {"label": 3}, "is not conditioned on label; it has no conditions"),
        (record(ON_BETA), {"h": 0.2}, "is not conditioned on h and answers at the h it was trained at, 0.1"),
        (record(ON_BETA), {"temperature": 2.0}, "is not conditioned on temperature; it is conditioned on beta"),
        (record(ON_BETA), {"shape": 4}, "is not conditioned on shape"),
        (CLASSES, {"label": 1, "beta": 1.0}, "is not conditioned on beta; it is conditioned on label"),
    ],
)
def test_what_a_model_is_not_conditioned_on_is_a_missing_capability(
    of: VersionRecord, asked: dict[str, float], said: str
) -> None:
    with pytest.raises(CapabilityMissingError, match="version 3 of 'm'") as caught:
        resolve_condition(of, asked)
    assert said in caught.value.detail


def test_a_version_learnt_from_data_has_a_space_and_no_target() -> None:
    assert space_of(CLASSES).event_shape == (4, 4)
    with pytest.raises(CapabilityMissingError, match="no target"):
        target_of(CLASSES)


def test_families_without_conditions_have_none() -> None:
    assert condition_on_of(record()).names == ()


def check(forward: float, unseen: float = 0.3, **condition: float) -> dict[str, Any]:
    return {
        "condition": condition,
        "forward_effective_sample_fraction": forward,
        "num_forward_samples": 2000,
        "unseen_fraction": unseen,
        "effective_sample_fraction": 0.9,
        "num_samples": 10_000,
        "sampler": "swendsen_wang",
    }


def test_a_missing_mode_counts_where_it_was_found() -> None:
    of = record(ON_BETA, forward_checks=[check(0.9, 0.0, beta=0.44), check(1e-9, beta=1.0)])
    assert doubts_of(of, resolve_condition(of, {"beta": 0.5})) == ()
    (doubt,) = doubts_of(of, resolve_condition(of, {"beta": 0.8}))
    assert doubt.startswith("a mode seems to be missing at beta = 1: the effective sample fraction is 1e-09 on 2000")
    assert len(doubts_of(of, resolve_condition(of, {"beta": 1.05}))) == 2
    single = record(None, forward_checks=[check(1e-9)])
    assert doubts_of(single, resolve_condition(single, {}))[0].startswith("a mode seems to be missing: ")


def test_versions_that_were_not_checked_are_not_doubted() -> None:
    assert doubts_of(record(ON_BETA), resolve_condition(record(ON_BETA), {})) == ()


def test_beta_may_stand_in_either_place() -> None:
    assert SampleRequest(n=1, beta=0.3).asked == {"beta": 0.3}
    assert SampleRequest(n=1, condition={"h": 0.1, "beta": 0.3}).asked == {"h": 0.1, "beta": 0.3}
    assert FreeEnergyRequest(beta=0.3, condition={"beta": 0.3, "h": 0.1}).asked == {"h": 0.1, "beta": 0.3}
    assert FreeEnergyRequest().asked == {}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"beta": 0.3, "condition": {"beta": 0.4}}, "give one of them"),
        ({"condition": {"beta": 0.0}}, "greater than 0"),
        ({"beta": -1.0}, "greater than 0"),
        ({"condition": {"beta": float("nan")}}, "finite"),
        ({"condition": {"h": "0.1"}}, "number"),
        ({"condition": {"h": True}}, "number"),
        ({"condition": {f"x{k}": 1.0 for k in range(17)}}, "at most 16"),
    ],
)
def test_conditions_that_mean_nothing_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        FreeEnergyRequest.model_validate(fields)


def test_a_curve_has_each_beta_once() -> None:
    with pytest.raises(ValidationError, match=r"0\.3 is in the list more than once"):
        FreeEnergyCurveRequest.model_validate({"beta": [0.3, 0.4, 0.3]})
