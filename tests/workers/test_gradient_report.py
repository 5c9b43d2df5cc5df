"""What a train job tells of the gradient that it took: its name, and the variances it was chosen by."""

from pathlib import Path
from typing import Any

import pytest

from models_registry.blobs import BlobStore
from workers.jobs.lease import Report
from workers.kinds.base import JobContext
from workers.kinds.train import Train
from workers.settings import Settings
from workers.trainer.checkpoints import CheckpointFolder
from zoo.training import gradient_choice

JOB: dict[str, Any] = {
    "kind": "train",
    "target": {"kind": "phi4", "shape": [2, 2], "mass_squared": 1.0, "coupling": 0.5},
    "model": {"family": "realnvp", "couplings": 2, "width": 4},
    "training": {"max_steps": 60, "batch_size": 50, "learning_rate": 0.01, "beta_anneal_steps": 0},
}
VARIANCES = ("gradient_variance_reparametrised", "gradient_variance_path_wise")


def told(folder: Path, **changes: object) -> tuple[list[Report], dict[str, Any]]:
    """All that a job in this process reports, and the metrics of its version."""
    reports: list[Report] = []
    context = JobContext(
        "job-of-a-test",
        JOB | changes,
        Settings(data_dir=folder, train_threads=1),
        CheckpointFolder(folder / "checkpoints"),
        BlobStore((folder / "blobs").as_uri()),
        reports.append,
        lambda: False,
    )
    return reports, Train().run(context).result["metrics"]


def test_the_gradient_and_both_variances_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradient_choice, "SHARE", 0.5)
    reports, metrics = told(tmp_path)
    assert metrics["gradient"] in {"reparametrised", "path_wise"}
    assert all(metrics[name] > 0 for name in VARIANCES)
    lines = [line for report in reports for line in report.lines if "the variance of a step's gradient" in line]
    assert lines[-1].startswith(f"step {metrics['gradient_measured_at_step']}: ")
    assert lines[-1].endswith(f"{metrics['gradient']!r} is taken")
    points = [point for report in reports for point in report.points if point[0].startswith("gradient_variance_")]
    assert [step for name, step, _ in points if name == VARIANCES[1]] == [
        int(line.split()[1][:-1]) + 1 for line in lines
    ]
    assert points[-1][2] in {metrics[name] for name in VARIANCES}
    steps = [report.metrics for report in reports if report.metrics]
    assert steps[0]["gradient"] == "reparametrised"
    assert VARIANCES[0] not in steps[0]
    assert {name: steps[-1][name] for name in ("gradient", *VARIANCES)} == {
        name: metrics[name] for name in ("gradient", *VARIANCES)
    }


def test_nothing_is_told_where_a_gradient_was_asked_for(tmp_path: Path) -> None:
    reports, metrics = told(tmp_path, objective={"kind": "reverse_kl", "gradient": "path_wise"})
    named = [name for report in reports for name in (report.metrics or {})] + list(metrics)
    assert not [name for name in named if name == "gradient" or name.startswith("gradient_variance")]
