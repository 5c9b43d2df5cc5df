"""Wrong questions get answers that help: the right code, what came, what was expected; and nothing is lost."""

import http.client
import io
import json
import socket
import time
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from service.rpc.v1 import inference_pb2 as pb
from service.rpc.v1 import inference_pb2_grpc
from tests.running_stack import RunningStack

ISING = {"kind": "ising", "shape": [4, 4], "beta": 0.44}
MADE = {"family": "made"}


def train(**changes: object) -> dict[str, Any]:
    return {"kind": "train", "target": ISING, "model": MADE} | changes


def ising(**changes: object) -> dict[str, Any]:
    return train(target=ISING | changes)


BAD_JOBS: dict[str, tuple[object, str]] = {
    "unknown target": (train(target={"kind": "isng"}), "ising"),
    "unknown family": (train(model={"family": "transformer-xl"}), "pixelcnn"),
    "unknown objective": (train(objective={"kind": "forward"}), "reverse_kl"),
    "unknown kind of job": (train(kind="trian"), "train"),
    "unknown field": (train(modle=MADE), "modle"),
    "unknown field of the target": (ising(bta=1), "target.bta"),
    "missing target": ({"kind": "train", "model": MADE}, "target"),
    "missing kind of target": (train(target={"shape": [4]}), "kind"),
    "shape of zero": (ising(shape=[0, 4]), "target.shape.0"),
    "negative shape": (ising(shape=[4, -4]), "target.shape.1"),
    "empty shape": (ising(shape=[]), "target.shape"),
    "four lengths": (ising(shape=[2, 2, 2, 2]), "target.shape"),
    "half a site": (ising(shape=[4, 4.5]), "target.shape.1"),
    "too many sites": (ising(shape=[4000, 4000]), "HELMHOLTZ_MAX_SITES"),
    "beta NaN": (ising(beta="NaN"), "target.beta"),
    "beta infinite": (ising(beta="Infinity"), "target.beta"),
    "beta negative": (ising(beta=-0.1), "target.beta"),
    "beta zero": (ising(beta=0), "target.beta"),
    "beta a word": (ising(beta="cold"), "target.beta"),
    "beta true": (ising(beta=True), "target.beta: input should be a number; true came"),
    "beta in quotes": (ising(beta="1.0"), "target.beta"),
    "periodic yes": (ising(periodic="yes"), "target.periodic: input should be true or false"),
    "triangles in one dimension": (ising(shape=[4], lattice="triangular"), '"path":"target"'),
    "pixelcnn on a chain": (train(target=ISING | {"shape": [16]}, model={"family": "pixelcnn"}), "2D"),
    "a symmetry that a field breaks": (train(target=ISING | {"h": 0.1}, model=MADE | {"symmetry": "z2"}), "symmetry"),
    "width of zero": (train(model=MADE | {"width": 0}), "model.width"),
    "too many weights": (train(model=MADE | {"width": 65536, "depth": 16}), "weights"),
    "steps of zero": (train(training={"max_steps": 0}), "training.max_steps"),
    "learning rate NaN": (train(training={"learning_rate": "NaN"}), "training.learning_rate"),
    "name with a slash": (train(publish={"model": "../etc"}), "publish.model"),
    "reserved alias": (train(publish={"model": "m", "alias": "latest"}), "reserved"),
    "a list": ([1, 2], "object"),
}


def assert_problem(answer: httpx.Response, status: int, reason: str, words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["reason"] == reason, problem
    assert problem["status"] == status
    assert problem["title"]
    assert words in answer.text, problem
    assert "Traceback" not in answer.text
    assert "site-packages" not in answer.text


@pytest.mark.parametrize("name", BAD_JOBS)
def test_a_bad_job_is_refused_and_leaves_nothing_behind(stack: RunningStack, name: str) -> None:
    body, words = BAD_JOBS[name]
    before = stack.get("/v1/jobs?page_size=1000").json()["jobs"]
    answer = stack.post("/v1/jobs", body)
    reason = "LIMIT_EXCEEDED" if name.startswith("too many") else "INVALID_VALUE"
    assert_problem(answer, 422, reason, words)
    assert stack.get("/v1/jobs?page_size=1000").json()["jobs"] == before


BAD_SAMPLES: dict[str, tuple[object, str, str]] = {
    "n of zero": ({"n": 0}, "INVALID_VALUE", "n"),
    "n of -1": ({"n": -1}, "INVALID_VALUE", "n"),
    "n of 10^12": ({"n": 10**12}, "LIMIT_EXCEEDED", "at most"),
    "n a fraction": ({"n": 1.5}, "INVALID_VALUE", "n"),
    "n missing": ({}, "INVALID_VALUE", "n"),
    "seed negative": ({"n": 1, "seed": -1}, "INVALID_VALUE", "seed"),
    "seed beyond 2^53": ({"n": 1, "seed": 2**53}, "INVALID_VALUE", "seed"),
    "unknown include": ({"n": 1, "include": ["entropy"]}, "INVALID_VALUE", "log_prob"),
    "unknown correction": ({"n": 1, "correction": "magic"}, "INVALID_VALUE", "none"),
    "unknown field": ({"n": 1, "count": 3}, "INVALID_VALUE", "count"),
}


@pytest.mark.parametrize("name", BAD_SAMPLES)
def test_a_bad_sample_request_is_refused(stack: RunningStack, small_model: str, name: str) -> None:
    body, reason, words = BAD_SAMPLES[name]
    assert_problem(stack.post(f"/v1/models/{small_model}:sample", body), 422, reason, words)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.ones((3, 4, 5)).tolist(), "expected (n, 4, 4)"),
        (np.ones((4, 4)).tolist(), "expected (n, 4, 4)"),
        ([[[1, 1, 1, 1]] * 3 + [[1, 1, 0, 1]]], "samples[0][3][2]"),
        ([[[1, 1, 1, 1]] * 3 + [[1, 1, 1]]], "unequal"),
        ([[[1, 1, 1, "up"]] * 4], "not numbers"),
        ([[[1, 1, 1, None]] * 4], "not numbers"),
        ([], "empty list"),
        ("all up", "samples"),
        ([[[1, 1, 1, 0.5]] * 4], "samples[0][0][3] is 0.5"),
    ],
)
def test_samples_outside_the_space_are_named(
    stack: RunningStack, small_model: str, samples: object, words: str
) -> None:
    answer = stack.post(f"/v1/models/{small_model}:logLikelihood", {"samples": samples})
    assert_problem(answer, 422, "INVALID_VALUE", words)
    energy = stack.post("/v1/targets:energy", {"target": ISING, "samples": samples})
    assert_problem(energy, 422, "INVALID_VALUE", words)


def npy(array: NDArray[np.generic], *, allow_pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


GOOD_NPY = npy(np.ones((2, 4, 4), np.int8))


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"not npy", 400, "not a npy array"),
        (b"", 400, "not a npy array"),
        (GOOD_NPY[:-3], 400, "not a npy array"),
        (GOOD_NPY[:20], 400, "not a npy array"),
        (GOOD_NPY + b"tail", 400, "follow"),
        (npy(np.array([{"a": 1}], dtype=object), allow_pickle=True), 400, "pickled"),
        (npy(np.full((1, 4, 4), np.nan)), 422, "samples[0][0][0] is nan"),
        (npy(np.zeros((1, 4, 4))), 422, "samples[0][0][0] is 0.0"),
        (npy(np.ones((0, 4, 4))), 422, "n >= 1"),
        (npy(np.array([["a"]])), 422, "numeric"),
    ],
)
def test_broken_npy_is_refused(stack: RunningStack, small_model: str, body: bytes, status: int, words: str) -> None:
    url = f"{stack.url}/v1/models/{small_model}:logLikelihood"
    answer = stack.http.post(url, content=body, headers={"Content-Type": "application/x-npy"})
    assert_problem(answer, status, "MALFORMED" if status == 400 else "INVALID_VALUE", words)


@pytest.mark.parametrize(
    ("path", "status", "reason", "words"),
    [
        ("/v1/models/nobody:sample", 404, "NOT_FOUND", "nobody"),
        ("/v1/models/small/versions/99:sample", 404, "NOT_FOUND", "it has version"),
        ("/v1/models/small/versions/nightly:sample", 404, "NOT_FOUND", "nightly"),
        ("/v1/models/small:smaple", 404, "UNKNOWN_METHOD", ":sample"),
        ("/v1/models/small/versions/1:draw", 404, "UNKNOWN_METHOD", ":logLikelihood"),
        ("/v1/targets:energies", 404, "UNKNOWN_METHOD", ":energy"),
        ("/v1/jobs/1:stop", 404, "UNKNOWN_METHOD", ":cancel"),
        ("/v1/jobs/nothing:cancel", 404, "JOB_NOT_FOUND", "nothing"),
        ("/v1/jobs/nothing:retry", 404, "JOB_NOT_FOUND", "nothing"),
        ("/v1/nowhere", 404, "NOT_FOUND", "/docs"),
    ],
)
def test_what_does_not_exist_is_404(
    stack: RunningStack, small_model: str, path: str, status: int, reason: str, words: str
) -> None:
    assert small_model == "small"
    assert_problem(stack.post(path, {"n": 1}), status, reason, words)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/v1/jobs/nothing", "JOB_NOT_FOUND"),
        ("/v1/jobs/nothing/events", "JOB_NOT_FOUND"),
        ("/v1/jobs/nothing/metrics", "JOB_NOT_FOUND"),
        ("/v1/jobs/nothing/logs", "JOB_NOT_FOUND"),
        ("/v1/models/nobody", "NOT_FOUND"),
        ("/v1/models/nobody/versions", "NOT_FOUND"),
        ("/v1/zoo/models/resnet", "NOT_FOUND"),
        ("/v1/zoo/targets/pendulum", "NOT_FOUND"),
        ("/v1/nowhere", "NOT_FOUND"),
        ("/v3/nowhere", "NOT_FOUND"),
    ],
)
def test_reading_what_does_not_exist_is_404(stack: RunningStack, path: str, reason: str) -> None:
    assert_problem(stack.get(path), 404, reason, "")


def test_malformed_bodies_and_types(stack: RunningStack, small_model: str) -> None:
    url = f"{stack.url}/v1/models/{small_model}:sample"
    json_type = {"Content-Type": "application/json"}
    for body in (b"{", b"", b'{"n": NaN}', b"\xff\xfe", b'{"n": 1}}', b"[" * 1000 + b"]" * 1000):
        answer = stack.http.post(url, content=body, headers=json_type)
        assert_problem(answer, 400, "MALFORMED", "JSON")
    form = stack.http.post(url, content=b"n=1", headers={"Content-Type": "text/plain"})
    assert_problem(form, 415, "UNSUPPORTED_MEDIA_TYPE", "text/plain")
    pickled = stack.http.post(url, json={"n": 1}, headers={"Accept": "application/x-pickle"})
    assert_problem(pickled, 406, "NOT_ACCEPTABLE", "application/x-npy")
    two = stack.http.post(url, json={"n": 1, "include": ["log_prob"]}, headers={"Accept": "application/x-npy"})
    assert_problem(two, 406, "ONE_ARRAY_ONLY", "one array")
    large = stack.http.post(url, content=b" " * (64 * 2**20 + 1), headers=json_type)
    assert_problem(large, 413, "PAYLOAD_TOO_LARGE", "bytes")
    wait = stack.http.post(url, json={"n": 1}, headers={"Prefer": "wait=100000"})
    assert_problem(wait, 422, "INVALID_VALUE", "300")
    method = stack.http.put(f"{stack.url}/v1/jobs", json={})
    assert_problem(method, 405, "METHOD_NOT_ALLOWED", "PUT")
    token = stack.get("/v1/jobs?page_token=abc")
    assert_problem(token, 422, "INVALID_PAGE_TOKEN", "abc")
    size = stack.get("/v1/jobs?page_size=0")
    assert_problem(size, 422, "INVALID_VALUE", "page_size")


def test_a_beta_the_model_does_not_know_is_a_missing_capability(stack: RunningStack, small_model: str) -> None:
    answer = stack.post(f"/v1/models/{small_model}:sample", {"n": 1, "beta": 0.2})
    assert_problem(answer, 409, "CAPABILITY_MISSING", "0.44")
    assert stack.post(f"/v1/models/{small_model}:sample", {"n": 1, "beta": 0.44}).status_code == 200


def test_no_exact_reference_is_said_so(stack: RunningStack) -> None:
    answer = stack.post("/v1/targets:reference", {"target": {"kind": "ising", "shape": [5, 5, 5]}})
    assert_problem(answer, 404, "NO_EXACT_REFERENCE", "")


def test_a_finished_job_cannot_be_cancelled(stack: RunningStack, small_model: str) -> None:
    with stack.client() as client:
        job_id = str(client.version(small_model).job_id)
    assert_problem(stack.post(f"/v1/jobs/{job_id}:cancel", {}), 409, "JOB_FINISHED", "succeeded")
    assert_problem(stack.post(f"/v1/jobs/{job_id}:retry", {}), 409, "JOB_NOT_RETRYABLE", "succeeded")
    assert_problem(stack.get(f"/v1/jobs/{job_id}/metrics?name=los"), 404, "METRIC_NOT_FOUND", "loss")


def test_an_alias_needs_its_etag_to_move(stack: RunningStack, small_model: str) -> None:
    path = f"{stack.url}/v1/models/{small_model}/aliases/guarded"
    created = stack.http.put(path, json={"version": 1})
    assert created.status_code == 200
    assert created.headers["etag"]
    assert_problem(stack.http.put(path, json={"version": 2}), 404, "NOT_FOUND", "version")
    wrong = stack.http.put(path, json={"version": 1}, headers={"If-Match": '"stale"'})
    assert_problem(wrong, 412, "PRECONDITION_FAILED", "stale")
    used = stack.http.delete(f"{stack.url}/v1/models/{small_model}/versions/1")
    assert used.status_code == 409


GRPC_CASES = [
    ("Sample", pb.SampleRequest(model=pb.ModelReference(model="nobody"), n=1), grpc.StatusCode.NOT_FOUND),
    ("Sample", pb.SampleRequest(model=pb.ModelReference(model="small"), n=0), grpc.StatusCode.INVALID_ARGUMENT),
    ("Sample", pb.SampleRequest(model=pb.ModelReference(model="small"), n=-1), grpc.StatusCode.INVALID_ARGUMENT),
    ("Sample", pb.SampleRequest(model=pb.ModelReference(model="small"), n=10**12), grpc.StatusCode.OUT_OF_RANGE),
    ("Sample", pb.SampleRequest(model=pb.ModelReference(model="small", ref="9"), n=1), grpc.StatusCode.NOT_FOUND),
    (
        "LogLikelihood",
        pb.LogLikelihoodRequest(model=pb.ModelReference(model="small")),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    (
        "LogLikelihood",
        pb.LogLikelihoodRequest(
            model=pb.ModelReference(model="small"), samples=pb.Tensor(dtype="int8", shape=[1, 4, 4], data=b"\x01" * 15)
        ),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    (
        "LogLikelihood",
        pb.LogLikelihoodRequest(
            model=pb.ModelReference(model="small"), samples=pb.Tensor(dtype="int8", shape=[1, 4, 4], data=b"\x00" * 16)
        ),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    (
        "FreeEnergy",
        pb.FreeEnergyRequest(model=pb.ModelReference(model="small"), method="magic"),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
]


@pytest.mark.parametrize(("method", "request_", "code"), GRPC_CASES)
def test_grpc_gives_the_same_faults_as_statuses(
    stack: RunningStack, small_model: str, method: str, request_: object, code: grpc.StatusCode
) -> None:
    assert small_model == "small"
    with grpc.insecure_channel(stack.grpc_address) as channel:
        call = getattr(inference_pb2_grpc.InferenceStub(channel), method)

        def answer() -> None:
            reply = call(request_, timeout=30)
            if method != "LogLikelihood":
                list(reply)

        with pytest.raises(grpc.RpcError) as caught:
            answer()
    assert caught.value.code() == code
    assert caught.value.details()
    assert "reason" in dict(caught.value.trailing_metadata())


@pytest.mark.parametrize(
    "changes", [{"J": 1e308, "h": 0.1}, {"J": -1e10}, {"h": 1e308}, {"beta": 1e-320}, {"beta": 1e300}]
)
def test_parameters_that_overflow_are_refused(stack: RunningStack, changes: dict[str, float]) -> None:
    target = {"kind": "ising", "shape": [3, 3]} | changes
    for path, body in (("/v1/targets:reference", {"target": target}), ("/v1/jobs", train(target=target))):
        assert_problem(stack.post(path, body), 422, "INVALID_VALUE", "target." + next(iter(changes)))


@pytest.mark.parametrize("corner", [{"J": 1e9, "beta": 1e9}, {"J": -1e9, "h": 1e9, "beta": 1e9}, {"beta": 1e-9}])
def test_the_largest_parameters_are_answered(stack: RunningStack, corner: dict[str, float]) -> None:
    for shape in ([3, 3], [4, 4], [12], [2, 3, 2]):
        answer = stack.post("/v1/targets:reference", {"target": {"kind": "ising", "shape": shape} | corner})
        assert answer.status_code == 200, answer.text
        assert answer.json()["observables"]["heat_capacity_per_site"] >= 0


def test_encodings_and_sizes_are_refused_before_the_body_is_read(stack: RunningStack, small_model: str) -> None:
    url = f"{stack.url}/v1/models/{small_model}:sample"
    for headers, words in (
        ({"Content-Encoding": "br"}, "br"),
        ({"Content-Type": "application/json; charset=utf-16"}, "utf-16"),
    ):
        answer = stack.http.post(url, content=b'{"n": 1}', headers={"Content-Type": "application/json"} | headers)
        assert_problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE", words)
    for wait in ("abc", "-1", "1e9"):
        answer = stack.http.post(url, json={"n": 1}, headers={"Prefer": f"wait={wait}"})
        assert_problem(answer, 422, "INVALID_VALUE", "wait")
    version = stack.get("/v1/free-energies?version=999999999999999999999")
    assert_problem(version, 422, "INVALID_VALUE", "version")


def test_a_body_that_announces_too_many_bytes_is_refused_at_once(stack: RunningStack) -> None:
    connection = http.client.HTTPConnection(stack.url.removeprefix("http://"), timeout=10)
    connection.putrequest("POST", "/v1/jobs")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", "99999999999")
    connection.endheaders(b"{")
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["reason"] == "PAYLOAD_TOO_LARGE"
    connection.close()


def test_a_client_that_leaves_in_mid_body_is_no_error_of_ours(stack: RunningStack) -> None:
    host, _, port = stack.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    deadline = time.monotonic() + 10
    while 'status="499"' not in stack.get("/metrics").text:
        assert time.monotonic() < deadline, "the request was not counted as the client's"
        time.sleep(0.05)
    assert "ClientDisconnect" not in (stack.data_dir / "logs" / "gateway.log").read_text()
