"""Whether a training can begin with the weights of a version."""

from pydantic import TypeAdapter, ValidationError

from models_registry.records import VersionManifest
from workers.jobs.specs import TrainJobSpec, described
from zoo.catalog import AnyModel, AnyTarget
from zoo.specs.models.base import ModelSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import TargetSpec

_MODELS: TypeAdapter[ModelSpec] = TypeAdapter(AnyModel)
_TARGETS: TypeAdapter[TargetSpec] = TypeAdapter(AnyTarget)


def beginning_reason(spec: TrainJobSpec, version: VersionManifest, space: SpaceSpec) -> str | None:
    """Why a training on ``space`` cannot begin with the weights of ``version``, or None when it can."""
    if spec.is_solved:
        return (
            f"family {spec.model.family!r} is solved and not trained: there are no weights to begin with; leave it out"
        )
    try:
        model = _MODELS.validate_python(version.model_spec)
    except ValidationError:
        return "its model was described in terms that this installation does not know"
    if model != spec.model:
        return (
            f"its model is {_shown(model, spec.model)}, and this job's {_shown(spec.model, model)}; give the same one"
        )
    own = space_of(version)
    if own != space:
        return f"it lives on {described(own)}, and this job on {described(space)}; they must be the same"
    return None


def space_of(version: VersionManifest) -> SpaceSpec:
    """The space that a version's samples live in."""
    if version.target is not None:
        return _TARGETS.validate_python(version.target).space
    return SpaceSpec.model_validate(version.space)


def _shown(model: ModelSpec, other: ModelSpec) -> str:
    """The family of ``model``, and its parameters that ``other`` has not."""
    ours, theirs = model.model_dump(mode="json"), other.model_dump(mode="json")
    different = [f"{name} = {value}" for name, value in ours.items() if name != "family" and theirs.get(name) != value]
    return f"{model.family!r}" + (f" with {', '.join(different)}" if different else "")
