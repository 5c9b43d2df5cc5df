"""Flows through the service: training on a field, samples, likelihoods and free energies; refusals in words."""

from typing import Any

import numpy as np
import pytest

from tests.running_stack import RunningStack
from zoo.catalog import build_target
from zoo.core.targets import HasExactFreeEnergy
from zoo.specs.targets.phi4 import Phi4Spec

FIELD = {"kind": "phi4", "shape": [4, 4], "mass_squared": -4, "coupling": 8}
FLOW = {"family": "realnvp", "base": "free_field", "odd": True, "couplings": 4, "width": 24, "depth": 1}
JOBS: dict[str, dict[str, Any]] = {
    "flow": {
        "target": FIELD,
        "model": FLOW,
        "training": {"max_steps": 500, "batch_size": 256, "learning_rate": 0.01, "beta_anneal_steps": 0},
    },
    "flow-by-coupling": {
        "target": FIELD,
        "model": FLOW | {"condition_on": {"coupling": [6, 10]}},
        "training": {"max_steps": 600, "batch_size": 256, "learning_rate": 0.01, "beta_anneal_steps": 0},
    },
}


def exact(coupling: float) -> float:
    target = build_target(Phi4Spec.model_validate(FIELD | {"coupling": coupling}))
    assert isinstance(target, HasExactFreeEnergy)
    return target.exact_beta_f(1.0)


@pytest.fixture(scope="module")
def flows(stack: RunningStack) -> dict[str, dict[str, Any]]:
    """The metrics of each version, by model."""
    found = {}
    with stack.client() as client:
        jobs = {name: client.submit({"kind": "train", **job, "publish": {"model": name}}) for name, job in JOBS.items()}
        for name, job in jobs.items():
            ended = client.wait(job, timeout=180)
            assert ended.state == "succeeded", ended.error
            found[name] = dict(client.version(name).metrics)
    return found


def test_the_bound_holds_and_the_estimate_agrees(stack: RunningStack, flows: dict[str, dict[str, Any]]) -> None:
    known = exact(8.0)
    metrics = flows["flow"]
    assert metrics["exact"]["beta_f"] == pytest.approx(known, abs=1e-9)
    assert metrics["variational_beta_f"] > known - 4 * metrics["standard_error"]
    assert metrics["effective_sample_fraction"] > 0.1
    with stack.client() as client:
        told = client.free_energy("flow", n=10_000, seed=5)
    assert told.standard_error is not None
    assert told.beta_f is not None
    assert abs(told.beta_f - known) < 4 * told.standard_error
    assert told.upper_bound is not None
    assert told.upper_bound.beta_f is not None
    assert told.upper_bound.beta_f > told.beta_f


@pytest.mark.usefixtures("flows")
def test_samples_come_with_the_likelihood_that_is_told_of_them(stack: RunningStack) -> None:
    body = stack.post("/v1/models/flow:sample", {"n": 40, "seed": 3, "include": ["log_prob", "energy"]}).json()
    samples = np.array(body["samples"])
    assert samples.shape == (40, 4, 4)
    told = stack.post("/v1/models/flow:logLikelihood", {"samples": body["samples"]}).json()
    assert told["kind"] == "exact"
    np.testing.assert_allclose(told["log_likelihood"], body["log_prob"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(body["log_weight"], -np.array(body["energy"]) - body["log_prob"], rtol=1e-12)
    mirrored = stack.post("/v1/models/flow:logLikelihood", {"samples": (-samples).tolist()}).json()
    np.testing.assert_allclose(mirrored["log_likelihood"], told["log_likelihood"], rtol=1e-6)
    again = stack.post("/v1/models/flow:sample", {"n": 40, "seed": 3, "include": ["log_prob", "energy"]}).json()
    assert again["samples"] == body["samples"]


@pytest.mark.parametrize("coupling", [6.0, 7.5, 10.0])
@pytest.mark.usefixtures("flows")
def test_one_flow_knows_the_free_energy_along_the_coupling(stack: RunningStack, coupling: float) -> None:
    asked = {"n": 10_000, "seed": 5, "condition": {"coupling": coupling}}
    told = stack.post("/v1/models/flow-by-coupling:freeEnergy", asked).json()
    known = exact(coupling)
    assert abs(told["beta_f"] - known) < 4 * told["standard_error"]
    assert told["upper_bound"]["beta_f"] > known - 4 * told["upper_bound"]["standard_error"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "spins": ({"target": {"kind": "ising", "shape": [4, 4]}, "model": FLOW}, "the target lives on spins"),
    "angles": ({"target": {"kind": "xy", "shape": [4, 4]}, "model": FLOW}, "the target lives on torus"),
    "a width of angles": (
        {"target": {"kind": "xy", "shape": [4, 4]}, "model": {"family": "spline_flow", "scale": 2.0}},
        "scale is a width of real variables, and the target has angles",
    ),
    "a convolution of particles": (
        {
            "target": {"kind": "coulomb_gas", "n": 4, "dimension": 2, "interaction": "inverse"},
            "model": {"family": "realnvp", "conditioner": "convolution"},
        },
        "needs a periodic lattice of 1 to 3 axes, and the target has particles",
    ),
    "an odd side": (
        {"target": FIELD | {"shape": [3, 3]}, "model": {"family": "realnvp", "conditioner": "convolution"}},
        "needs a checkerboard, and [3, 3] has an odd side",
    ),
    "an odd network and z2": (
        {"target": FIELD, "model": FLOW | {"symmetry": "z2"}},
        "odd networks have q(-x) = q(x) already",
    ),
    "an odd network of relu": (
        {"target": FIELD, "model": FLOW | {"activation": "relu"}},
        "activation 'relu' is not odd",
    ),
    "a coupling that does not bound the field": (
        {"target": FIELD, "model": FLOW | {"condition_on": {"coupling": [0, 8]}}},
        "there is no such target at coupling = 0",
    ),
    "a sequential family without a pass to differentiate": (
        {
            "target": FIELD,
            "model": {"family": "continuous_autoregressive"},
            "objective": {"kind": "reverse_kl", "gradient": "reparametrised"},
        },
        "is sequential; use 'path_wise'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_at_submission(stack: RunningStack, case: str) -> None:
    job, why = REFUSED[case]
    answer = stack.post("/v1/jobs", {"kind": "train", **job})
    assert answer.status_code == 422, answer.text
    assert why in answer.json()["detail"]


@pytest.mark.usefixtures("flows")
def test_a_configuration_beyond_single_precision_is_named(stack: RunningStack) -> None:
    samples = np.zeros((2, 4, 4))
    samples[1, 2, 3] = 1e39
    answer = stack.post("/v1/models/flow:logLikelihood", {"samples": samples.tolist()})
    assert answer.status_code == 422, answer.text
    assert "[1]" in answer.json()["detail"]
