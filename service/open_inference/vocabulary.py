"""The tensors of a version: what it can be given, what it answers, and of which question each is a part."""

from dataclasses import dataclass

import numpy as np

from models_registry.versions import VersionRecord
from service.open_inference.datatypes import datatype_of
from service.use_cases.resolve import capabilities_of, condition_on_of, space_of
from zoo.specs.models.conditions import ConditionOn

PLATFORM = "helmholtz"

CONDITIONS = tuple(ConditionOn.model_fields)
"""Values of what a model is conditioned on, in either question."""
SAMPLING_INPUTS = ("n", "seed", *CONDITIONS)
SAMPLING_OUTPUTS = ("samples", "log_prob")
LIKELIHOOD_INPUTS = ("samples", *CONDITIONS)
LIKELIHOOD_OUTPUTS = ("log_likelihood",)

ANY = -1
"""A length that the request chooses."""


@dataclass(frozen=True)
class Slot:
    """One tensor in a version's metadata; ``ANY`` stands for a length that the request chooses."""

    name: str
    datatype: str
    shape: tuple[int, ...]


def inputs_of(record: VersionRecord) -> tuple[Slot, ...]:
    """What a version can be given: ``n`` and ``seed``, or ``samples``; and conditions, where it has some.

    None is needed always: ``n`` asks for samples, ``samples`` for their likelihood.
    """
    names = condition_on_of(record).names
    conditions = [name for name in CONDITIONS if name in names or (name == "beta" and record.target is not None)]
    found = [Slot("n", "INT64", (1,)), Slot("seed", "INT64", (1,))]
    found += [Slot(name, "INT64" if name == "label" else "FP64", (1,)) for name in conditions]
    return (*found, _samples(record)) if _has_likelihood(record) else tuple(found)


def outputs_of(record: VersionRecord) -> tuple[Slot, ...]:
    """What a version answers, each in float64 but the samples."""
    if not _has_likelihood(record):
        return (_samples(record),)
    return _samples(record), Slot("log_prob", "FP64", (ANY,)), Slot("log_likelihood", "FP64", (ANY,))


def sampling_outputs_of(record: VersionRecord) -> tuple[str, ...]:
    """What is answered to ``n`` when no outputs are named: all that the version has."""
    return tuple(slot.name for slot in outputs_of(record) if slot.name in SAMPLING_OUTPUTS)


def _samples(record: VersionRecord) -> Slot:
    space = space_of(record)
    datatype = datatype_of(np.empty(0, space.wire_dtype))
    return Slot("samples", datatype, (ANY, *space.event_shape))


def _has_likelihood(record: VersionRecord) -> bool:
    return capabilities_of(record).log_likelihood != "none"
