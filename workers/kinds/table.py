"""The kinds of job: spec class -> "module:Class", imported in the job's own process on first use."""

from importlib import import_module
from typing import TYPE_CHECKING

from workers.jobs.specs import DatasetJobSpec, JobSpec, ReferenceJobSpec, SampleJobSpec, TrainJobSpec
from workers.jobs.sweeps import SweepJobSpec

if TYPE_CHECKING:
    from workers.kinds.base import Kind

KINDS: dict[type[JobSpec], str] = {
    TrainJobSpec: "workers.kinds.train:Train",
    DatasetJobSpec: "workers.kinds.dataset:Dataset",
    ReferenceJobSpec: "workers.kinds.reference:Reference",
    SampleJobSpec: "workers.kinds.sample:Sample",
}

PARENTS: tuple[type[JobSpec], ...] = (SweepJobSpec,)
"""Kinds that no worker runs: their children are."""

KIND_NAMES: dict[str, type[JobSpec]] = {str(spec.model_fields["kind"].default): spec for spec in (*KINDS, *PARENTS)}


def load_kind(name: str) -> "Kind":
    """The kind of job of this name."""
    module, _, class_name = KINDS[KIND_NAMES[name]].partition(":")
    kind: Kind = getattr(import_module(module), class_name)()
    return kind
