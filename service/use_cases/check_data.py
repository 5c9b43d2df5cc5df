"""Whether a train job can learn from the stored dataset that it names, before anything is queued."""

from models_registry.datasets import Datasets
from service.limits import check_model, check_target
from workers.jobs.specs import DatasetSource, TrainJobSpec
from workers.settings import Settings
from zoo.specs.errors import FieldError, InvalidValueError

_PATH = "data.dataset"


def check_data(spec: TrainJobSpec, datasets: Datasets, settings: Settings) -> None:
    """Nothing, when the dataset exists, fits the model and the target, and is within this installation's limits.

    What only its configurations tell, as that they are all equal, the job says before it trains.

    Raises:
        NotFoundError: there is no such dataset.
        InvalidValueError: its space or its labels do not fit, or it has fewer than two configurations.
        LimitExceededError: its configurations have more sites, or the model on them more weights, than is allowed here.
    """
    if not isinstance(spec.data, DatasetSource):
        return
    record = datasets.get(spec.data.dataset)
    reason = spec.data_reason(
        record.space, 1 if record.labels else None
    )  # how many classes, the labels themselves tell
    if reason is None and record.num_samples < 2:
        reason = f"the dataset has {record.num_samples} configuration; at least 2 are needed to learn from"
    if reason is not None:
        raise InvalidValueError(f"{_PATH}: {reason}", errors=(FieldError(_PATH, reason),))
    check_target(record.space, settings, _PATH)
    check_model(spec.model, record.space, settings)
