"""The job kind ``reference``: its result, its progress, and that it stops when asked."""

import json
from pathlib import Path
from typing import Any

import pytest

from models_registry.blobs import BlobStore
from workers.jobs.lease import Report
from workers.kinds.base import JobContext, StoppedError
from workers.kinds.reference import Reference
from workers.settings import Settings
from workers.trainer.checkpoints import CheckpointFolder
from zoo.specs.samplers import DirectSpec, HmcSpec, MetropolisSpec, ParallelTemperingSpec, path_sampler
from zoo.specs.targets.bars_and_stripes import BarsAndStripesSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.phi4 import Phi4Spec

SPEC: dict[str, Any] = {
    "kind": "reference",
    "target": {"kind": "ising", "shape": [3, 3], "beta": 0.4},
    "sampler": "metropolis",
    "num_states": 6,
    "length": {"num_chains": 20, "burn_in": 50, "num_draws": 50, "thin": 2},
}


def context(
    folder: Path, spec: dict[str, Any], reports: list[Report], *, stop_after: float = float("inf")
) -> JobContext:
    return JobContext(
        job_id="job",
        spec=spec,
        settings=Settings(data_dir=str(folder), train_threads=1),
        checkpoints=CheckpointFolder(folder / "checkpoints"),
        blobs=BlobStore(f"file://{folder}"),
        report=reports.append,
        stop_requested=lambda: len(reports) > stop_after,
    )


@pytest.mark.parametrize("method", ["thermodynamic_integration", "mbar", "ais"])
def test_a_job_leaves_the_estimate_with_its_evidence(method: str, tmp_path: Path) -> None:
    reports: list[Report] = []
    outcome = Reference().run(context(tmp_path, SPEC | {"method": method}, reports))
    result = outcome.result
    assert outcome.manifest is None
    assert result["method"] == method
    assert abs(result["beta_f"] - result["exact"]["beta_f"]) < 4 * result["standard_error"]
    assert result["diagnostics"]["lambdas"][0] == 0
    assert len(result["diagnostics"]["lambdas"]) == 6
    assert len(result["diagnostics"]["states"]) == (0 if method == "ais" else 6)
    json.dumps(result, allow_nan=False)
    fractions = [report.progress["fraction"] for report in reports if report.progress]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert reports[-1].metrics is not None
    assert reports[-1].metrics["beta_f"] == result["beta_f"]
    assert any("beta_f = " in line for report in reports for line in report.lines)


def test_the_estimate_does_not_depend_on_the_exact_value_or_on_time(tmp_path: Path) -> None:
    first, second = (Reference().run(context(tmp_path, SPEC, [])).result for _ in range(2))
    assert first["beta_f"] == second["beta_f"]
    assert first["diagnostics"] == second["diagnostics"]


def test_a_job_that_is_asked_to_stop_stops(tmp_path: Path) -> None:
    reports: list[Report] = []
    with pytest.raises(StoppedError):
        Reference().run(context(tmp_path, SPEC, reports, stop_after=2))
    assert len(reports) == 3


def test_chains_are_those_that_run_at_the_states_of_a_path() -> None:
    assert path_sampler(None, Phi4Spec(shape=(2, 2), mass_squared=1.0, coupling=1.0)).kind == "hmc"
    assert path_sampler(MetropolisSpec(), IsingSpec(shape=(4,))).kind == "metropolis"
    assert path_sampler(HmcSpec(num_leapfrog=3), Phi4Spec(shape=(2,), mass_squared=1.0, coupling=1.0)) == HmcSpec(
        num_leapfrog=3
    )
    for refused in (DirectSpec(), ParallelTemperingSpec()):
        with pytest.raises(ValueError, match="use one of swendsen_wang, metropolis, hmc"):
            path_sampler(refused, IsingSpec(shape=(4,)))
    with pytest.raises(ValueError, match="no chains move 'bars_and_stripes'"):
        path_sampler(None, BarsAndStripesSpec(shape=(2, 2)))
