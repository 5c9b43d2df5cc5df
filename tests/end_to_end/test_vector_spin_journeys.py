"""Unit vectors through the service: a flow on spheres, its samples, likelihoods, corrections, free energies; data."""

from typing import Any

import numpy as np
import pytest

from tests.running_stack import RunningStack
from zoo.catalog import build_target
from zoo.core.targets import HasExactFreeEnergy
from zoo.specs.targets.vector_spins import VectorSpinsSpec

RING = {"kind": "vector_spins", "shape": [4], "beta": 1.2}
FLOW = {"family": "sphere_flow", "couplings": 6, "width": 16, "bins": 4, "condition_on": {"beta": [0.5, 1.5]}}
ENERGY = {"kind": "reverse_kl", "symmetry_penalty": 0}
TRAINING = {"max_steps": 120, "batch_size": 256, "learning_rate": 0.01, "beta_anneal_steps": 0}


def exact(beta: float) -> float:
    target = build_target(VectorSpinsSpec.model_validate(RING))
    assert isinstance(target, HasExactFreeEnergy)
    return target.exact_beta_f(beta)


@pytest.fixture(scope="module")
def compass(stack: RunningStack) -> str:
    """The name of a flow of vector spins at a range of temperatures."""
    with stack.client() as client:
        job = client.wait(client.train(RING, FLOW, objective=ENERGY, training=TRAINING, publish="compass"), timeout=180)
        assert job.state == "succeeded", job.error
    return "compass"


@pytest.mark.parametrize("beta", [0.5, 1.2, 1.5])
def test_one_flow_knows_the_free_energy_at_every_temperature(stack: RunningStack, compass: str, beta: float) -> None:
    told = stack.post(f"/v1/models/{compass}:freeEnergy", {"n": 10_000, "seed": 5, "beta": beta}).json()
    assert abs(told["beta_f"] - exact(beta)) < 4 * told["standard_error"] < 0.2
    assert told["upper_bound"]["beta_f"] > exact(beta) - 4 * told["upper_bound"]["standard_error"]
    assert told["exact"]["beta_f"] == pytest.approx(exact(beta), abs=1e-9)


def test_samples_are_unit_vectors_with_their_likelihood(stack: RunningStack, compass: str) -> None:
    asked = {"n": 40, "seed": 3, "beta": 1.2, "include": ["log_prob", "energy"]}
    body = stack.post(f"/v1/models/{compass}:sample", asked).json()
    samples = np.array(body["samples"])
    assert samples.shape == (40, 4, 3)
    np.testing.assert_allclose(np.linalg.norm(samples, axis=-1), 1, atol=1e-6)
    told = stack.post(f"/v1/models/{compass}:logLikelihood", {"samples": body["samples"], "beta": 1.2}).json()
    np.testing.assert_allclose(told["log_likelihood"], body["log_prob"], rtol=1e-4, atol=1e-4)
    long = stack.post(f"/v1/models/{compass}:logLikelihood", {"samples": (2 * samples).tolist(), "beta": 1.2})
    assert long.status_code == 422
    assert "samples[0][0] is of length 2; spheres are vectors of length 1" in long.json()["detail"]
    rounded = stack.post(f"/v1/models/{compass}:logLikelihood", {"samples": samples.round(5).tolist(), "beta": 1.2})
    np.testing.assert_allclose(rounded.json()["log_likelihood"], body["log_prob"], atol=1e-3)


@pytest.mark.parametrize("correction", ["metropolis", "importance"])
def test_corrected_samples_have_the_exact_energy(stack: RunningStack, compass: str, correction: str) -> None:
    target = build_target(VectorSpinsSpec.model_validate(RING))
    known = target.exact_reference(1.2).observables["energy_per_site"]  # type: ignore[attr-defined]  # a ring has one
    asked = {"n": 4000, "seed": 3, "beta": 1.2, "correction": correction, "include": ["energy"]}
    body = stack.post(f"/v1/models/{compass}:sample", asked, Prefer="wait=60").json()
    energy = np.array(body["energy"]) / 4
    weights = np.exp(np.array(body["log_weight"])) if correction == "importance" else np.ones(len(energy))
    mean = float(weights @ energy / weights.sum())
    assert abs(mean - known) < 6 * float(energy.std()) / len(energy) ** 0.5


def test_a_flow_learns_from_uploaded_vectors(stack: RunningStack) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(2000, 1, 3)) + np.array([0, 0, 2])
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    job: dict[str, Any] = {"kind": "train", "model": {"family": "sphere_flow", "couplings": 6, "width": 4}}
    with stack.client() as client:
        data = client.upload_dataset(vectors, "spheres", "needles")
        learn = {"data": {"dataset": data.id}, "publish": {"model": "needles"}}
        done = client.wait(client.submit(job | learn | {"training": TRAINING}), timeout=120)
        assert done.state == "succeeded", done.error
        drawn = np.asarray(client.sample("needles", n=4000, seed=1).samples)
    assert drawn.mean((0, 1)) == pytest.approx(vectors.mean((0, 1)), abs=0.05)


def test_conventional_free_energies_of_vectors(stack: RunningStack) -> None:
    length = {"num_chains": 48, "burn_in": 200, "num_draws": 120, "thin": 3}
    spec = {"kind": "reference", "method": "thermodynamic_integration", "target": RING, "num_states": 8}
    with stack.client() as client:
        job = client.wait(client.submit(spec | {"length": length, "seed": 2}), timeout=120)
    found = job.result or {}
    assert abs(found["beta_f"] - found["exact"]["beta_f"]) < 4 * found["standard_error"] < 0.4


@pytest.mark.parametrize(
    ("job", "why"),
    [
        ({"target": RING, "model": {"family": "realnvp"}}, "the target lives on spheres"),
        ({"target": RING, "model": {"family": "sphere_flow", "scale": 2}}, "unit vectors, which begin evenly"),
        ({"target": {"kind": "xy", "shape": [4]}, "model": {"family": "sphere_flow"}}, "the target lives on torus"),
    ],
)
def test_what_does_not_fit_is_refused_at_the_door(stack: RunningStack, job: dict[str, Any], why: str) -> None:
    answer = stack.post("/v1/jobs", {"kind": "train"} | job)
    assert answer.status_code == 422
    assert why in answer.json()["detail"]


@pytest.mark.parametrize(("shape", "why"), [((5, 3), "spheres have"), ((5, 2, 1), "spheres have")])
def test_arrays_that_hold_no_vectors_are_refused(stack: RunningStack, shape: tuple[int, ...], why: str) -> None:
    with stack.client() as client, pytest.raises(Exception, match=why):
        client.upload_dataset(np.ones(shape), "spheres", "nothing")
