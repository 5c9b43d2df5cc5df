"""Store a dataset: configurations that a client sent, or those of a builtin."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from anyio.to_thread import run_sync
from numpy.typing import NDArray

from models_registry.datasets import DatasetRecord, validate_dataset_name
from service.context import Context
from service.limits import check_samples, check_target
from service.use_cases.specs import parse
from zoo.catalog import build_dataset
from zoo.specs.arrays import as_model_inputs
from zoo.specs.base import Spec
from zoo.specs.datasets import BuiltinSpec, LabelledSamples
from zoo.specs.errors import FieldError, InvalidValueError
from zoo.specs.spaces import MAX_CATEGORIES, Sides, SpaceKind, SpaceSpec

UPLOADED = "upload"
"""The name of an upload that was given none."""

Array = NDArray[np.generic]


class UploadSpace(Spec):
    """The space that uploaded configurations live in; the shape of one comes from the array."""

    kind: SpaceKind
    num_values: int | None = None
    """Values of each categorical variable; default: one more than the largest that came."""
    box: Sides | None = None
    """Side lengths of the periodic box of particles, each greater than 0."""
    centered: bool = False
    """Particles whose centre of mass is at the origin."""


@dataclass(frozen=True)
class Upload:
    """What a client sent, not looked at yet."""

    samples: Array
    labels: Array | None
    space: UploadSpace


async def store_upload(context: Context, name: str | None, upload: Upload) -> DatasetRecord:
    """The dataset made of arrays that a client sent, once every value was found to be in the space.

    Raises:
        InvalidValueError: a name, a shape or a value that is not allowed, naming the first offender; nothing is kept.
        LimitExceededError: more sites or numbers than this installation allows.
    """

    def store() -> DatasetRecord:
        data = checked(context, upload)
        return context.datasets.store(name or UPLOADED, data, {"kind": "upload"})

    validate_dataset_name(name or UPLOADED)
    return await run_sync(store)


async def store_builtin(context: Context, spec: BuiltinSpec) -> DatasetRecord:
    """The dataset of a builtin.

    Raises:
        LimitExceededError: more numbers than this installation allows.
    """
    if spec.target is not None:
        check_target(spec.target.space, context.settings)
        check_samples(getattr(spec, "n", 1), spec.target.space, context.settings)
    return await run_sync(partial(_store_builtin, context, spec))


def _store_builtin(context: Context, spec: BuiltinSpec) -> DatasetRecord:
    return context.datasets.store(spec.name or spec.builtin, build_dataset(spec), spec.source())


def checked(context: Context, upload: Upload) -> LabelledSamples:
    """The upload as configurations of its space.

    Raises:
        InvalidValueError: a shape or a value that is not allowed, naming the first offender.
        LimitExceededError: more sites or numbers than this installation allows.
    """
    samples = upload.samples
    if samples.ndim < 2 or samples.size == 0:
        message = f"has shape {samples.shape}; (n, ...) with n >= 1 and at least one variable was expected"
        raise _refused("samples", message, "(n, *event_shape)")
    space = _space(upload.space, samples)
    check_target(space, context.settings, "samples")
    check_samples(len(samples), space, context.settings)
    return LabelledSamples(space, as_model_inputs(samples, space), _labels(upload.labels, len(samples)))


def _space(asked: UploadSpace, samples: Array) -> SpaceSpec:
    """The whole space: the kind and its parameters as asked, the event shape from the array."""
    fields = asked.model_dump() | {"event_shape": samples.shape[1:]}
    if asked.kind == "categorical" and asked.num_values is None:
        fields["num_values"] = _num_values(samples)
    if asked.kind == "particles" and samples.ndim != 3:
        raise _refused("samples", f"has shape {samples.shape}; particles have (n, particle, axis)", "3 axes")
    if asked.kind == "phase_space" and (samples.ndim != 2 or samples.shape[1] % 2):
        message = f"has shape {samples.shape}; phase_space has (n, 2 m), m positions and then their m momenta"
        raise _refused("samples", message, "shape (n, 2 m)")
    if asked.kind == "spheres" and (samples.ndim < 3 or samples.shape[-1] < 2):
        message = f"has shape {samples.shape}; spheres have (n, .., d), unit vectors of d >= 2 components"
        raise _refused("samples", message, "shape (n, .., d)")
    return parse(SpaceSpec, fields, "space")


def _num_values(samples: Array) -> int:
    """One more than the largest value; where that cannot be a category, the most there may be: it is refused later."""
    if samples.dtype.kind not in "biuf":
        return MAX_CATEGORIES
    largest = float(np.max(samples))
    return max(2, int(largest) + 1) if 0 <= largest < MAX_CATEGORIES else MAX_CATEGORIES


def _labels(labels: Array | None, num_samples: int) -> NDArray[np.int64] | None:
    if labels is None:
        return None
    if labels.dtype.kind not in "iu" or labels.shape != (num_samples,):
        message = f"is {labels.dtype} of shape {labels.shape}; whole numbers of shape ({num_samples},) were expected"
        raise _refused("labels", message, f"integers of shape ({num_samples},)")
    if labels.dtype.kind == "u" and int(labels.max()) >= 2**63:
        raise _refused("labels", f"has the value {labels.max()}; whole numbers below 2^63 are kept", "below 2^63")
    return labels.astype(np.int64)


def _refused(path: str, message: str, allowed: str) -> InvalidValueError:
    return InvalidValueError(f"{path} {message}", errors=(FieldError(path, message, allowed),))
