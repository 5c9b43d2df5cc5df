"""What a train job leaves behind: the artifact, and the manifest of the version that will point at it."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models_registry.artifacts import pack
from models_registry.digests import canonical_digest
from models_registry.records import VersionManifest
from workers.jobs.specs import TrainJobSpec
from workers.kinds.base import JobContext, Outcome
from workers.kinds.lesson import Lesson
from zoo.core.targets import HasExactFreeEnergy, ThermodynamicState
from zoo.specs.errors import NoExactReferenceError
from zoo.specs.estimate import ExactReference

_LIBRARIES = ("helmholtz", "torch", "numpy")


def exact_reference(state: ThermodynamicState) -> ExactReference | None:
    """The exact value, to be shown beside progress and estimates; training never sees it."""
    if not isinstance(state.target, HasExactFreeEnergy):
        return None
    try:
        return state.target.exact_reference(state.beta)
    except NoExactReferenceError:
        return None


def published(
    context: JobContext, spec: TrainJobSpec, tensors: Mapping[str, Tensor], lesson: Lesson, metrics: dict[str, Any]
) -> Outcome:
    """The weights ``tensors``, stored under their digest, and the manifest."""
    target = None if spec.target is None else spec.target.model_dump(mode="json")
    manifest = VersionManifest(
        model=spec.published_as.model,
        job_id=context.job_id,
        target=target,
        space=lesson.space.spec.model_dump(mode="json"),
        model_spec=spec.model.model_dump(mode="json"),
        objective={"kind": "self_consistency"} if spec.is_solved else spec.principle.model_dump(mode="json"),
        training=spec.training.model_dump(mode="json"),
        seed=spec.training.seed,
        dataset=lesson.dataset,
        parent=None if spec.init_from is None else spec.init_from.model_dump(mode="json"),
        metrics=metrics,
        target_digest=canonical_digest(lesson.data_source if target is None else target),
        libraries={name: version(name) for name in _LIBRARIES},
    ).model_dump(mode="json")
    data = pack(on_host(tensors), manifest)
    return Outcome(
        result={"metrics": metrics},
        manifest=manifest,
        digest=context.blobs.put(data),
        size_bytes=len(data),
        alias=spec.published_as.alias,
    )


def on_host(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[np.generic]]:
    """The tensors as arrays in the memory of this process."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
