"""The catalogue names everything, each entry exists, and none of it needs torch before it is built."""

import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from tests.conformance.cases import MODEL_SPECS, ModelCase, spins
from tests.conformance.target_cases import TARGET_SPECS
from zoo.catalog import (
    APPROXIMATIONS,
    EQUATIONS,
    FAMILIES,
    MODELS,
    OBJECTIVES,
    TARGETS,
    AnyModel,
    AnyObjective,
    AnyTarget,
    build_equations,
    build_model,
    build_objective,
    build_target,
    tag_of,
)
from zoo.core.models import Model
from zoo.core.self_consistency import SelfConsistent
from zoo.core.targets import Target
from zoo.objectives.base import Objective
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.fixed_point import FixedPointSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.pixelcnn import PixelCnnSpec
from zoo.specs.objectives import ObjectiveSpec
from zoo.specs.targets.base import TargetSpec


def test_every_entry_has_small_forms_for_this_suite() -> None:
    assert set(MODEL_SPECS) == set(MODELS)
    assert set(TARGET_SPECS) == set(TARGETS)


def from_json(spec_class: type[ModelSpec]) -> ModelSpec:
    """The family's defaults, asked for by its name."""
    spec: ModelSpec = TypeAdapter(AnyModel).validate_python({"family": tag_of(spec_class)})
    assert type(spec) is spec_class
    return spec


@pytest.mark.parametrize("spec_class", FAMILIES, ids=tag_of)
def test_a_family_says_what_it_is_and_explains_every_parameter(spec_class: type[ModelSpec]) -> None:
    spec = from_json(spec_class)
    assert spec.description
    assert "arXiv" in spec.citation
    unexplained = [name for name, field in spec_class.model_fields.items() if not field.description]
    assert set(unexplained) <= {"family"}


@pytest.mark.parametrize("spec_class", MODELS, ids=tag_of)
def test_a_family_builds_a_final_model_from_json_with_its_defaults(spec_class: type[ModelSpec]) -> None:
    spec = from_json(spec_class)
    for kind in spec_class.served_spaces():
        model = build_model(spec, ModelCase(spec, "untrained", kind).space(), seed=0)
        assert isinstance(model, Model)
        assert getattr(type(model), "__final__", False)
        assert model.space.spec.kind == kind


@pytest.mark.parametrize("spec_class", EQUATIONS, ids=tag_of)
def test_what_is_solved_builds_from_json(spec_class: type[ModelSpec]) -> None:
    spec = from_json(spec_class)
    assert isinstance(spec, FixedPointSpec)
    assert isinstance(build_equations(spec), SelfConsistent)


@pytest.mark.parametrize("spec_class", APPROXIMATIONS, ids=tag_of)
def test_an_approximation_is_no_model(spec_class: type[ModelSpec]) -> None:
    with pytest.raises(InvalidValueError, match="approximation of the free energy"):
        build_model(from_json(spec_class), spins((3, 3)), seed=0)


def test_a_conditional_model_is_not_one_model() -> None:
    spec = MadeSpec.model_validate({"condition_on": {"beta": [0.1, 1]}})
    with pytest.raises(InvalidValueError, match="one model for each value"):
        build_model(spec, spins((3, 3)), seed=0)


@pytest.mark.parametrize("spec_class", TARGETS, ids=tag_of)
def test_a_target_builds_from_its_own_json(spec_class: type[TargetSpec]) -> None:
    for spec in TARGET_SPECS[spec_class]:
        again: TargetSpec = TypeAdapter(AnyTarget).validate_json(spec.model_dump_json())
        assert again == spec
        assert isinstance(build_target(again), Target)
    assert spec_class.formula
    assert spec_class.units
    assert spec_class.citation
    assert spec_class.references


@pytest.mark.parametrize("spec_class", OBJECTIVES, ids=tag_of)
def test_an_objective_builds_from_json(spec_class: type[ObjectiveSpec]) -> None:
    needed = {"teacher": {"model": "good", "version": 1}} if "teacher" in spec_class.model_fields else {}
    spec: ObjectiveSpec = TypeAdapter(AnyObjective).validate_python({"kind": tag_of(spec_class)} | needed)
    assert isinstance(build_objective(spec), Objective)


def test_an_unknown_family_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match=r"'made', 'pixelcnn'"):
        TypeAdapter(AnyModel).validate_python({"family": "pixelrnn"})


def test_a_family_refuses_a_lattice_that_it_cannot_live_on() -> None:
    with pytest.raises(InvalidValueError, match=r"needs a 2D lattice, and the target has shape \[5\]"):
        build_model(PixelCnnSpec(), spins((5,)), seed=0)


def test_catalogue_and_vocabulary_leave_torch_alone() -> None:
    code = (
        "import sys, pkgutil, importlib, zoo.catalog, zoo.specs\n"
        "for m in pkgutil.walk_packages(zoo.specs.__path__, 'zoo.specs.'): importlib.import_module(m.name)\n"
        "assert 'zoo.specs.models.made' in sys.modules\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)  # noqa: S603 - our own words
