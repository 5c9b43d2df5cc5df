"""A distillation as a worker runs it: the teacher's weights from the registry, a death on the way, what is left."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models_registry.artifacts import unpack
from models_registry.blobs import BlobStore
from models_registry.database import Database
from models_registry.migrate import migrate
from models_registry.records import VersionRecord
from models_registry.versions import Versions
from tests.workers.teacher_cases import FIELD, IAF, MAF, publish
from workers.jobs.lease import Report
from workers.kinds.base import JobContext, Outcome
from workers.kinds.train import Train
from workers.settings import Settings
from workers.trainer.checkpoints import CheckpointFolder
from zoo.specs.errors import CorruptArtifactError, InvalidValueError, NotFoundError

STEPS = 30


class Registry:
    """A registry with one teacher."""

    def __init__(self, folder: Path, target: dict[str, Any] = FIELD) -> None:
        self.settings = Settings(data_dir=folder, train_threads=1)
        migrate(self.settings.resolved_database_url)
        self.database = Database(self.settings.resolved_database_url)
        self.blobs = BlobStore((folder / "artifacts").as_uri())
        self.versions = Versions(self.database, self.blobs)
        self.teacher: VersionRecord = publish(self.database, folder / "artifacts", "good", MAF, target)


class DeathError(Exception):
    """The worker is killed."""


class Run:
    """Attempts at one job."""

    def __init__(self, registry: Registry, name: str, **changed: object) -> None:
        self.registry, self.reports = registry, list[Report]()
        objective = {"kind": "distillation", "teacher": {"model": "good", "version": 1}}
        training = {"max_steps": STEPS, "batch_size": 50, "learning_rate": 0.01, "checkpoint_every_seconds": 1e-9}
        self.spec = {"kind": "train", "model": IAF, "objective": objective, "training": training} | changed
        self.folder = registry.settings.data_dir / name

    def __call__(self, dies_at: int | None = None) -> Outcome:
        def report(told: Report) -> None:
            self.reports.append(told)
            if told.metrics and told.metrics["step"] == dies_at:
                raise DeathError

        context = JobContext(
            "job-of-a-test",
            self.spec,
            self.registry.settings,
            CheckpointFolder(self.folder),
            self.registry.blobs,
            report,
            lambda: False,
        )
        return Train().run(context)

    def weights(self, outcome: Outcome) -> dict[str, np.ndarray[Any, Any]]:
        assert outcome.digest is not None
        return unpack(self.registry.blobs.get(outcome.digest))[0]

    def losses(self) -> dict[int, float]:
        """That of each step as it was told last."""
        return {told.metrics["step"]: told.metrics["loss"] for told in self.reports if told.metrics}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path)


def test_a_worker_that_dies_leaves_what_another_goes_on_from_to_the_last_bit(registry: Registry) -> None:
    whole, broken = Run(registry, "whole"), Run(registry, "broken")
    expected = whole()
    with pytest.raises(DeathError):
        broken(dies_at=17)
    found = broken()
    assert any("resumed from the checkpoint at step 16" in line for told in broken.reports for line in told.lines)
    assert broken.losses() == whole.losses()
    ours, theirs = broken.weights(found), whole.weights(expected)
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    assert not any("teacher" in name for name in ours)


def test_a_version_knows_its_teacher_and_how_far_it_is_from_it(registry: Registry) -> None:
    run = Run(registry, "alone")
    outcome = run()
    assert outcome.manifest is not None
    metrics = outcome.manifest["metrics"]
    assert outcome.manifest["objective"]["teacher"] == {"model": "good", "version": 1}
    assert outcome.manifest["target"] is None
    assert outcome.manifest["space"]["event_shape"] == [2, 2]
    assert 0 < metrics["kl_to_teacher"] < run.losses()[1]
    assert metrics["kl_to_teacher_standard_error"] > 0
    assert 0 < metrics["teacher_effective_sample_fraction"] < 1
    assert "variational_beta_f" not in metrics
    assert "exact_beta_f" not in (run.reports[-3].metrics or {})


def test_with_a_target_the_free_energy_is_told_at_the_end_and_not_on_the_way(registry: Registry) -> None:
    run = Run(registry, "target", target=FIELD)
    metrics = run().result["metrics"]
    exact = metrics["exact"]["beta_f"]
    assert metrics["variational_beta_f"] > exact - 4 * metrics["standard_error"]
    assert metrics["forward_effective_sample_fraction"] > 0
    on_the_way = [told.metrics for told in run.reports if told.metrics]
    assert all("kl_divergence" in told for told in on_the_way)
    assert not [told for told in on_the_way if {"variational_beta_f", "exact_beta_f", "beta"} & told.keys()]


def test_the_same_teacher_is_the_same_problem_and_another_one_is_not(registry: Registry) -> None:
    first, again = (Run(registry, name)().manifest for name in ("first", "again"))
    publish(registry.database, registry.settings.data_dir / "artifacts", "good", MAF | {"width": 9})
    objective = {"kind": "distillation", "teacher": {"model": "good", "version": 2}}
    other = Run(registry, "other", objective=objective)().manifest
    assert first is not None
    assert again is not None
    assert other is not None
    assert first["target_digest"] == again["target_digest"] != other["target_digest"]


def test_a_teacher_that_was_deleted_or_damaged_since_is_told(registry: Registry) -> None:
    blob = next(p for p in registry.settings.data_dir.rglob("*") if p.is_file() and registry.teacher.digest in p.name)
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    with pytest.raises(CorruptArtifactError, match="quarantined"):
        Run(registry, "damaged")()
    registry.versions.delete_version("good", 1)
    with pytest.raises(NotFoundError, match="no model 'good'"):
        Run(registry, "deleted")()


def test_a_teacher_elsewhere_is_refused_by_the_worker_too(tmp_path: Path) -> None:
    registry = Registry(tmp_path, FIELD | {"shape": [2, 4]})
    with pytest.raises(InvalidValueError, match=r"objective.teacher: it lives on reals of shape \[2, 4\]"):
        Run(registry, "elsewhere", target=FIELD)()
