"""What a user may write, and what is refused with a message that says where and why."""

import json
from math import inf, nan, pi
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from zoo.catalog import AnyModel, AnyTarget
from zoo.specs.arrays import as_configurations, as_model_inputs
from zoo.specs.errors import HelmholtzError, InvalidValueError
from zoo.specs.estimate import Estimate, ExactReference
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.conditions import ConditionOn
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.pixelcnn import PixelCnnSpec
from zoo.specs.requests import SampleRequest
from zoo.specs.samplers import MetropolisSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.gaussian import GaussianSpec
from zoo.specs.targets.gaussian_mixture import GaussianMixtureSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.training import TrainingSpec

type_of_target: TypeAdapter[TargetSpec] = TypeAdapter(AnyTarget)
type_of_model: TypeAdapter[ModelSpec] = TypeAdapter(AnyModel)

BAD_ISING: list[tuple[dict[str, Any], str, str]] = [
    ({}, "shape", "required"),
    ({"shape": [0, 4]}, "shape", "greater than or equal to 1"),
    ({"shape": [4, -1]}, "shape", "greater than or equal to 1"),
    ({"shape": []}, "shape", "at least 1 item"),
    ({"shape": [2, 2, 2, 2]}, "shape", "at most 3 items"),
    ({"shape": [4.0, 4]}, "shape", "valid integer"),
    ({"shape": ["4", 4]}, "shape", "valid integer"),
    ({"shape": [True, 4]}, "shape", "valid integer"),
    ({"shape": 4}, "shape", "valid tuple"),
    ({"shape": [4], "beta": nan}, "beta", "finite number"),
    ({"shape": [4], "beta": inf}, "beta", "finite number"),
    ({"shape": [4], "beta": -0.1}, "beta", "greater than or equal to"),
    ({"shape": [4], "beta": 0}, "beta", "greater than or equal to"),
    ({"shape": [4], "J": nan}, "J", "finite number"),
    ({"shape": [4], "h": -inf}, "h", "finite number"),
    ({"shape": [4], "lattice": "kagome"}, "lattice", "'square'"),
    ({"shape": [4], "temperature": 2.0}, "temperature", "Extra inputs are not permitted"),
]


NOT_SCALARS: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (IsingSpec, {"shape": (4,), "beta": True}),
    (IsingSpec, {"shape": (4,), "beta": "1.0"}),
    (IsingSpec, {"shape": (4,), "J": "1"}),
    (IsingSpec, {"shape": (4,), "periodic": "yes"}),
    (IsingSpec, {"shape": (4,), "periodic": 0}),
    (GaussianSpec, {"precision": ((True,),)}),
    (GaussianMixtureSpec, {"scales": "0.5"}),
    (GaussianMixtureSpec, {"means": {"kind": "circle", "radius": "2"}}),
    (TrainingSpec, {"learning_rate": "0.01"}),
    (TrainingSpec, {"stop_when": {"effective_sample_fraction_above": "0.5"}}),
    (MetropolisSpec, {"num_chains": "10"}),
    (MetropolisSpec, {"num_chains": True}),
    (SampleRequest, {"n": 1, "beta": True}),
    (SpaceSpec, {"kind": "particles", "event_shape": (2, 1), "box": ("4",)}),
    (SpaceSpec, {"kind": "particles", "event_shape": (2, 1), "centered": 1}),
]


@pytest.mark.parametrize(("spec", "fields"), NOT_SCALARS, ids=lambda value: str(value)[:60])
def test_nothing_is_taken_for_a_number_or_a_truth_value_but_one(spec: type[BaseModel], fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"valid (number|boolean|integer)"):
        spec.model_validate(fields)
    with pytest.raises(ValidationError, match=r"valid (number|boolean|integer)"):
        spec.model_validate_json(json.dumps(fields))


def test_whole_numbers_are_floats_and_lists_are_tuples() -> None:
    spec = type_of_target.validate_python({"kind": "ising", "shape": [4, 4], "beta": 2, "periodic": False})
    assert isinstance(spec, IsingSpec)
    assert (spec.beta, type(spec.beta), spec.shape, spec.periodic) == (2.0, float, (4, 4), False)


def test_a_million_bad_elements_are_one_error() -> None:
    with pytest.raises(ValidationError) as caught:
        GaussianSpec.model_validate({"precision": [["a"] * 10**6]})
    assert caught.value.error_count() <= 3


@pytest.mark.parametrize(("fields", "where", "why"), BAD_ISING, ids=lambda value: str(value)[:40])
def test_a_bad_ising_model_is_refused_at_the_field(fields: dict[str, Any], where: str, why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        type_of_target.validate_python({"kind": "ising", **fields})
    errors = caught.value.errors()
    assert all(error["loc"][:2] == ("ising", where) for error in errors)
    assert why in errors[0]["msg"]


def test_an_unknown_kind_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match=r"'clock'.*'ising'"):
        type_of_target.validate_python({"kind": "clock", "shape": [4]})
    with pytest.raises(ValidationError, match=r"'gan'.*'made'.*'pixelcnn'"):
        type_of_model.validate_python({"family": "gan"})


def test_defaults_are_the_stated_ones() -> None:
    spec = IsingSpec(shape=(4, 4))
    assert (spec.J, spec.h, spec.beta, spec.periodic) == (1.0, 0.0, 1.0, True)
    assert type_of_target.validate_json('{"kind": "ising", "shape": [4, 4]}') == spec
    assert type_of_target.validate_json(spec.model_dump_json()) == spec


def test_specs_are_frozen_and_can_be_keys() -> None:
    spec = IsingSpec(shape=(4, 4))
    with pytest.raises(ValidationError, match="frozen"):
        spec.beta = 2.0  # type: ignore[misc]
    assert {spec: 1}[IsingSpec(shape=(4, 4))] == 1


def test_a_field_breaks_the_symmetry_under_spin_flip() -> None:
    assert "z2" in IsingSpec(shape=(4,)).symmetries
    assert "z2" not in IsingSpec(shape=(4,), h=1e-9).symmetries


def test_spaces_know_their_size_and_their_dtype_on_the_wire() -> None:
    space = IsingSpec(shape=(2, 3, 4)).space
    assert (space.kind, space.event_shape, space.num_sites, space.wire_dtype) == ("spins", (2, 3, 4), 24, "int8")
    assert SpaceSpec(kind="bits", event_shape=(5,)).wire_dtype == "uint8"


def test_models_say_why_they_cannot_live_on_a_space() -> None:
    lattice, chain = IsingSpec(shape=(4, 4)).space, IsingSpec(shape=(4,)).space
    assert MadeSpec().unsupported_reason(chain) is None
    assert PixelCnnSpec().unsupported_reason(lattice) is None
    assert "2D lattice" in str(PixelCnnSpec().unsupported_reason(chain))
    assert MadeSpec().unsupported_reason(SpaceSpec(kind="bits", event_shape=(4,))) is None
    assert "reals" in str(MadeSpec().unsupported_reason(SpaceSpec(kind="reals", event_shape=(4,))))


SYMMETRIC: list[tuple[dict[str, Any], SpaceSpec, str | None]] = [
    ({"symmetry": "z2"}, SpaceSpec(kind="bits", event_shape=(4,)), None),
    ({"symmetry": ["z2", "lattice_translation"]}, SpaceSpec(kind="spins", event_shape=(16, 16)), None),
    ({"symmetry": "z2"}, SpaceSpec(kind="categorical", event_shape=(4,), num_values=3), "categorical values have none"),
    ({"symmetry": "lattice_translation"}, SpaceSpec(kind="spins", event_shape=(50, 50)), "means 2500 images; at most"),
    (
        {"symmetry": ["lattice_translation", "lattice_point_group"]},
        SpaceSpec(kind="spins", event_shape=(17, 17)),
        "means 2312 images; at most 2048",
    ),
]


@pytest.mark.parametrize(("fields", "space", "why"), SYMMETRIC, ids=str)
def test_symmetries_must_mean_something_and_be_few(fields: dict[str, Any], space: SpaceSpec, why: str | None) -> None:
    reason = MadeSpec.model_validate(fields).unsupported_reason(space)
    assert reason is None if why is None else why in str(reason)


def test_symmetries_are_one_or_a_list_of_different_ones() -> None:
    assert MadeSpec().symmetries == ()
    assert MadeSpec(symmetry="z2").symmetries == ("z2",)
    both = MadeSpec.model_validate({"symmetry": ["z2", "lattice_point_group"]})
    assert both.symmetries == ("z2", "lattice_point_group")
    assert both.averaged_symmetries(SpaceSpec(kind="spins", event_shape=(4, 4))) == ("lattice_point_group",)
    for wrong in (["z2", "z2"], [], ["none"], "rotation"):
        with pytest.raises(ValidationError, match=r"symmetry"):
            MadeSpec.model_validate({"symmetry": wrong})


CONDITIONS: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    ({"beta": [0.2, 1]}, {"kind": "ising", "shape": [4]}, None),
    ({"beta": [0.2, 1], "h": [-1, 1], "J": [0.5, 2]}, {"kind": "ising", "shape": [4]}, None),
    ({"label": 3}, {"kind": "ising", "shape": [4]}, None),
    ({"h": [-1, 1]}, {"kind": "potts", "shape": [4], "q": 3}, "has no such parameter"),
    ({"label": 3, "beta": [0.2, 1]}, {"kind": "ising", "shape": [4]}, "choose one"),
    ({"beta": [0.2, 1]}, {"kind": "phi4", "shape": [4], "mass_squared": 1, "coupling": 1}, None),
    ({"beta": [0.2, 1]}, {"kind": "dual_ising", "shape": [2, 2], "beta": 0.3}, "holds the temperature already"),
    ({"mass_squared": [-4, 1]}, {"kind": "phi4", "shape": [4], "mass_squared": 1, "coupling": 1}, None),
    (
        {"mass_squared": [-4, 1], "coupling": [0, 1]},
        {"kind": "phi4", "shape": [4], "mass_squared": 1, "coupling": 1},
        "at mass_squared = -4, coupling = 0: mass_squared is -4 with coupling 0",
    ),
    (
        {"coupling": [-1, 1]},
        {"kind": "phi4", "shape": [4], "mass_squared": 1, "coupling": 1},
        "no such target at coupling = -1",
    ),
]


@pytest.mark.parametrize(("conditions", "target", "why"), CONDITIONS, ids=str)
def test_conditions_are_parameters_that_the_target_has(
    conditions: dict[str, Any], target: dict[str, Any], why: str | None
) -> None:
    reason = ConditionOn.model_validate(conditions).unsupported_reason(type_of_target.validate_python(target))
    assert reason is None if why is None else why in str(reason)


@pytest.mark.parametrize("wrong", [{"beta": [1, 0.2]}, {"h": [1, 1]}, {"beta": [-1, 1]}, {"label": 1}, {"T": [1, 2]}])
def test_a_range_goes_from_its_lowest_value_to_its_highest(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ConditionOn.model_validate(wrong)


def test_distances_outside_a_range_are_in_units_of_its_width() -> None:
    conditions = ConditionOn(beta=(0.2, 1.0), h=(-1.0, 1.0))
    assert conditions.names == ("beta", "h")
    assert conditions.distance_outside({"beta": 0.5, "h": 1.0}) == {}
    assert conditions.distance_outside({"beta": 1.2, "h": -1.5}) == pytest.approx({"beta": 0.25, "h": 0.25})
    assert conditions.values_of(IsingSpec(shape=(4,), beta=2.0, h=0.5)) == {"h": 0.5}


@pytest.mark.parametrize(
    "fields",
    [
        {"batch_size": 1},
        {"max_steps": 0},
        {"learning_rate": 0},
        {"learning_rate": nan},
        {"seed": -1},
        {"seed": 2**53},
        {"device": "tpu"},
        {"stop_when": {"effective_sample_fraction_above": 1.0}},
        {"stop_when": {"loss_below": 1.0}},
    ],
    ids=str,
)
def test_a_bad_training_is_refused_at_the_field(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        TrainingSpec(**fields)
    assert all(error["loc"][0] == next(iter(fields)) for error in caught.value.errors())


def test_numbers_that_are_not_finite_are_no_estimate() -> None:
    with pytest.raises(ValidationError, match="finite"):
        Estimate(value=nan, standard_error=0.1, num_samples=10, method="importance")
    with pytest.raises(ValidationError, match="finite"):
        ExactReference(beta_f=inf, method="enumeration", citation="-")
    estimate = Estimate(value=1, standard_error=0.1, num_samples=10, method="importance", effective_sample_size=5)
    assert estimate.effective_sample_fraction == 0.5
    assert Estimate(value=1, standard_error=0.1, num_samples=10, method="-").effective_sample_fraction is None


SPINS = SpaceSpec(kind="spins", event_shape=(2, 2))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((3, 2)), r"samples has shape \(3, 2\); expected \(n, 2, 2\) with n >= 1"),
        (np.ones((0, 2, 2)), r"samples has shape \(0, 2, 2\)"),
        (np.ones((2, 2)), r"samples has shape \(2, 2\)"),
        (np.ones(()), r"samples has shape \(\)"),
        (np.array([[[1, 1], [1, 1]], [[1, -1], [0, 5]]]), r"samples\[1\]\[1\]\[0\] is 0; spins are -1 or 1"),
        (np.array([[[1, np.nan], [1, 1]]]), r"samples\[0\]\[0\]\[1\] is nan"),
        (np.array([[["1", "1"], ["1", "1"]]]), "samples has dtype"),
        (np.array([[1, 2], [1]], dtype=object), "samples has dtype object"),
    ],
    ids=str,
)
def test_arrays_that_are_no_configurations_name_the_first_offender(array: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message) as caught:
        as_configurations(array, SPINS)
    assert isinstance(caught.value, HelmholtzError)
    assert caught.value.errors[0].path.startswith("samples")
    assert caught.value.errors[0].allowed


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32])
def test_configurations_come_back_in_the_dtype_of_the_wire(dtype: type[np.generic]) -> None:
    found = as_configurations(np.array([[[1, -1], [-1, 1]]]).astype(dtype), SPINS)
    assert found.dtype == np.int8
    assert found.tolist() == [[[1, -1], [-1, 1]]]
    bits = as_configurations(np.array([[0, 1]]), SpaceSpec(kind="bits", event_shape=(2,)))
    assert bits.dtype == np.uint8


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("space", "half"),
    [
        (SpaceSpec(kind="torus", event_shape=(1, 1)), pi),
        *((SpaceSpec(kind="particles", event_shape=(1, 1), box=(2 * h,)), h) for h in (1.65, 0.05, 7.3, 1e-3, 123.456)),
    ],
    ids=str,
)
def test_half_open_intervals_are_closed_by_a_period(
    dtype: type[np.floating[Any]], space: SpaceSpec, half: float
) -> None:
    inside = np.array([-half * (1 - 1e-6), -half / 3, 0, half * (1 - 1e-6)], dtype=dtype).reshape(-1, 1, 1)
    np.testing.assert_array_equal(as_configurations(inside, space), inside)
    ends = np.array([half, half * (1 + 5e-7), -half * (1 + 5e-7), -half], dtype=dtype).reshape(-1, 1, 1)
    found = as_configurations(ends, space)
    assert found.dtype == dtype
    exact = found.astype(np.float64)
    assert ((exact >= -half) & (exact < half)).all()
    turns = (exact - ends.astype(np.float64)) / (2 * half)
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-7)
    np.testing.assert_array_equal(as_configurations(found, space), found)
    if dtype is np.float64:
        assert found.ravel()[0] == -half
    with pytest.raises(InvalidValueError, match=r"samples\[0\]"):
        as_configurations(np.full((1, 1, 1), half * (1 + 2e-6), dtype), space)


@pytest.mark.parametrize("value", [1e39, -1e300])
def test_numbers_beyond_float32_are_no_inputs_of_a_network(value: float) -> None:
    space = SpaceSpec(kind="reals", event_shape=(3,))
    samples = np.array([[0.0, 1.0, 2.0], [0.0, value, 1.0]])
    assert as_configurations(samples, space).dtype == np.float64
    with pytest.raises(InvalidValueError, match=r"samples\[1\]\[1\] is .*float32"):
        as_model_inputs(samples, space)
    np.testing.assert_array_equal(as_model_inputs(samples[:1], space), samples[:1])
