"""What a train job learns from: its target, its data or its teacher, and the space of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from models_registry.database import Database
from models_registry.datasets import Datasets
from models_registry.digests import canonical_digest
from workers.jobs.specs import DatasetSource, TrainJobSpec
from workers.kinds.base import JobContext
from workers.kinds.teacher import known_density
from zoo.catalog import build_dataset, states_of
from zoo.core.spaces import Space, build_space
from zoo.core.symmetries import Images, images
from zoo.specs.datasets import LabelledSamples
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.distribution import DistributionSpec
from zoo.training.problem import Problem, TrainingData

_SPLIT_SEED = 2**41


@dataclass(frozen=True)
class Lesson:
    """The problem to be trained on, its space, and where its data came from."""

    problem: Problem
    space: Space
    dataset: str | None = None
    """Id of a stored dataset, or the digest of a builtin's options."""
    data_source: dict[str, Any] | None = None
    """What the data is, where there is some: the digest of its bytes, or a builtin's options; or the digest of the
    teacher's weights."""


def prepared_lesson(context: JobContext, spec: TrainJobSpec, device: torch.device) -> Lesson:
    """The problem that ``spec`` describes, its data read and checked.

    Raises:
        InvalidValueError: the data does not fit, is too small, or is one configuration over and over; or the teacher
            does not fit.
        NotFoundError: the dataset, or the teacher, has been deleted.
    """
    state_at = None if spec.target is None else states_of(spec.target)
    state = None if state_at is None else state_at({})
    if spec.teacher is not None:
        teacher, space, record = known_density(context, spec, spec.teacher, device)
        problem = Problem(state, state_at=state_at, teacher=teacher)
        return Lesson(problem, space, data_source={"teacher": record.digest})
    found = None if spec.data is None else _read(context, spec)
    data = None if found is None else _split(found[0], spec, device)
    if found is not None:
        space = build_space(found[0].space)
    elif spec.target is not None:
        space = build_space(spec.target.space)
    problem = Problem(state, data, spec.condition_on, state_at, _lacking_images(spec))
    return Lesson(problem, space, *(found[1:] if found is not None else ()))


def _read(context: JobContext, spec: TrainJobSpec) -> tuple[LabelledSamples, str, dict[str, Any]]:
    """The data, the name it is kept under, and what it is."""
    if isinstance(spec.data, DatasetSource):
        database = Database(context.settings.resolved_database_url)
        try:
            datasets = Datasets(database, context.blobs)
            record = datasets.get(spec.data.dataset)
            return datasets.read(record), record.id, {"dataset": record.digest}
        finally:
            database.dispose()
    if spec.data is None:
        msg = "there is no data"
        raise ValueError(msg)
    source = spec.data.model_dump(mode="json", exclude={"name"})
    return build_dataset(spec.data), canonical_digest(source), source


def _split(data: LabelledSamples, spec: TrainJobSpec, device: torch.device) -> TrainingData:
    """Training and held-out rows; labels only for models conditioned on them.

    The division is a function of the data's length alone, and held-out rows of a smaller fraction are among those of a
    larger one: versions learnt from one dataset are judged by the same rows, and none that began with the weights of
    another has learnt from them.

    Raises:
        InvalidValueError: fewer than two configurations, all of them equal, or not what the model can learn.
    """
    num_classes = None if data.labels is None else int(data.labels.max()) + 1
    if (reason := spec.data_reason(data.space, num_classes)) is not None:
        raise InvalidValueError(f"data: {reason}")
    if len(data.samples) < 2:
        msg = f"data: {len(data.samples)} configuration came; at least 2 are needed to learn from"
        raise InvalidValueError(msg)
    if not np.any(data.samples != data.samples[:1]):
        msg = f"data: all {len(data.samples)} configurations are equal; a distribution cannot be learnt from one point"
        raise InvalidValueError(msg)
    if data.labels is not None and data.labels.min() < 0:
        msg = f"data: labels are 0 .. classes - 1, and {int(data.labels.min())} came"
        raise InvalidValueError(msg)
    fraction = spec.training.held_out_fraction
    held = min(len(data.samples) - 1, max(1, round(fraction * len(data.samples)))) if fraction else 0
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(data.samples))
    samples = torch.tensor(data.samples).to(device)
    labels = None if spec.condition_on.label is None or data.labels is None else torch.tensor(data.labels).to(device)
    train, test = torch.from_numpy(order[held:]).to(device), torch.from_numpy(order[:held]).to(device)
    return TrainingData(
        samples[train],
        samples[test],
        None if labels is None else labels[train],
        None if labels is None else labels[test],
    )


def _lacking_images(spec: TrainJobSpec) -> Images | None:
    """The identity and the flip, where the target has z2 at every condition and the model has not."""
    if spec.target is None or "z2" not in spec.target.symmetries or spec.target.space.kind == "categorical":
        return None
    asked = spec.reverse_kl is not None and spec.reverse_kl.symmetry_penalty is not None
    if isinstance(spec.model, DistributionSpec) and not spec.model.can_learn_symmetries and not asked:
        return None
    own = spec.model.symmetries if isinstance(spec.model, DistributionSpec) else ()
    return None if "z2" in own or not spec.has_symmetry("z2") else images(("z2",), spec.target.space)
