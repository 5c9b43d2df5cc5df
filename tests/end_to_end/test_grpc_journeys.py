"""gRPC against a running stack, with clients as they come: what REST answers, in messages that they accept."""

import json
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from service.rpc.tensors import from_tensor, to_tensor
from service.rpc.v1 import inference_pb2 as pb
from service.rpc.v1 import inference_pb2_grpc, jobs_pb2, jobs_pb2_grpc, registry_pb2, registry_pb2_grpc
from tests.conftest import SMALL_JOB
from tests.running_stack import RunningStack

SMALL = pb.ModelReference(model="small")
SERVICES = {"helmholtz.v1.Inference", "helmholtz.v1.Jobs", "helmholtz.v1.Registry", "inference.GRPCInferenceService"}


@pytest.fixture
def channel(stack: RunningStack, small_model: str) -> Iterator[grpc.Channel]:
    """A channel without options: it refuses messages of more than 4 MiB."""
    assert small_model == SMALL.model
    with grpc.insecure_channel(stack.grpc_address) as opened:
        yield opened


def test_samples_of_any_number_are_those_of_rest(stack: RunningStack, channel: grpc.Channel) -> None:
    request = pb.SampleRequest(model=SMALL, n=300_000, seed=12)
    chunks = list(inference_pb2_grpc.InferenceStub(channel).Sample(request, timeout=120))
    samples = np.concatenate([from_tensor(chunk.samples) for chunk in chunks])
    assert samples.nbytes > 4 * 2**20
    assert len(chunks) == 5
    with stack.client(timeout=120) as client:
        rest = client.sample("small", 300_000, seed=12)
    np.testing.assert_array_equal(samples, rest.samples)


def test_likelihoods_of_a_stream_are_those_of_one_message_and_of_rest(
    stack: RunningStack, channel: grpc.Channel
) -> None:
    ask = inference_pb2_grpc.InferenceStub(channel)
    (chunk,) = ask.Sample(pb.SampleRequest(model=SMALL, n=3000, seed=1))
    samples = from_tensor(chunk.samples)
    unary = ask.LogLikelihood(pb.LogLikelihoodRequest(model=SMALL, samples=chunk.samples))
    messages = [pb.LogLikelihoodRequest(samples=to_tensor(rows)) for rows in np.split(samples, [1, 1000, 1033])]
    messages[0].model.CopyFrom(SMALL)
    streamed = list(ask.LogLikelihoodStream(iter(messages)))
    with stack.client() as client:
        rest = client.log_likelihood("small", samples).log_likelihood
    np.testing.assert_array_equal(from_tensor(unary.log_likelihood), rest)
    np.testing.assert_array_equal(np.concatenate([from_tensor(r.log_likelihood) for r in streamed]), rest)
    assert unary.kind == "exact"


def test_masks_and_completions_are_those_of_rest(stack: RunningStack, channel: grpc.Channel) -> None:
    ask = inference_pb2_grpc.InferenceStub(channel)
    (chunk,) = ask.Sample(pb.SampleRequest(model=SMALL, n=5, seed=2))
    samples, mask = from_tensor(chunk.samples), np.random.default_rng(3).random((5, 4, 4)) < 0.4
    asked: dict[str, Any] = {"samples": samples.tolist(), "mask": mask.tolist(), "proposals": 500, "seed": 9}
    path = "/v1/models/small"
    rest = stack.post(f"{path}:logLikelihood", asked).json()
    given = {"model": SMALL, "samples": chunk.samples, "mask": to_tensor(mask), "proposals": 500, "seed": 9}
    reply = ask.LogLikelihood(pb.LogLikelihoodRequest(**given))
    np.testing.assert_array_equal(from_tensor(reply.log_likelihood), rest["log_likelihood"])
    np.testing.assert_array_equal(from_tensor(reply.standard_error), rest["standard_error"])
    effective = rest["diagnostics"]["effective_sample_size"]
    np.testing.assert_array_equal(from_tensor(reply.effective_sample_size), effective)
    assert (reply.kind, reply.seed, reply.num_proposals) == ("estimate", 9, 500)
    assert list(reply.warnings) == rest["diagnostics"]["warnings"]

    rest = stack.post(f"{path}:complete", asked | {"n": 3}).json()
    known, completed = ask.Complete(pb.CompletionRequest(**given, n=3))
    np.testing.assert_array_equal(from_tensor(known.log_marginal), rest["log_marginal"])
    np.testing.assert_array_equal(from_tensor(completed.samples).reshape(5, 3, 4, 4), rest["samples"])
    assert (known.exact, known.seed, known.last, completed.last) == (rest["exact"], 9, False, True)


def test_a_job_from_its_spec_to_its_version(stack: RunningStack, channel: grpc.Channel) -> None:
    jobs, registry = jobs_pb2_grpc.JobsStub(channel), registry_pb2_grpc.RegistryStub(channel)
    spec = SMALL_JOB | {
        "training": {"batch_size": 100, "max_steps": 20, "seed": 2**53 - 1},
        "publish": {"model": "by-grpc"},
    }
    job = jobs.Create(jobs_pb2.CreateJobRequest(spec_json=json.dumps(spec), idempotency_key="by-grpc"))
    by_rest = stack.post("/v1/jobs", spec, **{"Idempotency-Key": "by-grpc"}).json()
    assert by_rest["id"] == job.id, "a key means one job in both"
    assert by_rest["spec"] == json.loads(job.spec_json)
    events = list(jobs.Watch(jobs_pb2.WatchJobRequest(id=job.id), timeout=60))
    assert [event.state for event in events if event.type == "state"] == [
        jobs_pb2.JOB_STATE_QUEUED,
        jobs_pb2.JOB_STATE_RUNNING,
        jobs_pb2.JOB_STATE_SUCCEEDED,
    ]
    ended = jobs.Get(jobs_pb2.GetJobRequest(id=job.id))
    result = json.loads(ended.result_json)
    version = registry.GetVersion(registry_pb2.GetVersionRequest(model="by-grpc", ref=str(result["version"])))
    assert version.job_id == job.id
    assert version.seed == 2**53 - 1
    alias = registry.SetAlias(registry_pb2.SetAliasRequest(model="by-grpc", alias="candidate", version=version.version))
    assert stack.get("/v1/models/by-grpc/aliases/candidate").headers["ETag"] == alias.etag
    reference = pb.ModelReference(model="by-grpc", ref="candidate")
    (chunk,) = inference_pb2_grpc.InferenceStub(channel).Sample(pb.SampleRequest(model=reference, n=10, seed=1))
    assert chunk.version == version.version


def test_reflection_and_health_know_every_service(channel: grpc.Channel) -> None:
    database = ProtoReflectionDescriptorDatabase(channel)
    listed = set(database.get_services())
    assert listed >= SERVICES | {"grpc.health.v1.Health"}
    for name in SERVICES:
        assert name.rpartition(".")[2] in str(database.FindFileContainingSymbol(name))
    stub = health_pb2_grpc.HealthStub(channel)
    for name in ("", *SERVICES):
        status = stub.Check(health_pb2.HealthCheckRequest(service=name)).status
        assert status == health_pb2.HealthCheckResponse.SERVING, name
