"""Fine-tuning: a model that begins with the weights of a version."""

from models_registry.artifacts import unpack
from models_registry.database import Database
from models_registry.versions import Versions
from workers.jobs.beginnings import beginning_reason
from workers.jobs.specs import TrainJobSpec
from workers.kinds.base import JobContext
from workers.published_weights import load_weights
from zoo.specs.errors import InvalidValueError
from zoo.training.problem import Trainable


def take_first_weights(context: JobContext, spec: TrainJobSpec, model: Trainable) -> None:
    """Nothing; ``model`` then has the weights of ``spec.init_from``, where there is one.

    Raises:
        NotFoundError: the version has been deleted.
        InvalidValueError: its model or its space is another one.
        StateConflictError: its weights are those of another release.
        CorruptArtifactError: its weights do not have the digest that it was published with.
    """
    if spec.init_from is None:
        return
    database = Database(context.settings.resolved_database_url)
    try:
        versions = Versions(database, context.blobs)
        record = versions.get(spec.init_from.model, spec.init_from.version)
        if (reason := beginning_reason(spec, record, model.space.spec)) is not None:
            raise InvalidValueError(f"init_from: {reason}")
        arrays, _ = unpack(versions.read_weights(record))
    finally:
        database.dispose()
    load_weights(model, arrays, f"version {record.version} of {record.model!r}")
