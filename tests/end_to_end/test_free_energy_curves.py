"""One model for a range of temperatures: its free-energy curve, its limits, and what is said of a missing mode."""

import io
from typing import Any

import grpc
import numpy as np
import pytest

from helmholtz import InvalidValueError
from helmholtz.results import FreeEnergyCurveResult
from service.rpc.v1 import inference_pb2 as pb
from service.rpc.v1 import inference_pb2_grpc
from tests.running_stack import RunningStack

LATTICE: dict[str, Any] = {"kind": "ising", "shape": [4, 4], "beta": 0.44}
BETAS = (0.2, 0.4, 0.5, 0.7, 1.0)
SEED = 17


def enumerated() -> tuple[np.ndarray, np.ndarray]:
    """All states of the 4x4 lattice and their energies, written out: -sum over bonds of s_i s_j."""
    states = 1 - 2 * (np.arange(2**16)[:, None] >> np.arange(16) & 1).reshape(-1, 4, 4)
    return states, -(states * np.roll(states, 1, 1) + states * np.roll(states, 1, 2)).sum((1, 2)).astype(float)


STATES, ENERGIES = enumerated()


def exact(beta: float) -> tuple[float, float, float]:
    """beta_f, <E> and beta^2 var(E) by summing over all states."""
    log_z = np.logaddexp.reduce(-beta * ENERGIES)
    p = np.exp(-beta * ENERGIES - log_z)
    energy = float(p @ ENERGIES)
    return -float(log_z), energy, beta**2 * float(p @ (ENERGIES - energy) ** 2)


@pytest.fixture(scope="module")
def conditional(stack: RunningStack) -> str:
    """A made that is conditioned on beta, trained on a range of it."""
    job = {
        "kind": "train",
        "target": LATTICE,
        "model": {"family": "made", "width": 64, "condition_on": {"beta": [0.2, 1.0]}, "symmetry": "z2"},
        "training": {"batch_size": 500, "max_steps": 400, "learning_rate": 0.01, "seed": 5},
        "publish": {"model": "all-temperatures"},
    }
    with stack.client() as client:
        done = client.wait(client.submit(job), timeout=120)
        assert done.state == "succeeded", done.error
    return "all-temperatures"


@pytest.fixture(scope="module")
def curve(stack: RunningStack, conditional: str) -> FreeEnergyCurveResult:
    with stack.client() as client:
        return client.free_energy_curve(conditional, BETAS, n=10_000, seed=SEED)


def test_the_curve_is_right_within_its_errors(curve: FreeEnergyCurveResult) -> None:
    assert [point.beta for point in curve.points] == list(BETAS)
    for point in curve.points:
        beta_f, energy, heat_capacity = exact(point.beta)
        assert point.diagnostics.reliable, point
        assert point.beta_f is not None
        assert point.standard_error is not None
        assert point.energy.value is not None
        assert point.heat_capacity.value is not None
        # false alarm of a right implementation: 6e-5 for each of the fifteen numbers
        assert abs(point.beta_f - beta_f) < 4 * point.standard_error
        assert abs(point.energy.value - energy) < 4 * (point.energy.standard_error or 0)
        assert abs(point.heat_capacity.value - heat_capacity) < 4 * (point.heat_capacity.standard_error or 0)
        assert point.standard_error < 0.02
        assert point.per_site["energy"] == pytest.approx(point.energy.value / 16)
        assert point.upper_bound is not None
        assert point.upper_bound.beta_f is not None
        assert point.upper_bound.beta_f > beta_f - 3 * (point.upper_bound.standard_error or 0)


def test_the_exact_values_stand_beside_it(curve: FreeEnergyCurveResult) -> None:
    for point in curve.points:
        assert point.exact is not None
        found = (point.exact.beta_f, point.exact.energy, point.exact.heat_capacity)
        assert found == pytest.approx(exact(point.beta), abs=1e-8)


def test_the_same_request_gives_the_same_bits_and_points_have_streams_of_their_own(
    stack: RunningStack, conditional: str, curve: FreeEnergyCurveResult
) -> None:
    def numbers(result: FreeEnergyCurveResult) -> list[tuple[float | None, ...]]:
        return [(p.beta_f, p.standard_error, p.energy.value, p.heat_capacity.value) for p in result.points]

    with stack.client() as client:
        again = client.free_energy_curve(conditional, BETAS, n=10_000, seed=SEED)
        shorter = client.free_energy_curve(conditional, BETAS[:2], n=10_000, seed=SEED)
        moved = client.free_energy_curve(conditional, (BETAS[1], BETAS[0]), n=10_000, seed=SEED)
    assert numbers(again) == numbers(curve)
    assert numbers(shorter) == numbers(curve)[:2]
    assert numbers(moved)[0] != numbers(curve)[1]


def test_every_point_is_stored_and_the_newest_is_read(
    stack: RunningStack, conditional: str, curve: FreeEnergyCurveResult
) -> None:
    with stack.client() as client:
        newest = client.free_energy_curve(conditional, [0.3, 0.2], n=1000, seed=99)
        stored = client.stored_curve(conditional, version=1)
        everything = client.stored_curve(conditional)
    betas = [point.beta for point in stored.points]
    assert betas == sorted(set(betas))
    assert set(betas) >= {*BETAS, 0.3}
    first = stored.points[0]
    assert (first.beta, first.beta_f) == (0.2, newest.points[1].beta_f)
    assert first.energy is not None
    assert first.energy.exact == pytest.approx(exact(0.2)[1], abs=1e-8)
    assert first.exact_beta_f == pytest.approx(exact(0.2)[0], abs=1e-8)
    assert [point.beta for point in everything.points] == betas
    assert stack.get("/v1/free-energies:curve?model=nowhere").status_code == 404
    assert stack.get("/v1/free-energies:curve").status_code == 422


def test_one_free_energy_at_another_beta_has_the_exact_value_of_that_beta(
    stack: RunningStack, conditional: str
) -> None:
    with stack.client() as client:
        found = client.free_energy(conditional, n=10_000, seed=3, beta=0.3)
        own = client.free_energy(conditional, n=1000, seed=3)
    assert found.exact is not None
    assert found.exact.beta_f == pytest.approx(exact(0.3)[0], abs=1e-8)
    assert found.beta_f is not None
    assert abs(found.beta_f - exact(0.3)[0]) < 4 * (found.standard_error or 0)
    assert found.f == pytest.approx(found.beta_f / 0.3)
    assert own.exact is not None
    assert own.exact.beta_f == pytest.approx(exact(0.44)[0], abs=1e-8)


def test_samples_and_likelihoods_follow_the_condition(stack: RunningStack, conditional: str) -> None:
    with stack.client() as client:
        for beta in (0.2, 0.9):
            drawn = client.sample(conditional, 4000, seed=2, include=("log_prob", "energy"), condition={"beta": beta})
            assert drawn.energy is not None
            assert drawn.log_prob is not None
            assert drawn.log_weight is not None
            weights = np.exp(drawn.log_weight - drawn.log_weight.max())
            deviation = weights @ (drawn.energy - exact(beta)[1]) / weights.sum()
            assert abs(deviation) < 5 * np.sqrt(exact(beta)[2]) / beta / np.sqrt(4000)
            likelihood = client.log_likelihood(conditional, drawn.samples, condition={"beta": beta})
            np.testing.assert_allclose(likelihood.log_likelihood, drawn.log_prob, atol=1e-3)
        other = client.log_likelihood(conditional, drawn.samples, condition={"beta": 0.2})
    assert np.max(np.abs(other.log_likelihood - drawn.log_prob)) > 1  # of another condition they are other numbers


def test_a_little_outside_the_range_is_answered_and_said_to_be_unreliable(
    stack: RunningStack, conditional: str
) -> None:
    with stack.client() as client:
        found = client.free_energy(conditional, n=1000, seed=3, beta=1.05)
        assert not found.diagnostics.reliable
        assert "outside the range 0.2 to 1" in found.diagnostics.warnings[-1]
        drawn = client.sample(conditional, 2, seed=1, include=("log_prob",), condition={"beta": 1.05})
        assert "outside the range 0.2 to 1" in drawn.diagnostics["warnings"][0]
        points = client.free_energy_curve(conditional, [0.5, 1.05], n=1000, seed=3).points
    assert [point.diagnostics.reliable for point in points] == [True, False]


@pytest.mark.parametrize("verb", [":sample", ":freeEnergy", ":logLikelihood"])
def test_far_outside_the_range_is_refused(stack: RunningStack, conditional: str, verb: str) -> None:
    bodies: dict[str, dict[str, Any]] = {
        ":sample": {"n": 1},
        ":freeEnergy": {},
        ":logLikelihood": {"samples": np.ones((1, 4, 4)).tolist()},
    }
    answer = stack.post(f"/v1/models/{conditional}{verb}", bodies[verb] | {"beta": 1.2})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "beta"
    assert "0.2 to 1" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"beta": [0.3, 1.2]}, "beta.1"),
        ({"beta": [0.3, 0.3]}, "beta"),
        ({"beta": []}, "beta"),
        ({"beta": [0.3, -0.1]}, "beta.1"),
        ({"beta": [0.001 * k for k in range(1, 258)]}, "beta"),
        ({"beta": [0.3], "condition": {"beta": 0.3}}, "condition"),
        ({"beta": [0.3], "n": 0}, "n"),
        ({"beta": [0.3], "n": 10**12}, "n"),
        ({}, "beta"),
    ],
)
def test_a_curve_that_cannot_be_asked_for_names_the_field(
    stack: RunningStack, conditional: str, body: dict[str, Any], path: str
) -> None:
    answer = stack.post(f"/v1/models/{conditional}:freeEnergyCurve", body)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, path)


def test_a_model_of_one_temperature_has_no_curve(stack: RunningStack, small_model: str) -> None:
    answer = stack.post(f"/v1/models/{small_model}:freeEnergyCurve", {"beta": [0.4, 0.44]})
    assert (answer.status_code, answer.json()["reason"]) == (409, "CAPABILITY_MISSING")
    assert "condition_on" in answer.json()["detail"]


def test_the_deadline_ends_a_curve(stack: RunningStack, conditional: str) -> None:
    body = {"beta": np.linspace(0.2, 1.0, 200).tolist(), "n": 10_000}
    answer = stack.post(f"/v1/models/{conditional}:freeEnergyCurve", body, Prefer="wait=0.5")
    assert (answer.status_code, answer.json()["reason"]) == (504, "DEADLINE_EXCEEDED")


def test_grpc_answers_at_the_same_condition_with_the_same_numbers(stack: RunningStack, conditional: str) -> None:
    reference = pb.ModelReference(model=conditional)
    with grpc.insecure_channel(stack.grpc_address) as channel:
        ask = inference_pb2_grpc.InferenceStub(channel)
        *_, last = ask.FreeEnergy(pb.FreeEnergyRequest(model=reference, n=1000, seed=8, beta=0.3))
        (chunk,) = ask.Sample(pb.SampleRequest(model=reference, n=3, seed=8, condition={"beta": 1.05}))
        with pytest.raises(grpc.RpcError) as refused:
            list(ask.Sample(pb.SampleRequest(model=reference, n=3, condition={"beta": 2.0})))
    with stack.client() as client:
        result = client.free_energy(conditional, n=1000, seed=8, condition={"beta": 0.3})
    assert last.result.beta_f == result.beta_f
    assert dict(last.result.condition) == {"beta": 0.3}
    assert "outside the range" in chunk.warnings[0]
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_curve_by_grpc_is_the_one_of_rest(stack: RunningStack, conditional: str) -> None:
    asked: dict[str, Any] = {"beta": [0.3, 0.5], "n": 1000, "seed": SEED}
    rest = stack.post(f"/v1/models/{conditional}:freeEnergyCurve", asked).json()
    with grpc.insecure_channel(stack.grpc_address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        curve = stub.FreeEnergyCurve(pb.FreeEnergyCurveRequest(model=pb.ModelReference(model=conditional), **asked))
    assert (curve.seed, curve.num_sites, curve.version) == (SEED, 16, rest["version"])
    for point, other in zip(curve.points, rest["points"], strict=True):
        assert point.beta == other["beta"]
        assert dict(point.condition) == other["condition"]
        assert (point.beta_f, point.standard_error) == (other["beta_f"], other["standard_error"])
        assert point.upper_bound.beta_f == other["upper_bound"]["beta_f"]
        for name in ("energy", "heat_capacity"):
            assert getattr(point, name).value == other[name]["value"]
            assert getattr(point.exact, name) == other["exact"][name]
        assert point.exact.beta_f == other["exact"]["beta_f"]
        assert list(point.diagnostics.warnings) == other["diagnostics"]["warnings"]


def test_good_models_lack_no_mode(stack: RunningStack, conditional: str, small_model: str) -> None:
    for name in (conditional, small_model):
        with stack.client() as client:
            metrics = client.version(name).metrics
            found = client.free_energy(name, n=1000, seed=1)
        assert metrics["forward_effective_sample_fraction"] > 0.5
        assert metrics["num_forward_samples"] == 2000
        assert metrics["forward_sampler"] == "swendsen_wang"
        assert not any("mode" in warning for warning in found.diagnostics.warnings)


def test_a_broken_condition_is_named(stack: RunningStack, conditional: str) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.ones((1, 4, 4), np.int8))
    url = f"{stack.url}/v1/models/{conditional}:logLikelihood"
    headers = {"Content-Type": "application/x-npy"}
    for text in ("0.3", "{", '{"beta": "hot"}', '{"beta": -1}'):
        answer = stack.http.post(url, params={"condition": text}, content=buffer.getvalue(), headers=headers)
        assert answer.status_code == 422, text
    with stack.client() as client, pytest.raises(InvalidValueError, match="greater than 0"):
        client.free_energy(conditional, condition={"beta": 0.0})
