"""A flow that learns from the energy, and a fast one that learns its density, through the service; over all doors."""

import json
from typing import Any

import grpc
import numpy as np
import pytest

from helmholtz.cli import main
from service.rpc.v1 import jobs_pb2, jobs_pb2_grpc
from tests.running_stack import RunningStack
from zoo.catalog import build_target
from zoo.core.targets import HasExactFreeEnergy
from zoo.specs.targets.phi4 import Phi4Spec

FIELD: dict[str, Any] = {"kind": "phi4", "shape": [2, 2], "mass_squared": 0.5, "coupling": 1.0}
LEARNING: dict[str, Any] = {"max_steps": 300, "batch_size": 256, "learning_rate": 0.01, "beta_anneal_steps": 0}
TEACHER: dict[str, Any] = {
    "kind": "train",
    "target": FIELD,
    "model": {"family": "maf", "layers": 3, "width": 16},
    "training": LEARNING,
    "publish": {"model": "taught", "alias": "best"},
}


def student(version: object, **changed: object) -> dict[str, Any]:
    return {
        "kind": "train",
        "model": {"family": "iaf", "layers": 3, "width": 16},
        "objective": {"kind": "distillation", "teacher": {"model": "taught", "version": version}},
        "training": LEARNING,
    } | changed


@pytest.fixture(scope="module")
def taught(stack: RunningStack) -> str:
    """A masked autoregressive flow and an inverse one that learnt from it."""
    with stack.client() as client:
        assert client.wait(client.submit(TEACHER), timeout=120).state == "succeeded"
        job = client.submit(student("best", target=FIELD, publish={"model": "fast"}))
        assert job.spec["objective"]["teacher"]["version"] == 1
        ended = client.wait(job, timeout=120)
        assert ended.state == "succeeded", ended.error
    return "fast"


def test_the_fast_flow_has_the_free_energy_of_its_teacher(stack: RunningStack, taught: str) -> None:
    target = build_target(Phi4Spec.model_validate(FIELD))
    assert isinstance(target, HasExactFreeEnergy)
    with stack.client() as client:
        metrics = client.version(taught).metrics
        good, fast = (client.free_energy(name, n=20_000, seed=4) for name in ("taught", taught))
    found = {}
    for name, told in (("taught", good), (taught, fast)):
        assert told.beta_f is not None
        assert told.standard_error is not None
        assert told.diagnostics.reliable, told.diagnostics.warnings
        assert abs(told.beta_f - target.exact_beta_f(1.0)) < 4 * told.standard_error
        found[name] = (told.beta_f, told.standard_error)
    both = np.hypot(found["taught"][1], found[taught][1])
    assert abs(found["taught"][0] - found[taught][0]) < 4 * both
    assert 0 <= metrics["kl_to_teacher"] < 0.05
    assert metrics["teacher_effective_sample_fraction"] > 0.9


@pytest.mark.usefixtures("taught")
def test_the_teachers_likelihood_of_the_students_samples_is_what_the_version_says(stack: RunningStack) -> None:
    drawn = stack.post("/v1/models/fast:sample", {"n": 4000, "seed": 2, "include": ["log_prob"]}).json()
    told = stack.post("/v1/models/taught:logLikelihood", {"samples": drawn["samples"]}).json()["log_likelihood"]
    differences = np.array(drawn["log_prob"]) - told
    with stack.client() as client:
        metrics = client.version("fast").metrics
    error = np.hypot(differences.std() / 4000**0.5, metrics["kl_to_teacher_standard_error"])
    assert abs(differences.mean() - metrics["kl_to_teacher"]) < 4 * error


@pytest.mark.usefixtures("taught")
def test_the_command_line_and_grpc_take_it_too(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HELMHOLTZ_URL", stack.url)
    short = student("best", training=LEARNING | {"max_steps": 3})
    with pytest.raises(SystemExit) as ended:
        main(["train", json.dumps(short)])
    assert ended.value.code in (0, None), capsys.readouterr()
    assert "iaf-taught" in capsys.readouterr().out
    with grpc.insecure_channel(stack.grpc_address) as channel:
        jobs = jobs_pb2_grpc.JobsStub(channel)
        job = jobs.Create(jobs_pb2.CreateJobRequest(spec_json=json.dumps(short)))
        assert json.loads(job.spec_json)["objective"]["teacher"]["version"] == 1
        with pytest.raises(grpc.RpcError) as refused:
            jobs.Create(jobs_pb2.CreateJobRequest(spec_json=json.dumps(student("worst"))))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    with stack.client() as client:
        assert client.wait(job.id, timeout=60).state == "succeeded"
    answer = stack.post("/v1/models/iaf-taught:freeEnergy", {"n": 100})
    assert "was learnt from version 1 of 'taught' alone" in answer.json()["detail"]
