"""Every kind of system through the service: energies, forces, exact values, and clear refusals."""

import json
import time
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.conformance.configurations import random_configurations
from tests.conformance.target_cases import TARGET_SPECS
from tests.running_stack import RunningStack
from zoo.catalog import TARGETS, build_target, tag_of
from zoo.core.targets import ContinuousTarget
from zoo.specs.targets.base import TargetSpec

FIRST_FORMS = [specs[0] for specs in TARGET_SPECS.values()]
KINDS = {
    "ising", "spin_glass", "hopfield", "potts", "bars_and_stripes", "bitstrings", "gaussian", "coupled_oscillators",
    "double_well", "mueller_brown", "gaussian_mixture", "ring", "phi4", "dual_ising", "u1_gauge", "xy", "vector_spins",
    "coulomb_gas", "double_well_particles", "lennard_jones", "monatomic_water",
}  # fmt: skip

BETA_C = 0.4406867935097715
PUBLISHED: dict[str, tuple[dict[str, Any], float, float]] = {
    "Ising 16x16 in the ordered phase": ({"kind": "ising", "shape": [16, 16], "beta": 0.6}, -310.487038590, 1e-8),
    "Ginibre": (
        {
            "kind": "coulomb_gas",
            "n": 10,
            "dimension": 2,
            "trap": 2,
            "interaction": "logarithmic",
            "charge_squared": 2,
            "beta": 1,
        },
        -75.5130066103897,
        1e-10,
    ),
    "compact electrodynamics": ({"kind": "u1_gauge", "shape": [8, 8], "beta": 2}, -287.983851155, 1e-8),
    "phi4 in the broken phase": (
        {"kind": "phi4", "shape": [4, 4], "mass_squared": -4, "coupling": 8},
        -2.405139,
        1e-6,
    ),
    "dual Ising, L = 8": ({"kind": "dual_ising", "shape": [8, 8], "beta": BETA_C}, 64 * -2.3227346293905, 1e-9),
    "dual Ising, L = 16": ({"kind": "dual_ising", "shape": [16, 16], "beta": BETA_C}, 256 * -2.3159208588187, 1e-8),
    "free field": ({"kind": "phi4", "shape": [8, 8], "mass_squared": 1, "coupling": 0}, 11.62288525733, 1e-9),
    "chain between walls": ({"kind": "coupled_oscillators", "n": 16, "ends": "fixed"}, -13.286409859, 1e-8),
    "Sherrington and Kirkpatrick": (
        {"kind": "spin_glass", "couplings": {"kind": "sherrington_kirkpatrick", "n": 20, "seed": 0}, "beta": 2},
        -27.0605921864,
        1e-9,
    ),
}

COULOMB = {"kind": "coulomb_gas", "n": 4, "dimension": 2, "interaction": "inverse"}
SOLID = {"kind": "lennard_jones", "n": 32, "density": 1.0}
OUTSIDE: dict[str, tuple[dict[str, Any], str]] = {
    "negative trap": (COULOMB | {"trap": -1}, "trap"),
    "no particles": (COULOMB | {"n": 0}, "n"),
    "four dimensions": (COULOMB | {"dimension": 4}, "dimension"),
    "zero density": (SOLID | {"density": 0}, "density"),
    "cut-off beyond half a box": (SOLID | {"cutoff": 100}, "cutoff"),
    "a free ring": ({"kind": "coupled_oscillators", "n": 8, "periodic": True, "onsite": 0}, "onsite"),
    "couplings that are not symmetric": ({"kind": "spin_glass", "couplings": [[0, 1], [2, 0]]}, "couplings"),
    "couplings that are no square": ({"kind": "spin_glass", "couplings": [[0, 1]]}, "couplings"),
    "NaN among couplings": ({"kind": "spin_glass", "couplings": [[0, "NaN"], ["NaN", 0]]}, "couplings"),
    "fields of another size": ({"kind": "spin_glass", "couplings": [[0, 1], [1, 0]], "fields": [1]}, "fields"),
    "a gauge field in three dimensions": ({"kind": "u1_gauge", "shape": [4, 4, 4]}, "shape"),
    "a dual lattice in three dimensions": ({"kind": "dual_ising", "shape": [4, 4, 4]}, "shape"),
    "a triangular chain": ({"kind": "ising", "lattice": "triangular", "shape": [9]}, "triangular"),
    "one value": ({"kind": "potts", "shape": [4, 4], "q": 1}, "q"),
    "phi4 upside down": ({"kind": "phi4", "shape": [4, 4], "mass_squared": 1, "coupling": -1}, "coupling"),
    "free field without mass": ({"kind": "phi4", "shape": [4, 4], "mass_squared": 0, "coupling": 0}, "mass_squared"),
    "precision that is not positive": ({"kind": "gaussian", "precision": [[1, 2], [2, 1]]}, "precision"),
    "too many qubits": ({"kind": "bitstrings", "qubits": 60, "depth": 4}, "qubits"),
    "negative well": ({"kind": "double_well", "dimension": 0}, "dimension"),
}

UNSOLVED: dict[str, dict[str, Any]] = {
    "a dense spin glass of 25": {
        "kind": "spin_glass",
        "couplings": {"kind": "sherrington_kirkpatrick", "n": 25, "seed": 0},
    },
    "Ising in three dimensions": {"kind": "ising", "shape": [5, 5, 5], "beta": 0.2},
    "Hopfield of 60": {"kind": "hopfield", "n": 60, "patterns": 8},
    "three charges in space": {"kind": "coulomb_gas", "n": 3, "dimension": 3, "interaction": "inverse"},
    "a solid": SOLID,
    "phi4 on 8x8": {"kind": "phi4", "shape": [8, 8], "mass_squared": -4, "coupling": 8},
}


def test_the_catalogue_has_every_kind_with_its_words(stack: RunningStack) -> None:
    told = {entry["kind"]: entry for entry in stack.get("/v1/zoo/targets").json()["targets"]}
    assert set(told) == KINDS == {tag_of(spec) for spec in TARGETS}
    for entry in told.values():
        assert entry["formula"]
        assert entry["units"]
        assert entry["citation"]
        assert isinstance(entry["references"], list)
        assert {"kind", "beta"} <= set(entry["schema"]["properties"])


@pytest.mark.parametrize("spec", FIRST_FORMS, ids=lambda spec: spec.kind)
def test_energies_and_forces_are_those_of_the_library(stack: RunningStack, spec: TargetSpec) -> None:
    target = build_target(spec)
    x = random_configurations(target.space, 5)
    body = {"target": spec.model_dump(mode="json"), "samples": x.tolist()}
    answer = stack.post("/v1/targets:energy", body | {"force": not spec.space.is_discrete})
    assert answer.status_code == 200, answer.text
    energy = [float("inf") if value is None else value for value in answer.json()["energy"]]
    assert energy == pytest.approx(target.energy(x).tolist(), rel=1e-12)
    if isinstance(target, ContinuousTarget):
        force = torch.tensor(answer.json()["force"])
        assert torch.allclose(force.double(), target.force(x), rtol=1e-6, atol=1e-6)
    else:
        refused = stack.post("/v1/targets:energy", body | {"force": True})
        assert refused.status_code == 409
        assert refused.json()["reason"] == "CAPABILITY_MISSING"


@pytest.mark.parametrize("name", PUBLISHED)
def test_exact_values_are_the_published_ones(stack: RunningStack, name: str) -> None:
    target, beta_f, tolerance = PUBLISHED[name]
    answer = stack.post("/v1/targets:reference", {"target": target})
    assert answer.status_code == 200, answer.text
    assert answer.json()["beta_f"] == pytest.approx(beta_f, abs=tolerance)
    assert answer.json()["method"]
    assert answer.json()["citation"]


def test_what_is_known_beside_the_free_energy(stack: RunningStack) -> None:
    told = stack.post("/v1/targets:reference", {"target": PUBLISHED["compact electrodynamics"][0]}).json()
    assert told["observables"]["plaquette"] == pytest.approx(0.697774658, abs=1e-9)
    assert told["observables"]["topological_charge_squared"] == pytest.approx(1.239298911, abs=1e-9)


@pytest.mark.parametrize("name", OUTSIDE)
def test_parameters_outside_the_physical_domain_are_refused(stack: RunningStack, name: str) -> None:
    target, named = OUTSIDE[name]
    for path in ("/v1/targets:reference", "/v1/targets:energy"):
        answer = stack.post(
            path, {"target": target, "samples": [[0]]} if path.endswith("energy") else {"target": target}
        )
        assert answer.status_code == 422, answer.text
        problem = answer.json()
        assert problem["reason"] in {"INVALID_VALUE", "LIMIT_EXCEEDED"}
        assert any(named in error["path"] or named in error["message"] for error in problem["errors"]), problem


@pytest.mark.parametrize("name", UNSOLVED)
def test_without_an_exact_reference_the_ways_that_exist_are_named(stack: RunningStack, name: str) -> None:
    answer = stack.post("/v1/targets:reference", {"target": UNSOLVED[name]})
    assert answer.status_code == 404, answer.text
    assert answer.json()["reason"] == "NO_EXACT_REFERENCE"
    assert "thermodynamic_integration or mbar" in answer.json()["detail"]


def test_infinite_energies_are_null_and_said_so(stack: RunningStack) -> None:
    patterns = {
        "target": {"kind": "bars_and_stripes", "shape": [2, 2]},
        "samples": [[[1, 0], [0, 0]], [[1, 1], [0, 0]]],
    }
    told = stack.post("/v1/targets:energy", patterns).json()
    assert told["energy"] == [None, 0]
    assert "1 values of energy are not finite" in told["warnings"][0]


@pytest.mark.parametrize(
    ("target", "sample", "named"),
    [
        ({"kind": "u1_gauge", "shape": [2, 2]}, np.full((1, 2, 2, 2), 7.0), "from -pi to pi"),
        ({"kind": "potts", "shape": [3, 3], "q": 3}, np.full((1, 3, 3), 3), "from 0 to 2"),
        ({"kind": "double_well_particles", "n": 4}, np.arange(8.0).reshape(1, 4, 2), "centre of mass"),
        (SOLID, np.full((1, 32, 3), 50.0), "half the box"),
        ({"kind": "bars_and_stripes", "shape": [2, 2]}, -np.ones((1, 2, 2)), "0 or 1"),
        (
            {"kind": "vector_spins", "shape": [2]},
            np.ones((1, 2, 3)),
            "of length 1.73205; spheres are vectors of length 1",
        ),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_configurations_outside_the_space_are_refused(
    stack: RunningStack,
    target: dict[str, Any],
    sample: NDArray[np.float64],
    named: str,
) -> None:
    answer = stack.post("/v1/targets:energy", {"target": target, "samples": sample.tolist()})
    assert answer.status_code == 422, answer.text
    assert named in answer.json()["detail"]


def test_a_network_on_spins_is_trained_on_bits_and_answers_in_bits(stack: RunningStack) -> None:
    target = {"kind": "bitstrings", "qubits": 6, "depth": 8, "seed": 1}
    training = {"batch_size": 300, "max_steps": 200, "learning_rate": 0.01, "seed": 1}
    with stack.client() as client:
        job = client.wait(client.train(target, {"family": "made", "width": 64}, training=training, publish="bits"))
        assert job.published is not None
        drawn = client.sample("bits", n=500, seed=1, include=["log_prob"])
        assert set(np.unique(drawn.samples)) <= {0, 1}
        found = client.free_energy("bits", n=2000, seed=1)
        assert found.exact is not None
        assert found.exact.beta_f == pytest.approx(0, abs=1e-12)
        assert found.upper_bound is not None
        assert json.loads(found.model_dump_json())["beta_f"] is not None


SHORT = {"num_chains": 48, "burn_in": 200, "num_draws": 120, "thin": 3}


@pytest.mark.parametrize("method", ["thermodynamic_integration", "mbar", "ais"])
def test_a_reference_job_finds_what_is_known(stack: RunningStack, method: str) -> None:
    target = {"kind": "xy", "shape": [6], "beta": 1.2}
    spec = {"kind": "reference", "method": method, "target": target, "num_states": 8, "length": SHORT, "seed": 2}
    with stack.client() as client:
        job = client.wait(client.submit(spec), timeout=120)
    found = job.result or {}
    assert found["method"] == method
    assert found["reliable"], found["warnings"]
    assert abs(found["beta_f"] - found["exact"]["beta_f"]) < 4 * found["standard_error"] < 0.4
    assert found["diagnostics"]["lambdas"][-1] == 1


def test_a_reference_job_answers_where_nothing_is_known_and_can_be_cancelled(stack: RunningStack) -> None:
    spec = {
        "kind": "reference",
        "target": {"kind": "xy", "shape": [3, 3], "beta": 0.8},
        "num_states": 6,
        "length": SHORT,
    }
    endless = spec | {"num_states": 64, "length": {"num_chains": 500, "burn_in": 100_000, "num_draws": 100}}
    with stack.client() as client:
        job = client.wait(client.submit(spec), timeout=120)
        assert (job.result or {})["standard_error"] < 0.1
        assert "exact" not in (job.result or {})
        running = client.submit(endless)
        while client.job(running).state == "queued":
            time.sleep(0.1)
        client.cancel(running)
        started = time.monotonic()
        while not client.job(running).finished:
            assert time.monotonic() - started < 15
            time.sleep(0.1)
        assert client.job(running).state == "cancelled"


BAD_REFERENCES: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown method": ({"method": "guess"}, "method"),
    "clusters in a field": ({"target": {"kind": "ising", "shape": [4], "h": 1}, "sampler": "wolff"}, "no field"),
    "trajectories of spins": ({"sampler": "hmc"}, "lives on spins"),
    "an unknown sampler": ({"sampler": "wolf"}, "wolff"),
    "replicas along a path": ({"sampler": "parallel_tempering"}, "states of a path"),
    "nothing that moves": ({"target": {"kind": "bars_and_stripes", "shape": [2, 2]}}, "no chains move"),
    "two states": ({"num_states": 2}, "num_states"),
    "no chains": ({"length": {"num_chains": 0}}, "num_chains"),
    "too short for an error": ({"length": {"num_chains": 2, "num_draws": 4}}, "too few"),
    "more than fits": ({"num_states": 512, "length": {"num_chains": 100_000, "num_draws": 100}}, "LIMIT"),
}


@pytest.mark.parametrize("name", BAD_REFERENCES)
def test_reference_jobs_that_make_no_sense_are_refused_at_the_door(stack: RunningStack, name: str) -> None:
    changes, named = BAD_REFERENCES[name]
    spec = {"kind": "reference", "target": {"kind": "ising", "shape": [4, 4], "beta": 0.4}} | changes
    answer = stack.post("/v1/jobs", spec)
    assert answer.status_code == 422, answer.text
    assert named in answer.text


def test_what_has_infinite_energies_is_not_trained_on_them(stack: RunningStack) -> None:
    target = {"kind": "bars_and_stripes", "shape": [3, 3]}
    answer = stack.post("/v1/jobs", {"kind": "train", "target": target, "model": {"family": "made"}})
    assert answer.status_code == 422
    assert "learnt from its data" in answer.json()["detail"]
