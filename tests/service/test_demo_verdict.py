"""The demo's verdict: right answers pass, and each wrong one is named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helmholtz import FreeEnergyResult, Point
from service.launcher.demo_figure import draw_figure
from service.launcher.demo_findings import Findings
from zoo.specs.targets.ising import IsingSpec

EXACT = -60.07630753


def result(
    beta_f: float = EXACT + 0.002, error: float = 0.002, bound: float = EXACT + 0.02, fraction: float = 0.95
) -> FreeEnergyResult:
    return FreeEnergyResult.model_validate(
        {
            "beta_f": beta_f,
            "standard_error": error,
            "method": "importance",
            "upper_bound": {"beta_f": bound, "standard_error": 0.001},
            "diagnostics": {
                "num_samples": 10_000,
                "effective_sample_size": 10_000 * fraction,
                "effective_sample_fraction": fraction,
                "reliable": True,
                "warnings": [],
            },
            "exact": {"beta_f": EXACT, "method": "Kaufman 1949", "citation": "Kaufman 1949"},
        }
    )


def findings() -> Findings:
    rng = np.random.default_rng(1)
    samples = rng.choice([-1, 1], size=(60, 8, 8)).astype(np.int8)
    return Findings(
        target=IsingSpec(shape=(8, 8), beta=0.44),
        loss=[Point(step=i + 1, value=EXACT + 5.0 / (i + 1)) for i in range(200)],
        beta=[Point(step=i + 1, value=min(0.44, 0.01 * i)) for i in range(200)],
        samples=samples,
        energies=4 * np.round(rng.normal(-25, 4, size=10_000)),
        chain_energies=4 * np.round(rng.normal(-25, 4, size=10_000)),
        free_energy=result(),
        samples_per_second=1e4,
        protocols_agree=True,
        likelihood_deviation=1e-7,
    )


def test_right_answers_pass() -> None:
    assert findings().failures() == []


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"free_energy": result(beta_f=EXACT + 0.03, error=0.02)}, "<= 0.02"),
        ({"free_energy": result(beta_f=EXACT + 0.01, error=0.003)}, "3 sigma"),
        ({"free_energy": result(bound=EXACT + 0.07)}, "gap"),
        ({"free_energy": result(fraction=0.79)}, "effective sample fraction"),
        ({"protocols_agree": False}, "gRPC"),
        ({"likelihood_deviation": 1e-4}, "log-likelihood"),
    ],
)
def test_each_wrong_answer_is_named(wrong: dict[str, object], named: str) -> None:
    (failure,) = replace(findings(), **wrong).failures()  # type: ignore[arg-type]
    assert named in failure


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "demo.png"
    draw_figure(findings(), path)
    with Image.open(path) as image:
        assert image.size == (1950, 660)
        assert len(np.unique(np.asarray(image.convert("L").resize((65, 22))))) > 10, "an empty picture"
