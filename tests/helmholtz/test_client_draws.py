"""Many samples through the client: the job that is asked for, and a file that is whole or not there."""

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import httpx
import numpy as np
import pytest

from helmholtz import Client, ConflictError, InvalidArgumentError, ServiceUnreachableError, UnexpectedAnswerError
from helmholtz.cli import main

SPINS = np.array([[[-1, 1], [1, 1]], [[1, 1], [-1, -1]]], dtype=np.int8)
RESULT = {"model": "m", "version": 3, "version_digest": "d" * 64, "digest": "f" * 64, "n": 2, "seed": 7}
SPEC = {"kind": "sample", "model": "m", "ref": "3", "n": 2, "seed": 7}
JOB: dict[str, Any] = {"id": "j1", "kind": "sample", "state": "succeeded", "spec": SPEC, "result": RESULT}
EVENTS = b'id: 1\nevent: state\ndata: {"state": "succeeded"}\n\n'


class Service(Protocol):
    url: str
    requests: list[tuple[str, dict[str, str], bytes]]

    def answer(self, route: str, body: object, status: int = 200, **headers: str) -> None: ...


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the arrays for its own option
    return buffer.getvalue()


CONTENT = npz(samples=SPINS, log_prob=np.array([-0.5, -1.5]))
ETAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    """A client of a service with one job of samples that has ended."""
    service.answer("POST /v1/jobs", JOB, 202)
    service.answer("GET /v1/jobs/j1", JOB)
    service.answer("GET /v1/jobs/j1/events", EVENTS, Content_Type="text/event-stream")
    service.answer("GET /v1/jobs/j1/result", CONTENT, Content_Type="application/x-npz", ETag=ETAG)
    with Client(service.url) as connected:
        yield connected


def test_the_job_is_what_was_asked(client: Client, service: Service) -> None:
    job = client.draw("m", 2, seed=7, ref=3, include=("log_prob",), condition={"beta": 0.4}, idempotency_key="k")
    _, headers, body = service.requests[0]
    assert json.loads(body) == {
        "kind": "sample", "model": "m", "n": 2, "seed": 7, "ref": "3", "include": ["log_prob"],
        "condition": {"beta": 0.4},
    }  # fmt: skip
    assert headers["Idempotency-Key"] == "k"
    assert job.published is None, "nothing was published"
    client.draw("m", 2)
    assert json.loads(service.requests[1][2]) == {"kind": "sample", "model": "m", "n": 2}
    client.draw("m", 2, correction="latent_hmc")
    assert json.loads(service.requests[2][2])["correction"] == "latent_hmc"


def test_a_file_has_its_name_when_it_is_whole(client: Client, service: Service, tmp_path: Path) -> None:
    target = tmp_path / "s.npz"
    target.write_bytes(b"what was there before")
    assert client.download("j1", target) == target
    assert target.read_bytes() == CONTENT
    assert service.requests[-1][1]["Accept"] == "application/x-npz"
    client.download("j1", str(tmp_path / "s.safetensors"))
    assert service.requests[-1][1]["Accept"] == "application/vnd.safetensors"
    assert {path.name for path in tmp_path.iterdir()} == {"s.npz", "s.safetensors"}


def test_a_file_with_other_bytes_is_not_kept(client: Client, service: Service, tmp_path: Path) -> None:
    target = tmp_path / "s.npz"
    target.write_bytes(b"what was there before")
    service.answer("GET /v1/jobs/j1/result", CONTENT[:-1], ETag=ETAG)
    with pytest.raises(UnexpectedAnswerError, match="digest"):
        client.download("j1", target)
    early = {"reason": "JOB_NOT_FINISHED", "detail": "job j1 is running"}
    service.answer("GET /v1/jobs/j1/result", early, 409)
    with pytest.raises(ConflictError, match="is running"):
        client.download("j1", target)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"what was there before"]


def test_a_connection_that_breaks_leaves_no_file(tmp_path: Path) -> None:
    def half() -> Iterator[bytes]:
        yield CONTENT[:50]
        msg = "peer closed connection"
        raise httpx.RemoteProtocolError(msg)

    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=half(), headers={"ETag": ETAG}))
    with (
        Client("http://service.test", transport=transport) as client,
        pytest.raises(ServiceUnreachableError, match="before the whole file came"),
    ):
        client.download("j1", tmp_path / "s.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_cannot_be_is_refused_before_anything_is_asked(
    client: Client, service: Service, tmp_path: Path
) -> None:
    with pytest.raises(InvalidArgumentError, match=r"\.npz or \.safetensors"):
        client.download("j1", tmp_path / "s.csv")
    assert service.requests == []
    with pytest.raises(InvalidArgumentError, match="cannot write"):
        client.download("j1", tmp_path / "nowhere" / "s.npz")


def test_the_arrays_come_with_what_drew_them(client: Client) -> None:
    found = client.result("j1")
    np.testing.assert_array_equal(found.samples, SPINS)
    assert found.samples.dtype == np.int8
    np.testing.assert_array_equal(np.asarray(found.log_prob), [-0.5, -1.5])
    assert found.energy is None
    assert (found.model, found.version, found.seed, found.digest) == ("m", 3, 7, "d" * 64)


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(client: Client, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: ANN401 - a function of words
    """Runs a command line against the service."""

    def call(*words: object) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words), "--url", client.url])
        out, err = capsys.readouterr()
        assert "Traceback" not in err + out
        return Outcome(int(ended.value.code or 0), out, err)

    return call


def test_draw_writes_a_file_and_says_what_is_in_it(run: Any, service: Service, tmp_path: Path) -> None:  # noqa: ANN401
    target = tmp_path / "s.npz"
    told = run("draw", "m", "-n", 2, "-o", target, "--include", "log_prob", "--correction", "metropolis")
    assert told.code == 0, told.err
    asked = json.loads(service.requests[0][2])
    assert (asked["include"], asked["correction"]) == (["log_prob"], "metropolis")
    assert target.read_bytes() == CONTENT
    assert "m version 3" in told.out
    assert "job j1" in told.err
    target.unlink()
    fetched = run("result", "j1", "--out", target, "--json")
    assert json.loads(fetched.out)["out"] == str(target)
    assert target.read_bytes() == CONTENT


def test_a_file_that_cannot_be_written_is_refused_before_the_job(run: Any, service: Service, tmp_path: Path) -> None:  # noqa: ANN401
    for name in ("s.csv", "nowhere/s.npz"):
        told = run("draw", "m", "-n", 2, "-o", tmp_path / name)
        assert (told.code, told.out) == (2, "")
        assert "helmholtz: " in told.err
    assert service.requests == []


def test_a_list_of_jobs_says_what_is_drawn(run: Any, service: Service) -> None:  # noqa: ANN401
    service.answer("GET /v1/jobs", {"jobs": [JOB], "next_page_token": None})
    assert "2 of m version 3" in run("jobs", "list").out
    shown = run("jobs", "show", "j1").out
    assert "sample" in shown
    assert "f" * 64 in shown
