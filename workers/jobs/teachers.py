"""Whether a model can learn the density of a version."""

from pydantic import TypeAdapter, ValidationError

from models_registry.records import VersionManifest
from workers.jobs.beginnings import space_of
from workers.jobs.specs import TrainJobSpec, described
from zoo.catalog import AnyModel
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.distribution import DistributionSpec
from zoo.specs.objectives import DistillationSpec

_MODELS: TypeAdapter[ModelSpec] = TypeAdapter(AnyModel)


def teacher_reason(spec: TrainJobSpec, version: VersionManifest) -> str | None:
    """Why the model of ``spec`` cannot learn the density of ``version``, or None when it can."""
    try:
        teacher = _MODELS.validate_python(version.model_spec)
    except ValidationError:
        return "its model was described in terms that this installation does not know"
    if (known := teacher.capabilities.log_likelihood) != "exact":
        return f"family {teacher.family!r} has no exact density to learn (its log_likelihood is {known!r})"
    if isinstance(teacher, DistributionSpec) and (names := teacher.condition_on.names):
        return (
            f"it is conditioned on {', '.join(names)} and is one density for each value; distil a version without "
            "conditions"
        )
    space = space_of(version)
    if spec.target is not None and spec.target.space != space:
        return (
            f"it lives on {described(space)}, and the target on {described(spec.target.space)}; they must be the same"
        )
    if (reason := spec.model.unsupported_reason(space)) is not None:
        return reason.replace("the target", "the teacher")
    return (
        spec.principle.immovable_reason(space, "the teacher") if isinstance(spec.principle, DistillationSpec) else None
    )
