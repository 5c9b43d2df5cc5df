"""Datasets from the client and from the command line: what is sent, and what comes back."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from helmholtz import Client, ConflictError, Dataset, InvalidArgumentError, UnexpectedAnswerError
from helmholtz.cli import main

Scripted = Callable[..., tuple[Client, list[httpx.Request], list[float]]]
NPY, NPZ = "application/x-npy", "application/x-npz"
BITS = np.array([[0, 1], [1, 1], [0, 0]], dtype=np.uint8)
RECORD: dict[str, Any] = {
    "id": "d1",
    "name": "mine",
    "space": {"kind": "bits", "event_shape": [2]},
    "num_samples": 3,
    "labels": True,
    "source": {"kind": "upload"},
    "digest": "0" * 64,
    "size_bytes": 200,
    "created_at": "2026-01-02T03:04:05+00:00",
    "a_newer_field": 1,
}
JOB = {"id": "j1", "kind": "dataset", "state": "queued"}


def npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(**arrays: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def answer(status: int = 201, body: object = RECORD) -> httpx.Response:
    return httpx.Response(status, json=body)


def test_an_array_is_sent_as_npy(scripted: Scripted) -> None:
    client, requests, _ = scripted(answer())
    made = client.upload_dataset(BITS, "bits", "mine")
    assert (made.id, made.num_samples, made.event_shape) == ("d1", 3, (2,))
    (request,) = requests
    assert (request.method, request.url.path) == ("POST", "/v1/datasets")
    assert dict(request.url.params) == {"space": "bits", "name": "mine"}
    assert request.headers["content-type"] == NPY
    np.testing.assert_array_equal(np.load(io.BytesIO(request.content)), BITS)


def test_labels_make_it_npz_and_a_space_may_be_a_mapping(scripted: Scripted) -> None:
    client, requests, _ = scripted(answer())
    client.upload_dataset(BITS.tolist(), {"kind": "categorical", "num_values": 3}, labels=[4, 5, 6])
    (request,) = requests
    assert json.loads(request.url.params["space"]) == {"kind": "categorical", "num_values": 3}
    assert "name" not in request.url.params
    assert request.headers["content-type"] == NPZ
    with np.load(io.BytesIO(request.content)) as sent:
        np.testing.assert_array_equal(sent["samples"], BITS)
        assert sent["labels"].tolist() == [4, 5, 6]


@pytest.mark.parametrize(("content", "kind"), [(npy(BITS), NPY), (npz(samples=BITS, labels=BITS[:, 0]), NPZ)])
def test_a_file_is_sent_as_it_is(scripted: Scripted, tmp_path: Path, content: bytes, kind: str) -> None:
    client, requests, _ = scripted(answer())
    (tmp_path / "data.bin").write_bytes(content)
    client.upload_dataset(tmp_path / "data.bin", "bits")
    assert requests[0].content == content
    assert requests[0].headers["content-type"] == kind


def test_what_cannot_be_sent_is_refused_here(scripted: Scripted, tmp_path: Path) -> None:
    client, requests, _ = scripted()
    (tmp_path / "text").write_text("0 1 1")
    (tmp_path / "data.npy").write_bytes(npy(BITS))
    for samples, labels, words in (
        (tmp_path / "missing", None, "cannot read"),
        (tmp_path / "text", None, "neither a npy nor a npz file"),
        (tmp_path / "data.npy", [1], "beside a file"),
        ([[1], [1, 2]], None, "ragged"),
        ([["a"]], None, "numbers"),
    ):
        with pytest.raises(InvalidArgumentError, match=words):
            client.upload_dataset(samples, "bits", labels=labels)
    assert requests == []


def test_an_upload_is_not_repeated(scripted: Scripted) -> None:
    """Two rows would come of it, were the first answer lost."""
    client, requests, _ = scripted(answer(503, {"reason": "UNAVAILABLE", "detail": "draining"}))
    with pytest.raises(Exception, match="draining"):
        client.upload_dataset(BITS, "bits")
    assert len(requests) == 1


def test_builtins_and_jobs_are_asked_for_in_json(scripted: Scripted) -> None:
    target = {"kind": "ising", "shape": [4, 4]}
    client, requests, _ = scripted(answer(), answer(202, JOB), answer(202, JOB))
    client.builtin_dataset("digits", binarise=False, split="test")
    assert client.generate_dataset(target, 100, "metropolis", seed=3, name="mine").id == "j1"
    client.generate_dataset(target, 100, idempotency_key="k")
    bodies = [json.loads(request.content) for request in requests]
    assert bodies[0] == {"builtin": "digits", "binarise": False, "split": "test"}
    assert bodies[1] == {"target": target, "n": 100, "sampler": "metropolis", "seed": 3, "name": "mine"}
    assert bodies[2] == {"target": target, "n": 100, "seed": 0}
    assert "idempotency-key" not in requests[0].headers
    assert requests[1].headers["idempotency-key"] != requests[2].headers["idempotency-key"] == "k"
    assert {request.url.path for request in requests} == {"/v1/datasets"}


def test_a_job_is_asked_for_again_with_its_key(scripted: Scripted) -> None:
    client, requests, _ = scripted(answer(503, {"detail": "busy"}), answer(202, JOB))
    client.generate_dataset({"kind": "ising"}, 1)
    first, second = (request.headers["idempotency-key"] for request in requests)
    assert first == second


def test_samples_come_back_with_their_labels(scripted: Scripted) -> None:
    labels = np.array([1, 2, 2**40])
    client, requests, _ = scripted(
        httpx.Response(200, content=npz(samples=BITS, labels=labels), headers={"Content-Type": NPZ}),
        httpx.Response(200, content=npz(samples=BITS), headers={"Content-Type": NPZ}),
    )
    data = client.dataset_samples("d1")
    np.testing.assert_array_equal(data.samples, BITS)
    assert data.samples.dtype == np.uint8
    np.testing.assert_array_equal(data.labels, labels)
    assert client.dataset_samples(Dataset.model_validate(RECORD)).labels is None
    assert {request.url.path for request in requests} == {"/v1/datasets/d1/samples"}
    assert requests[0].headers["accept"] == NPZ


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", npy(BITS), npz(mask=BITS)])
def test_another_answer_is_said_to_be_one(scripted: Scripted, content: bytes) -> None:
    client, _, _ = scripted(httpx.Response(200, content=content))
    with pytest.raises(UnexpectedAnswerError):
        client.dataset_samples("d1")


def test_pickled_answers_are_not_loaded(scripted: Scripted) -> None:
    stream = io.BytesIO()
    np.savez(stream, samples=np.array([{}], dtype=object))
    client, _, _ = scripted(httpx.Response(200, content=stream.getvalue()))
    with pytest.raises(UnexpectedAnswerError, match="pickle"):
        client.dataset_samples("d1")


def test_lists_are_joined_and_one_can_be_read_and_deleted(scripted: Scripted) -> None:
    used = {"reason": "DATASET_IN_USE", "detail": "dataset d1 is in use by job j1"}
    client, requests, _ = scripted(
        answer(200, {"datasets": [RECORD], "next_page_token": "t"}),
        answer(200, {"datasets": [RECORD | {"id": "d2"}], "next_page_token": None}),
        answer(200),
        httpx.Response(204),
        answer(409, used),
    )
    assert [d.id for d in client.datasets()] == ["d1", "d2"]
    assert client.dataset("d1").source == {"kind": "upload"}
    client.delete_dataset("d1")
    with pytest.raises(ConflictError, match="in use by job j1") as caught:
        client.delete_dataset("d1")
    assert caught.value.reason == "DATASET_IN_USE"
    assert [request.method for request in requests] == ["GET", "GET", "GET", "DELETE", "DELETE"]


class Service(Protocol):
    url: str
    requests: list[tuple[str, dict[str, str], bytes]]

    def answer(self, route: str, body: object, status: int = 200, **headers: str) -> None: ...


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``helmholtz data`` with these words against ``service``."""
    monkeypatch.setenv("HELMHOLTZ_URL", service.url)
    monkeypatch.setattr(sys, "argv", ["helmholtz"])

    def call(*words: object) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main(["data", *map(str, words)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err + out
        return Outcome(int(ended.value.code or 0), out, err)

    return call


def test_the_list_names_each_dataset(service: Service, run: Run) -> None:
    service.answer("GET /v1/datasets", {"datasets": [RECORD], "next_page_token": None})
    shown = run("list")
    assert shown.code == 0
    for word in ("d1", "mine", "3", "bits", "[2]", "upload"):
        assert word in shown.out
    assert json.loads(run("list", "--json").out)["datasets"][0]["id"] == "d1"
    service.answer("GET /v1/datasets", {"datasets": [], "next_page_token": None})
    assert "helmholtz data builtin digits" in run("list").out


def test_show_says_where_it_comes_from(service: Service, run: Run) -> None:
    service.answer("GET /v1/datasets/d1", RECORD)
    assert '{"kind": "upload"}' in run("show", "d1").out
    assert json.loads(run("show", "d1", "--json").out)["source"] == {"kind": "upload"}
    assert run("show", "d2").code == 2


def test_upload_sends_the_file(service: Service, run: Run, tmp_path: Path) -> None:
    service.answer("POST /v1/datasets", RECORD, 201)
    (tmp_path / "x.npy").write_bytes(npy(BITS))
    spaces = {"bits": "bits", '{"kind": "particles", "box": [2, 2]}': '{"kind": "particles", "box": [2, 2]}'}
    for given, sent in spaces.items():
        assert run("upload", tmp_path / "x.npy", "--space", given, "--name", "mine").code == 0
        line, headers, body = service.requests[-1]
        assert parse_qs(urlsplit(line.removeprefix("POST ")).query) == {"space": [sent], "name": ["mine"]}
        assert {k.lower(): v for k, v in headers.items()}["content-type"] == NPY
        assert body == npy(BITS)
    number = len(service.requests)
    assert run("upload", tmp_path / "x.npy").code == 2  # --space is missing
    assert "cannot read" in run("upload", tmp_path / "y.npy", "--space", "bits").err
    assert len(service.requests) == number


def test_builtin_takes_options(service: Service, run: Run) -> None:
    service.answer("POST /v1/datasets", RECORD, 201)
    assert run("builtin", "bars_and_stripes", "--set", "shape=4,4", "--set", "n=1000", "--name", "bars").code == 0
    body = {"builtin": "bars_and_stripes", "shape": [4, 4], "n": 1000, "name": "bars"}
    assert json.loads(service.requests[-1][2]) == body


def test_generate_submits_a_job_and_follows_it(service: Service, run: Run) -> None:
    service.answer("POST /v1/datasets", JOB, 202)
    ended = JOB | {"state": "succeeded", "result": {"dataset": "d1", "num_samples": 9}}
    service.answer("GET /v1/jobs/j1", ended)
    events = 'id: 1\nevent: progress\ndata: {"step": 1, "max_steps": 9, "fraction": 0.1}\n\n'
    events += 'id: 2\nevent: state\ndata: {"state": "succeeded"}\n\n'
    service.answer("GET /v1/jobs/j1/events", events.encode(), Content_Type="text/event-stream")
    words = ("generate", "--target", "ising", "--set", "target.shape=4,4", "-n", 9, "--sampler", "metropolis")
    shown = run(*words, "--set", "sampler.thin=3", "--seed", 5, "--name", "mine")
    assert shown.code == 0, shown.err
    assert "d1" in shown.out
    sent = next(body for line, _, body in service.requests if line.startswith("POST"))
    assert json.loads(sent) == {
        "target": {"kind": "ising", "shape": [4, 4]},
        "n": 9,
        "sampler": {"kind": "metropolis", "thin": 3},
        "seed": 5,
        "name": "mine",
    }
    assert json.loads(run(*words, "--detach", "--json").out)["state"] == "queued"


def test_download_writes_a_file(service: Service, run: Run, tmp_path: Path) -> None:
    service.answer("GET /v1/datasets/d1/samples", npz(samples=BITS, labels=np.arange(3)), Content_Type=NPZ)
    assert run("download", "d1", "--out", tmp_path / "x.npz").code == 0
    with np.load(tmp_path / "x.npz") as written:
        np.testing.assert_array_equal(written["samples"], BITS)
        assert written["labels"].tolist() == [0, 1, 2]
    said = json.loads(run("download", "d1", "--out", tmp_path / "x.npy", "--json").out)
    assert said["shape"] == [3, 2]
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), BITS)
    assert "expected a name that ends in" in run("download", "d1", "--out", tmp_path / "x.csv").err


def test_delete_says_so(service: Service, run: Run) -> None:
    service.answer("DELETE /v1/datasets/d1", b"", 204)
    assert "d1 is deleted" in run("delete", "d1").out
    service.answer("DELETE /v1/datasets/d1", {"reason": "DATASET_IN_USE", "detail": "in use by job j1"}, 409)
    refused = run("delete", "d1")
    assert refused.code == 2
    assert "in use by job j1" in refused.err
