"""A training that diverges goes back to its last good checkpoint, with a lower learning rate, once."""

from pathlib import Path
from typing import Any

import pytest

from models_registry.blobs import BlobStore
from workers.jobs.lease import Report
from workers.kinds.base import JobContext
from workers.kinds.train import LOWERED, Train
from workers.settings import Settings
from workers.trainer.checkpoints import CheckpointFolder
from zoo.core.random import RandomStream
from zoo.specs.errors import NumericalError
from zoo.training.state import StepInfo, TrainState
from zoo.training.trainer import Trainer

JOB: dict[str, Any] = {
    "kind": "train",
    "target": {"kind": "phi4", "shape": [2, 2], "mass_squared": 1.0, "coupling": 0.5},
    "model": {"family": "realnvp", "couplings": 2, "width": 4},
    "training": {"max_steps": 20, "batch_size": 50, "checkpoint_every_seconds": 1e-9, "learning_rate": 0.01},
}


class Run:
    """A train job in this process, and what it told."""

    def __init__(self, folder: Path, **training: object) -> None:
        self.reports: list[Report] = []
        spec = JOB | {"training": JOB["training"] | training}
        self.context = JobContext(
            "job-of-a-test",
            spec,
            Settings(data_dir=folder, train_threads=1),
            CheckpointFolder(folder / "checkpoints"),
            BlobStore((folder / "blobs").as_uri()),
            self.reports.append,
            lambda: False,
        )

    def __call__(self) -> dict[str, Any]:
        return Train().run(self.context).result

    @property
    def lines(self) -> list[str]:
        return [line for report in self.reports for line in report.lines]

    def learning_rates(self) -> dict[int, float]:
        """That of each step as it was reported last."""
        metrics = [report.metrics for report in self.reports if report.metrics]
        return {found["step"]: found["learning_rate"] for found in metrics}


def diverge(monkeypatch: pytest.MonkeyPatch, at_step: int, least_factor: float) -> None:
    """Make training step ``at_step`` diverge while the learning rate's factor is at least ``least_factor``."""
    step = Trainer.step

    def diverging(trainer: Trainer, state: TrainState, rng: RandomStream) -> tuple[TrainState, StepInfo]:
        if state.step == at_step and state.learning_rate_factor >= least_factor:
            msg = f"training step {at_step} gave loss = nan"
            raise NumericalError(msg)
        return step(trainer, state, rng)

    monkeypatch.setattr(Trainer, "step", diverging)


def test_it_goes_on_from_the_last_checkpoint_with_a_lower_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = Run(tmp_path / "undisturbed")
    undisturbed()
    diverge(monkeypatch, at_step=12, least_factor=1.0)
    run = Run(tmp_path / "run")
    run()
    assert any("going on from step 12 with 0.1 times the learning rate" in line for line in run.lines)
    rates, before = run.learning_rates(), undisturbed.learning_rates()
    assert all(rates[step] == before[step] for step in range(1, 13))
    assert all(rates[step] == pytest.approx(LOWERED * before[step]) for step in range(13, 20))


def test_a_second_divergence_ends_the_job_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    diverge(monkeypatch, at_step=12, least_factor=0.0)
    with pytest.raises(NumericalError, match=r"step 12 gave loss = nan; it diverged at 0.1 times the learning rate"):
        Run(tmp_path)()


def test_a_rate_that_no_flow_survives_is_told(tmp_path: Path) -> None:
    wild = {"learning_rate": 10.0, "gradient_clip_norm": None, "learning_rate_schedule": "constant", "max_steps": 60}
    run = Run(tmp_path, **wild, beta_anneal_steps=0)
    with pytest.raises(NumericalError, match="smaller learning rate"):
        run()
    assert any("times the learning rate" in line for line in run.lines)
