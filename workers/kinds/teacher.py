"""Distillation: the version whose density a model learns."""

import torch
from pydantic import TypeAdapter

from models_registry.artifacts import unpack
from models_registry.database import Database
from models_registry.records import VersionRecord
from models_registry.versions import Versions
from workers.jobs.beginnings import space_of
from workers.jobs.specs import TrainJobSpec
from workers.jobs.teachers import teacher_reason
from workers.kinds.base import JobContext
from workers.published_weights import load_weights
from zoo.catalog import AnyModel, build_model
from zoo.core.known_densities import KnownDensity
from zoo.core.spaces import Space, build_space
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.base import ModelSpec
from zoo.specs.objectives import TeacherSpec

_MODELS: TypeAdapter[ModelSpec] = TypeAdapter(AnyModel)


def known_density(
    context: JobContext, spec: TrainJobSpec, teacher: TeacherSpec, device: torch.device
) -> tuple[KnownDensity, Space, VersionRecord]:
    """The teacher's density, the space it lives on, and the record of the version.

    Raises:
        NotFoundError: the version has been deleted.
        InvalidValueError: its density is not known, or is not one that the model can learn.
        StateConflictError: its weights are those of another release.
        CorruptArtifactError: its weights do not have the digest that it was published with.
    """
    database = Database(context.settings.resolved_database_url)
    try:
        versions = Versions(database, context.blobs)
        record = versions.resolve(teacher.model, teacher.version)
        if (reason := teacher_reason(spec, record)) is not None:
            raise InvalidValueError(f"objective.teacher: {reason}")
        arrays, _ = unpack(versions.read_weights(record))
    finally:
        database.dispose()
    space = build_space(space_of(record))
    model = build_model(_MODELS.validate_python(record.model_spec), space, seed=0)
    load_weights(model, arrays, f"version {record.version} of {record.model!r}")
    model.eval().requires_grad_(requires_grad=False)
    return KnownDensity(model.to(device)), space, record
