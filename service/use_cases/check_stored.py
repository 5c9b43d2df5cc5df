"""Whether a train job can use what it names that is stored here, a dataset or a version, before anything is queued."""

from dataclasses import dataclass

from models_registry.datasets import DatasetRecord, Datasets
from models_registry.versions import VersionRecord, Versions
from service.limits import check_model, check_target
from service.use_cases.resolve import check_ready, space_of
from workers.jobs.beginnings import beginning_reason
from workers.jobs.specs import DatasetSource, TrainJobSpec
from workers.jobs.teachers import teacher_reason
from workers.settings import Settings
from zoo.specs.errors import FieldError, InvalidValueError
from zoo.specs.spaces import SpaceSpec

_DATASET = "data.dataset"
_TEACHER = "objective.teacher"


@dataclass(frozen=True)
class Stores:
    """Where datasets and versions are looked up."""

    datasets: Datasets
    versions: Versions


def check_stored(spec: TrainJobSpec, stores: Stores, settings: Settings) -> None:
    """Nothing, when the dataset, the teacher and the first weights exist and fit the model, the target and the limits.

    What only the configurations tell, as that they are all equal, the job says before it trains.

    Raises:
        NotFoundError: there is no such dataset or version.
        InvalidValueError: its space, its labels or its model do not fit, or it has fewer than two configurations.
        LimitExceededError: its configurations have more sites, or the model on them more weights, than is allowed here.
    """
    spaces = spec.known_spaces
    if isinstance(spec.data, DatasetSource):
        record = stores.datasets.get(spec.data.dataset)
        _check_dataset(spec, record)
        check_target(record.space, settings, _DATASET)
        check_model(spec.model, record.space, settings)
        spaces = (record.space,)
    if spec.teacher is not None:
        teacher = stores.versions.resolve(spec.teacher.model, spec.teacher.version)
        spaces = (_taught_space(spec, teacher),)
        check_target(spaces[0], settings, _TEACHER)
        check_model(spec.model, spaces[0], settings)
    if spec.init_from is not None:
        version = stores.versions.get(spec.init_from.model, spec.init_from.version)
        if (reason := beginning_reason(spec, version, spaces[0])) is not None:
            raise InvalidValueError(f"init_from: {reason}", errors=(FieldError("init_from", reason),))


def settled(spec: TrainJobSpec, stores: Stores, settings: Settings) -> TrainJobSpec:
    """The job with the number of its teacher's version, whatever an alias means later; it is checked as well.

    Raises:
        CorruptArtifactError: the teacher is quarantined.
        NotFoundError, InvalidValueError, LimitExceededError: as ``check_stored``.
    """
    if spec.teacher is not None:
        record = stores.versions.resolve(spec.teacher.model, spec.teacher.version)
        check_ready(record)
        spec = spec.taught_by(record.version)
    check_stored(spec, stores, settings)
    return spec


def _taught_space(spec: TrainJobSpec, version: VersionRecord) -> SpaceSpec:
    """The space of the teacher, which the model can learn from."""
    if (reason := teacher_reason(spec, version)) is not None:
        raise InvalidValueError(f"{_TEACHER}: {reason}", errors=(FieldError(_TEACHER, reason),))
    return space_of(version)


def _check_dataset(spec: TrainJobSpec, record: DatasetRecord) -> None:
    """Nothing, when its record says nothing against learning from it."""
    num_classes = 1 if record.labels else None  # how many there are, the labels themselves tell
    reason = spec.data_reason(record.space, num_classes)
    if reason is None and record.num_samples < 2:
        reason = f"the dataset has {record.num_samples} configuration; at least 2 are needed to learn from"
    if reason is not None:
        raise InvalidValueError(f"{_DATASET}: {reason}", errors=(FieldError(_DATASET, reason),))
