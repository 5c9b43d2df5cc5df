"""Datasets through a whole stack: what is uploaded comes back, and jobs draw what physics says."""

import time

import numpy as np
import pytest

from helmholtz import Client, ConflictError, InvalidValueError, JobCancelledError, NotFoundError
from tests.running_stack import RunningStack

ISING = {"kind": "ising", "shape": [4, 4], "beta": 0.35}
METROPOLIS = {"kind": "metropolis", "num_chains": 100, "burn_in": 200, "thin": 5}


def test_an_upload_comes_back_and_can_be_deleted(stack: RunningStack) -> None:
    rng = np.random.default_rng(1)
    angles = rng.uniform(-np.pi, np.pi, (200, 3, 2)).astype(np.float32)
    labels = rng.integers(0, 5, 200)
    with stack.client() as client:
        made = client.upload_dataset(angles, "torus", "angles", labels)
        assert made in client.datasets()
        data = client.dataset_samples(made)
        np.testing.assert_array_equal(data.samples, angles)
        np.testing.assert_array_equal(data.labels, labels)
        client.delete_dataset(made)
        with pytest.raises(NotFoundError, match=made.id):
            client.dataset(made)
        angles[7, 2, 1] = 3.5
        with pytest.raises(InvalidValueError, match=r"samples\[7\]\[2\]\[1\] is 3.5"):
            client.upload_dataset(angles, "torus", "angles")
        assert "angles" not in {dataset.name for dataset in client.datasets()}


def test_builtins_are_there(stack: RunningStack) -> None:
    with stack.client() as client:
        digits = client.builtin_dataset("digits", binarise=False)
        assert (digits.num_samples, digits.event_shape, digits.labels) == (1797, (8, 8), True)
        data = client.dataset_samples(digits)
        assert data.samples.max() == 16
        bars = client.builtin_dataset("bars_and_stripes", shape=[4, 4], n=500, seed=2)
        energy = client.energy(bars.source["target"], client.dataset_samples(bars).samples).energy
        assert (energy == 0).all()
        strings = client.builtin_dataset("bitstrings", qubits=8, depth=20, n=20_000)
        target = strings.source["target"]
        exact = client.reference(target)
        assert exact.beta_f == pytest.approx(0, abs=1e-12)
        surprisal = client.energy(target, client.dataset_samples(strings).samples).energy
        sigma = surprisal.std() / 20_000**0.5
        assert abs(surprisal.mean() - float(exact.observables["entropy"] or 0)) < 4 * sigma


def test_a_job_draws_what_physics_says_and_the_same_again(stack: RunningStack) -> None:
    with stack.client() as client:
        jobs = [
            client.wait(client.generate_dataset(ISING, 5050, METROPOLIS, seed=6, name="mc"), timeout=90) for _ in "ab"
        ]
        assert jobs[0].id != jobs[1].id
        made = [client.dataset(str((job.result or {})["dataset"])) for job in jobs]
        assert made[0].digest == made[1].digest
        assert made[0].num_samples == 5050
        assert made[0].job_id == jobs[0].id
        assert made[0].source["target"]["kind"] == "ising"
        result = jobs[0].result or {}
        assert made[0].source["diagnostics"]["r_hat"] == result["r_hat"]
        assert 0.99 < result["r_hat"] < 1.02
        samples = client.dataset_samples(made[0]).samples
        assert samples.shape == (5050, 4, 4)
        assert set(np.unique(samples)) == {-1, 1}
        found = result["observables"]["energy_per_site"]
        exact = client.reference(ISING).observables["energy_per_site"]
        assert abs(found["mean"] - float(exact or 0)) < 4.5 * found["standard_error"]
        mean = client.energy(ISING, samples).energy.mean() / 16
        assert abs(mean - found["mean"]) < 0.02  # 50 of the last 100 rows were not kept


@pytest.mark.parametrize(
    "target",
    [ISING, {"kind": "bitstrings", "qubits": 4, "depth": 5}, {"kind": "coulomb_gas", "n": 3, "trap": 1.0}],
    ids=lambda target: str(target["kind"]),
)
def test_the_default_sampler_serves_every_kind_of_target(stack: RunningStack, target: dict[str, object]) -> None:
    with stack.client() as client:
        job = client.wait(client.generate_dataset(target, 20), timeout=90)
        data = client.dataset_samples(str((job.result or {})["dataset"]))
        assert len(data.samples) == 20
        assert np.isfinite(client.energy(target, data.samples).energy).all()


def test_a_cancelled_job_stops_soon_and_leaves_nothing(stack: RunningStack) -> None:
    long = {"kind": "metropolis", "num_chains": 10, "burn_in": 0, "thin": 100}
    target = {"kind": "ising", "shape": [32, 32], "beta": 0.4}
    with stack.client() as client:
        job = client.generate_dataset(target, 16_000, long, name="endless")
        _wait_until_it_draws(client, job.id)
        client.cancel(job)
        began = time.monotonic()
        with pytest.raises(JobCancelledError):
            client.wait(job, timeout=30)
        assert time.monotonic() - began < 15
        assert "endless" not in {dataset.name for dataset in client.datasets()}


def test_a_dataset_that_a_queued_job_names_is_kept(stack: RunningStack) -> None:
    """Nothing here names one yet but in a name; the id in it stands for a spec that does."""
    with stack.client() as client:
        made = client.upload_dataset(np.ones((2, 3)), "reals")
        busy = client.generate_dataset(
            {"kind": "ising", "shape": [32, 32]}, 16_000, {"kind": "metropolis", "thin": 100}, name=made.id
        )
        with pytest.raises(ConflictError, match=busy.id):
            client.delete_dataset(made)
        client.cancel(busy)
        with pytest.raises(JobCancelledError):
            client.wait(busy, timeout=30)
        client.delete_dataset(made)


def _wait_until_it_draws(client: Client, job_id: str) -> None:
    deadline = time.monotonic() + 30
    while (progress := client.job(job_id).progress) is None or progress.step < 1:
        assert time.monotonic() < deadline, "no draw was made"
        time.sleep(0.1)
