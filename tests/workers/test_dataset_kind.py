"""The job kind ``dataset``: right draws, the same ones each time, and one row however often it is committed."""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models_registry.artifacts import unpack
from models_registry.blobs import BlobStore
from models_registry.database import Database
from models_registry.datasets import Datasets
from tests.workers.job_cases import LEASE, SHORT_LEASE, read
from workers.jobs.lease import Claim, LeaseLostError, Report, claim_next, reap
from workers.jobs.read import Job
from workers.jobs.specs import DatasetJobSpec
from workers.jobs.submission import request_cancel, submit
from workers.kinds.base import JobContext, Outcome, StoppedError
from workers.kinds.dataset import Dataset
from workers.settings import Settings
from workers.trainer.checkpoints import CheckpointFolder
from workers.trainer.supervisor import Supervisor
from zoo.catalog import build_chains, build_target
from zoo.core.random import RandomStream
from zoo.samplers.base import RunPlan
from zoo.specs.arrays import as_configurations

ISING = {"kind": "ising", "shape": [3, 3], "beta": 0.3}
METROPOLIS = {"kind": "metropolis", "num_chains": 20, "burn_in": 50, "thin": 5}
PARTICLES = {"kind": "coulomb_gas", "n": 5, "trap": 1.0}
HMC = {"kind": "hmc", "num_chains": 4, "burn_in": 20, "thin": 1}

Run = Callable[..., Outcome]


def spec(**changes: Any) -> DatasetJobSpec:  # noqa: ANN401 - fields of a spec
    return DatasetJobSpec.model_validate({"target": ISING, "sampler": METROPOLIS, "n": 90, "seed": 4} | changes)


@pytest.fixture
def reports() -> list[Report]:
    """What the job has told."""
    return []


@pytest.fixture
def run(tmp_path: Path, reports: list[Report]) -> Run:
    """Runs a job of a spec in this process."""

    def once(job: DatasetJobSpec, stop_after: int | None = None) -> Outcome:
        context = JobContext(
            job_id="j1",
            spec=job.model_dump(mode="json"),
            settings=Settings(train_threads=1, data_dir=tmp_path),
            checkpoints=CheckpointFolder(tmp_path / "checkpoints"),
            blobs=BlobStore(str(tmp_path / "artifacts")),
            report=reports.append,
            stop_requested=lambda: stop_after is not None and len(reports) > stop_after,
        )
        return Dataset().run(context)

    return once


def samples_of(outcome: Outcome, tmp_path: Path) -> NDArray[np.generic]:
    """The stored configurations."""
    arrays, _ = unpack(BlobStore(str(tmp_path / "artifacts")).get(str(outcome.digest)))
    return arrays["samples"]


def test_the_rows_are_the_draws_of_the_chains_in_their_order(run: Run, tmp_path: Path) -> None:
    job = spec()
    outcome = run(job)
    kept = samples_of(outcome, tmp_path)
    target = build_target(job.target)
    plan = RunPlan(num_draws=5, burn_in=50, thin=5)
    known = build_chains(job.chains, target, 0.3).run(20, plan, RandomStream(4)).configurations
    in_order = known.transpose(0, 1).reshape(100, 3, 3).numpy()
    np.testing.assert_array_equal(kept, in_order[:90])
    assert kept.dtype == np.int8
    assert outcome.dataset is not None
    assert outcome.dataset["num_samples"] == 90
    assert outcome.dataset["job_id"] == "j1"
    assert outcome.dataset["name"] == "ising"
    assert outcome.dataset["source"]["sampler"]["kind"] == "metropolis"
    assert outcome.dataset["source"]["seed"] == 4


def test_the_seed_decides_everything(run: Run) -> None:
    first, again, other = run(spec()), run(spec()), run(spec(seed=5))
    assert first.digest == again.digest
    assert first.result == again.result
    assert first.digest != other.digest


def test_averages_have_errors_that_hold(run: Run) -> None:
    """The exact energy of the 3x3 torus, within 4.5 standard errors, at two temperatures."""
    for beta in (0.2, 0.4):
        job = spec(target=ISING | {"beta": beta}, n=4000, sampler=METROPOLIS | {"num_chains": 100})
        result = run(job).result
        found = result["observables"]["energy_per_site"]
        exact = build_target(job.target).exact_reference(beta).observables["energy_per_site"]  # type: ignore[attr-defined]
        assert 0 < found["standard_error"] < 0.05
        assert abs(found["mean"] - exact) < 4.5 * found["standard_error"]
        assert 0.99 < result["r_hat"] < 1.02
        assert 1000 < result["effective_sample_size"] < 10_000
        assert result["warnings"] == []


def test_chains_that_were_not_given_time_are_said_to_disagree(run: Run) -> None:
    cold = spec(
        target={"kind": "ising", "shape": [12, 12], "beta": 0.8},
        sampler=METROPOLIS | {"burn_in": 0, "thin": 1},
        n=200,
    )
    result = run(cold).result
    assert result["r_hat"] > 1.05
    assert any("R-hat" in line for line in result["warnings"])


def test_few_draws_have_no_error_and_say_so(run: Run, tmp_path: Path) -> None:
    outcome = run(spec(n=7))
    assert samples_of(outcome, tmp_path).shape == (7, 3, 3)
    assert outcome.result["r_hat"] is None
    assert outcome.result["effective_sample_size"] is None
    assert outcome.result["observables"]["energy_per_site"]["standard_error"] is None
    assert "1 draws of each chain" in outcome.result["warnings"][0]


def test_particles_are_relabelled_at_random_and_otherwise_left_alone(run: Run, tmp_path: Path) -> None:
    job = spec(target=PARTICLES, sampler=HMC, n=40)
    kept = samples_of(run(job), tmp_path)
    plan = RunPlan(num_draws=10, burn_in=20, thin=1)
    known = build_chains(job.chains, build_target(job.target), 1.0).run(4, plan, RandomStream(4)).configurations
    drawn = known.transpose(0, 1).reshape(40, 5, -1).float()
    order = torch.cdist(torch.from_numpy(np.asarray(kept)).float(), drawn).argmin(2)
    assert torch.equal(order.sort(1).values, torch.arange(5).expand(40, 5))
    assert torch.allclose(drawn.gather(1, order[:, :, None].expand_as(drawn)), torch.from_numpy(np.asarray(kept)))
    assert len({tuple(row) for row in order.tolist()}) > 25  # of 120 orders, in 40 rows
    # each particle is as often in each place: 40 of 5 places, 8 +- 2.5 each
    places = torch.stack([(order == p).sum(0) for p in range(5)])
    assert int(places.min()) >= 1
    assert int(places.max()) <= 18


def test_every_configuration_is_in_the_space(run: Run, tmp_path: Path) -> None:
    for target, sampler in ((PARTICLES, HMC), (ISING, METROPOLIS)):
        job = spec(target=target, sampler=sampler, n=12)
        kept = samples_of(run(job), tmp_path)
        as_configurations(kept, job.target.space)
        assert kept.dtype == job.target.space.wire_dtype


def test_progress_is_told_and_ends_at_one(run: Run, reports: list[Report]) -> None:
    run(spec())
    progress = [report.progress for report in reports if report.progress]
    assert [p["step"] for p in progress] == [0, 1, 2, 3, 4, 5]
    assert progress[0]["eta_seconds"] is None
    assert progress[-1] == {"step": 5, "max_steps": 5, "fraction": 1.0, "eta_seconds": 0.0}
    assert [name for report in reports for name, _, _ in report.points] == ["mean_energy"] * 5
    assert any("20 chains of metropolis" in line for report in reports for line in report.lines)


def test_a_stop_ends_it_between_two_draws_and_a_second_run_is_the_same(run: Run, reports: list[Report]) -> None:
    whole = run(spec())
    reports.clear()
    with pytest.raises(StoppedError):
        run(spec(), stop_after=2)
    assert max(report.progress["step"] for report in reports if report.progress) == 2
    reports.clear()
    assert run(spec()).digest == whole.digest


@pytest.fixture
def supervisor(jobs_database: Database, tmp_path: Path) -> Supervisor:
    settings = Settings(data_dir=tmp_path, artifact_url=str(tmp_path / "artifacts"), lease_seconds=LEASE)
    return Supervisor(settings, jobs_database)


def queued(database: Database) -> Job:
    job, _ = submit(database, spec(), caller="local", max_attempts=3)
    return job


def claimed(database: Database, lease_seconds: float = LEASE) -> Claim:
    claim = claim_next(database, lease_seconds, frozenset({"dataset"}))
    assert claim is not None
    return claim


def committed(supervisor: Supervisor, claim: Claim, outcome: Outcome) -> None:
    supervisor._commit(claim, asdict(outcome))


def of_job(outcome: Outcome, job_id: str) -> Outcome:
    assert outcome.dataset is not None
    return Outcome(outcome.result, None, outcome.dataset | {"job_id": job_id}, outcome.digest, outcome.size_bytes)


def test_the_row_comes_with_the_end_of_the_job(
    run: Run, jobs_database: Database, supervisor: Supervisor, tmp_path: Path
) -> None:
    job = queued(jobs_database)
    committed(supervisor, claimed(jobs_database), of_job(run(spec()), job.id))
    ended = read(jobs_database, job.id)
    assert ended.state == "succeeded"
    assert ended.result is not None
    datasets = Datasets(jobs_database, BlobStore(str(tmp_path / "artifacts")))
    (record,) = datasets.list().items
    assert ended.result["dataset"] == record.id
    assert ended.result["num_samples"] == 90
    assert record.job_id == job.id
    assert datasets.read(record).samples.shape == (90, 3, 3)


def test_a_late_commit_changes_nothing(
    run: Run, jobs_database: Database, supervisor: Supervisor, tmp_path: Path
) -> None:
    job = queued(jobs_database)
    outcome = of_job(run(spec()), job.id)
    zombie = claimed(jobs_database, SHORT_LEASE)
    time.sleep(SHORT_LEASE + 0.01)
    datasets = Datasets(jobs_database, BlobStore(str(tmp_path / "artifacts")))
    owner = claimed(jobs_database)
    for _ in range(2):
        with pytest.raises(LeaseLostError):
            committed(supervisor, zombie, outcome)
        assert datasets.list().items == ()
    committed(supervisor, owner, outcome)
    before = (read(jobs_database, job.id), datasets.list().items)
    for late in (zombie, owner):
        with pytest.raises(LeaseLostError):
            committed(supervisor, late, outcome)
        assert (read(jobs_database, job.id), datasets.list().items) == before


def test_a_cancelled_job_leaves_no_dataset(
    run: Run, jobs_database: Database, supervisor: Supervisor, tmp_path: Path
) -> None:
    job = queued(jobs_database)
    owner = claimed(jobs_database, SHORT_LEASE)
    request_cancel(jobs_database, job.id)
    time.sleep(SHORT_LEASE + 0.01)
    reap(jobs_database, 100)
    with pytest.raises(LeaseLostError):
        committed(supervisor, owner, of_job(run(spec()), job.id))
    assert Datasets(jobs_database, BlobStore(str(tmp_path / "artifacts"))).list().items == ()
    assert read(jobs_database, job.id).state == "cancelled"
