"""Fixtures of the whole suite: one real stack for all tests that only ask, and a small model trained through it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running_stack import RunningStack

SMALL_JOB: dict[str, Any] = {
    "kind": "train",
    "target": {"kind": "ising", "shape": [4, 4], "beta": 0.44},
    "model": {"family": "pixelcnn", "width": 12, "depth": 2, "symmetry": "z2"},
    "training": {"batch_size": 500, "max_steps": 300, "learning_rate": 0.01, "seed": 3},
    "publish": {"model": "small", "alias": "production"},
}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack that lives as long as the test session; tests must leave it working."""
    running = RunningStack(tmp_path_factory.mktemp("stack"))
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def small_model(stack: RunningStack) -> str:
    """The name of a pixelcnn trained on the 4x4 Ising model through the stack."""
    with stack.client() as client:
        job = client.wait(client.submit(SMALL_JOB), timeout=120)
        assert job.state == "succeeded"
    return "small"


@pytest.fixture(autouse=True)
def _denormals_are_numbers() -> None:
    """What trains in this process flushes them for good, and hypothesis refuses to draw numbers then."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_flush_denormal(False)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A fresh data directory."""
    return tmp_path / "data"
