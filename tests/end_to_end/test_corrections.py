"""Corrected samples through a whole stack: one answer over REST, gRPC and a job, with the target's averages."""

import grpc
import httpx
import numpy as np
import pytest

from service.rpc.tensors import from_tensor
from service.rpc.v1 import inference_pb2 as pb
from service.rpc.v1 import inference_pb2_grpc
from tests.running_stack import RunningStack
from zoo.exact.phi4 import exact_reference
from zoo.specs.targets.phi4 import Phi4Spec

FIELD = Phi4Spec(shape=(2, 2), mass_squared=1.0, coupling=1.0)
JOB = {
    "kind": "train",
    "target": FIELD.model_dump(mode="json"),
    "model": {"family": "realnvp", "couplings": 4, "width": 16, "scale": 0.5},
    "training": {"batch_size": 256, "max_steps": 60, "learning_rate": 0.005, "seed": 3},
    "publish": {"model": "field", "alias": "production"},
}
N = 3000


@pytest.fixture(scope="module")
def field(stack: RunningStack) -> str:
    """The name of a flow that has learnt a little of a field on a 2x2 lattice."""
    with stack.client() as client:
        job = client.wait(client.submit(JOB), timeout=120)
        assert job.state == "succeeded"
    return "field"


def mean_square() -> float:
    """sum_x <phi^2> = d(-ln Z) / d(m^2)."""
    d = 1e-3
    low, high = (FIELD.model_copy(update={"mass_squared": FIELD.mass_squared + side * d}) for side in (-1, 1))
    return (exact_reference(high, 1.0).beta_f - exact_reference(low, 1.0).beta_f) / (2 * d)


@pytest.mark.parametrize("correction", ["importance", "metropolis", "latent_hmc"])
def test_rest_grpc_and_a_job_give_equal_numbers(stack: RunningStack, field: str, correction: str) -> None:
    with stack.client() as client, grpc.insecure_channel(stack.grpc_address) as channel:
        rest = client.sample(field, N, seed=3, correction=correction)
        request = pb.SampleRequest(model=pb.ModelReference(model=field), n=N, seed=3, correction=correction)
        *_, last = chunks = list(inference_pb2_grpc.InferenceStub(channel).Sample(request, timeout=60))
        body = {"kind": "sample", "model": field, "n": N, "seed": 3, "correction": correction}
        job = client.wait(client.submit(body), timeout=120)
        filed = client.result(job)
    told = rest.diagnostics
    np.testing.assert_array_equal(np.concatenate([from_tensor(chunk.samples) for chunk in chunks]), rest.samples)
    np.testing.assert_array_equal(filed.samples, rest.samples)
    assert last.diagnostics.effective_sample_size == told["effective_sample_size"]
    assert filed.diagnostics["effective_sample_size"] == told["effective_sample_size"]
    squares = np.square(rest.samples, dtype=np.float64).sum((1, 2))
    weights = np.ones(N)
    if correction == "importance":
        weights = np.exp(np.asarray(rest.log_weight) - np.max(np.asarray(rest.log_weight)))
    else:
        assert dict(last.diagnostics.autocorrelation_time) == told["autocorrelation_time"]
        assert last.diagnostics.acceptance_rate == told["acceptance_rate"] > 0.1
    mean = np.average(squares, weights=weights)
    error = squares.std() / np.sqrt(told["effective_sample_size"])
    assert abs(mean - mean_square()) < 5 * error


def test_refusals_have_words(stack: RunningStack, field: str, small_model: str) -> None:
    refused = stack.post(f"/v1/models/{small_model}:sample", {"n": 3, "correction": "latent_hmc"})
    assert (refused.status_code, refused.json()["reason"]) == (409, "CAPABILITY_MISSING")
    assert "'metropolis' and 'importance' work" in refused.json()["detail"]
    unknown = stack.post(f"/v1/models/{field}:sample", {"n": 3, "correction": "magic"})
    assert unknown.status_code == 422
    assert "latent_hmc" in unknown.text


def test_a_deadline_ends_the_chains(stack: RunningStack, field: str) -> None:
    """The engine gives a request up between two blocks, and answers the next one."""
    with grpc.insecure_channel(stack.grpc_address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        long = pb.SampleRequest(model=pb.ModelReference(model=field), n=400_000, seed=3, correction="latent_hmc")
        with pytest.raises(grpc.RpcError) as ended:
            list(stub.Sample(long, timeout=1.5))
        assert ended.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    answer = httpx.post(
        f"{stack.url}/v1/models/{field}:sample", json={"n": 3, "seed": 1, "correction": "metropolis"}, timeout=10
    )
    assert answer.status_code == 200, answer.text
