"""One training through the service, and every question to what came out of it."""

import json

import numpy as np
import pytest

from tests.running_stack import RunningStack

EXACT = -15.504726538718161  # 4x4 periodic, beta 0.44: by Kaufman and by enumeration


def test_a_trained_model_is_published_with_its_history(stack: RunningStack, small_model: str) -> None:
    with stack.client() as client:
        version = client.version(small_model)
        job = client.job(str(version.job_id))
    assert job.state == "succeeded"
    assert job.result is not None
    assert (job.result["model"], job.result["version"]) == (small_model, 1)
    assert version.model_spec["family"] == "pixelcnn"
    assert version.target is not None
    assert version.target["shape"] == [4, 4]
    assert version.metrics["num_samples"] == 10_000
    assert "production" in version.aliases
    assert set(version.libraries) == {"helmholtz", "torch", "numpy"}


def test_events_tell_the_whole_story_in_order(stack: RunningStack, small_model: str) -> None:
    with stack.client() as client:
        job_id = str(client.version(small_model).job_id)
        events = list(client.events(job_id))
        rest = list(client.events(job_id, after=events[1].id))
    states = [event.data["state"] for event in events if event.kind == "state"]
    assert states == ["queued", "running", "succeeded"]
    assert {event.kind for event in events} == {"state", "progress", "metric"}
    assert [event.id for event in rest] == [event.id for event in events[2:]]


def test_the_loss_series_has_every_step(stack: RunningStack, small_model: str) -> None:
    with stack.client() as client:
        job_id = str(client.version(small_model).job_id)
        steps = [point.step for point in client.metrics(job_id, "loss")]
    assert steps == list(range(1, 301))


def test_the_free_energy_is_right_within_its_error(stack: RunningStack, small_model: str) -> None:
    with stack.client() as client:
        result = client.free_energy(small_model, n=20_000, seed=5)
    assert result.exact is not None
    assert result.exact.beta_f == pytest.approx(EXACT, abs=1e-10)
    assert result.diagnostics.reliable
    assert result.beta_f is not None
    assert result.standard_error is not None
    # false alarm of a right implementation: 6e-5
    assert abs(result.beta_f - EXACT) < 4 * result.standard_error
    assert result.standard_error < 0.01
    assert result.upper_bound is not None
    assert result.upper_bound.beta_f is not None
    assert result.upper_bound.beta_f > EXACT - 3 * (result.upper_bound.standard_error or 0)
    assert result.f == pytest.approx(result.beta_f / 0.44)
    assert result.beta_f_per_site == pytest.approx(result.beta_f / 16)


def test_an_estimate_is_stored_for_dashboards(stack: RunningStack, small_model: str) -> None:
    with stack.client() as client:
        result = client.free_energy(small_model, n=1000, seed=11)
    stored = stack.get(f"/v1/free-energies?model={small_model}").json()["free_energies"]
    mine = [entry for entry in stored if entry["seed"] == 11]
    assert [entry["beta_f"] for entry in mine] == [result.beta_f]
    assert mine[0]["exact_beta_f"] == pytest.approx(EXACT, abs=1e-10)


def test_log_prob_of_samples_is_their_log_likelihood(stack: RunningStack, small_model: str) -> None:
    with stack.client() as client:
        drawn = client.sample(small_model, 2500, seed=1, include=("log_prob", "energy"))
        likelihood = client.log_likelihood(small_model, drawn.samples)
        energy = client.energy(SPEC, drawn.samples)
    assert drawn.log_prob is not None
    assert drawn.energy is not None
    assert likelihood.kind == "exact"
    scale = np.maximum(1, np.abs(drawn.log_prob))
    assert np.max(np.abs(likelihood.log_likelihood - drawn.log_prob) / scale) <= 1e-5
    np.testing.assert_allclose(energy.energy, drawn.energy)
    assert drawn.log_weight is not None
    np.testing.assert_allclose(drawn.log_weight, -0.44 * energy.energy - drawn.log_prob, atol=1e-12)


SPEC = {"kind": "ising", "shape": [4, 4], "beta": 0.44}


def test_samples_travel_as_npy_and_as_json_alike(stack: RunningStack, small_model: str) -> None:
    with stack.client() as client:
        by_npy = client.sample(small_model, 100, seed=9).samples
    answer = stack.post(f"/v1/models/{small_model}:sample", {"n": 100, "seed": 9})
    assert by_npy.dtype == np.int8
    np.testing.assert_array_equal(by_npy, np.array(answer.json()["samples"]))
    assert answer.headers["x-seed"] == "9"
    assert answer.headers["x-model-version"] == "1"
    assert "compute" in answer.headers["server-timing"]


def test_a_request_without_a_seed_is_told_one_that_works(stack: RunningStack, small_model: str) -> None:
    first = stack.post(f"/v1/models/{small_model}:sample", {"n": 5}).json()
    again = stack.post(f"/v1/models/{small_model}:sample", {"n": 5, "seed": first["seed"]}).json()
    other = stack.post(f"/v1/models/{small_model}:sample", {"n": 5}).json()
    assert again["samples"] == first["samples"]
    assert other["seed"] != first["seed"]


def test_the_same_submission_twice_is_one_job(stack: RunningStack, small_model: str) -> None:
    spec = {"kind": "train", "target": SPEC, "model": {"family": "made", "width": 4}, "training": {"max_steps": 1}}
    key = {"Idempotency-Key": "end-to-end-1"}
    first = stack.post("/v1/jobs", spec, **key)
    again = stack.post("/v1/jobs", spec, **key)
    other = stack.post("/v1/jobs", spec | {"training": {"max_steps": 2}}, **key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert first.headers["location"] == f"/v1/jobs/{first.json()['id']}"
    assert (other.status_code, other.json()["reason"]) == (422, "IDEMPOTENCY_MISMATCH")


def test_the_service_describes_itself(stack: RunningStack) -> None:
    families = {entry["family"]: entry for entry in stack.get("/v1/zoo/models").json()["models"]}
    targets = {entry["kind"]: entry for entry in stack.get("/v1/zoo/targets").json()["targets"]}
    assert families["pixelcnn"]["capabilities"]["log_likelihood"] == "exact"
    assert "half_kernel" in json.dumps(families["pixelcnn"]["schema"])
    assert targets["ising"]["formula"].startswith("E(s) = -J")
    assert stack.get("/readyz").json()["ready"] is True
    assert stack.get("/v1/info").json()["engines"][0]["device"] == "cpu"
    assert "helmholtz_requests_total" in stack.get("/metrics").text
    assert stack.get("/openapi.json").json()["paths"]["/v1/models/{model}:sample"]["post"]
    assert "<title>Helmholtz</title>" in stack.get("/").text
    assert stack.get("/docs").status_code == 200


def test_an_alias_moves_and_comes_back(stack: RunningStack, small_model: str) -> None:
    with stack.client() as client:
        created = client.set_alias(small_model, "candidate", 1)
        assert client.version(small_model, "candidate").version == 1
        answer = stack.post(f"/v1/models/{small_model}/versions/candidate:sample", {"n": 2, "seed": 1})
        history = client.alias_history(small_model, "candidate")
    assert answer.json()["version"] == 1
    assert created.version == 1
    assert [move.version for move in history] == [1]
