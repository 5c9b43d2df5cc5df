"""One seed, one answer: alone, among neighbours and over either protocol; test_serving adds crowds and restarts."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import grpc
import httpx
import numpy as np

from service.rpc.tensors import from_tensor, to_tensor
from service.rpc.v1 import inference_pb2 as pb
from service.rpc.v1 import inference_pb2_grpc
from tests.running_stack import RunningStack

SIZES = (1, 2, 31, 32, 33, 100, 255, 256, 257, 1000, 2047, 2048, 2049, 3000)


def digest(url: str, model: str, n: int, seed: int) -> str:
    answer = httpx.post(f"{url}/v1/models/{model}:sample", json={"n": n, "seed": seed}, timeout=60)
    assert answer.status_code == 200, answer.text
    return hashlib.sha256(answer.content).hexdigest()


def test_samples_do_not_depend_on_what_else_is_asked(stack: RunningStack, small_model: str) -> None:
    asked = [(SIZES[i % len(SIZES)], 100 + i) for i in range(32)]
    alone = [digest(stack.url, small_model, n, seed) for n, seed in asked]
    with ThreadPoolExecutor(32) as pool:
        together = list(pool.map(lambda pair: digest(stack.url, small_model, *pair), asked))
    assert together == alone
    assert len(set(alone)) == len(alone), "different seeds and sizes must give different answers"


def test_rest_and_grpc_give_equal_numbers(stack: RunningStack, small_model: str) -> None:
    model = pb.ModelReference(model=small_model)
    with grpc.insecure_channel(stack.grpc_address) as channel, stack.client() as client:
        stub = inference_pb2_grpc.InferenceStub(channel)
        request = pb.SampleRequest(model=model, n=40_000, seed=3, include_log_prob=True, include_energy=True)
        chunks = list(stub.Sample(request, timeout=60))
        rest = client.sample(small_model, 40_000, seed=3, include=("log_prob", "energy"))
        samples = np.concatenate([from_tensor(chunk.samples) for chunk in chunks])
        log_prob = np.concatenate([from_tensor(chunk.log_prob) for chunk in chunks])
        likelihood = stub.LogLikelihood(
            pb.LogLikelihoodRequest(model=model, samples=to_tensor(samples)), timeout=60
        ).log_likelihood
        updates = list(stub.FreeEnergy(pb.FreeEnergyRequest(model=model, n=5000, seed=3), timeout=60))
        free_energy = client.free_energy(small_model, n=5000, seed=3)
        rest_likelihood = client.log_likelihood(small_model, samples)
    assert len(chunks) > 1, "a large answer streams"
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    np.testing.assert_array_equal(samples, rest.samples)
    np.testing.assert_array_equal(log_prob, np.asarray(rest.log_prob))
    np.testing.assert_array_equal(from_tensor(likelihood), rest_likelihood.log_likelihood)
    assert updates[0].HasField("progress")
    result = updates[-1].result
    assert (result.beta_f, result.standard_error) == (free_energy.beta_f, free_energy.standard_error)
    assert result.exact.beta_f == free_energy.exact.beta_f if free_energy.exact else False
