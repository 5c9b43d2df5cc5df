"""The command line against a small real server: what is printed where, and the exit codes."""

import io
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pytest

from helmholtz.cli import main
from helmholtz.client import Client
from helmholtz.events import Event


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
    """Runs a command line against ``service``; a traceback on stderr fails the test."""
    monkeypatch.setenv("HELMHOLTZ_URL", service.url)

    def call(*words: object) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err + out
        return Outcome(int(ended.value.code or 0), out, err)

    return call


SPINS = np.array([[[-1, 1], [1, 1]], [[1, 1], [-1, -1]]], dtype=np.int8)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def job(state: str, **fields: object) -> dict[str, object]:
    return {"id": "j1", "kind": "train", "state": state, "spec": {"target": {"kind": "ising", "beta": 0.44}}} | fields


def event(number: int, kind: str, **data: object) -> str:
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"


def serve_job(service: Service, state: str, **fields: object) -> None:
    """A job that runs two steps and ends in ``state``."""
    metric = {"loss": -59.0, "variational_beta_f": -59.0, "exact_beta_f": -59.64, "num_sites": 64, "beta": 0.44}
    events = [
        event(1, "state", state="running"),
        event(2, "progress", step=10, max_steps=20, fraction=0.5, eta_seconds=3.0),
        event(3, "metric", step=10, effective_sample_fraction=0.875, **metric),
        event(4, "state", state=state),
    ]
    service.answer("POST /v1/jobs", job("queued"), 202)
    service.answer("GET /v1/jobs/j1", job(state, **fields))
    service.answer("GET /v1/jobs/j1/events", "".join(events).encode(), Content_Type="text/event-stream")


def test_train_sends_the_job_shows_progress_and_prints_the_result(run: Run, service: Service) -> None:
    serve_job(service, "succeeded", result={"model": "ising-8", "version": 4})
    words = ["--target", "ising", "--model", "pixelcnn", "--publish", "ising-8:candidate", "--set", "target.shape=8,8"]
    ended = run("train", *words, "--set", "target.beta=0.44", "--training", '{"max_steps": 20}')
    assert ended.code == 0
    assert json.loads(service.requests[0][2]) == {
        "kind": "train",
        "target": {"kind": "ising", "shape": [8, 8], "beta": 0.44},
        "model": {"family": "pixelcnn"},
        "training": {"max_steps": 20},
        "publish": {"model": "ising-8", "alias": "candidate"},
    }
    assert "step 10/20  loss -59.0000  gap/site 1.0e-02  ESS 0.875  3 s left" in ended.err
    assert "ising-8 version 4" in ended.out


def test_train_with_json_prints_one_document_and_nothing_else(run: Run, service: Service) -> None:
    serve_job(service, "succeeded", result={"model": "ising-8", "version": 4})
    ended = run("--json", "train", "--target", "ising", "--model", "made")
    assert ended.code == 0
    assert json.loads(ended.out)["result"] == {"model": "ising-8", "version": 4}


def test_a_sweep_is_submitted_from_a_file_followed_and_shown_with_its_jobs(
    run: Run, service: Service, tmp_path: Path
) -> None:
    target, model = {"kind": "ising", "shape": [4, 4]}, {"family": "made"}
    sweep = {"kind": "sweep", "train": {"target": target, "model": model}, "grid": {"target.beta": [0.3, 0.4]}}
    children = [
        {"id": f"j{n + 2}", "state": state, "values": {"target.beta": beta}, "model": f"made-ising-beta-{beta}"}
        for n, (state, beta) in enumerate([("succeeded", 0.3), ("failed", 0.4)])
    ]
    fields = {"kind": "sweep", "spec": sweep, "children": children, "progress": {"fraction": 1.0}}
    serve_job(service, "failed", error={"detail": "1 of 2 jobs did not succeed: number 1"}, **fields)
    halfway = {"fraction": 0.5, "stage": "1 of 2 jobs ended", "eta_seconds": 2.0}
    told = event(1, "progress", **halfway) + event(2, "state", state="failed")
    service.answer("GET /v1/jobs/j1/events", told.encode(), Content_Type="text/event-stream")
    file = tmp_path / "sweep.json"
    file.write_text(json.dumps(sweep))
    ended = run("train", f"@{file}")
    assert ended.code == 1
    assert json.loads(service.requests[0][2]) == sweep
    assert "50 %, 1 of 2 jobs ended" in ended.err
    assert "1 of 2 jobs did not succeed" in ended.err
    for child in children:
        words = [str(child[name]) for name in ("id", "state", "model")]
        values = json.dumps(child["values"]).strip("{}").replace('"', "").replace(": ", "=")
        assert [*words, values] in [line.split() for line in ended.out.splitlines()]
    assert json.loads(run("jobs", "show", "j1", "--json").out)["children"] == children


def test_a_list_shows_sweeps_by_what_they_share_and_can_be_of_one(run: Run, service: Service) -> None:
    train = {"target": {"kind": "ising", "shape": [4, 4]}, "model": {"family": "made"}}
    listed = {"kind": "sweep", "spec": {"kind": "sweep", "train": train, "grid": {}}, "progress": {"fraction": 0.25}}
    service.answer("GET /v1/jobs", {"jobs": [job("running", **listed)], "next_page_token": None})
    ended = run("jobs", "list", "--parent", "j1")
    assert ended.code == 0
    assert "25%" in ended.out
    assert "made ising [4, 4]" in ended.out


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_job_that_fails_is_shown_and_the_code_is_1(run: Run, service: Service, state: str) -> None:
    serve_job(service, state, error={"detail": "the loss is NaN at step 3"} if state == "failed" else None)
    ended = run("train", "--target", "ising", "--model", "made", "--json")
    assert ended.code == 1
    assert json.loads(ended.out)["state"] == state
    assert ("the loss is NaN at step 3" if state == "failed" else "cancelled") in ended.err


def test_train_takes_a_whole_job_from_a_file_and_detaches(run: Run, service: Service, tmp_path: Path) -> None:
    serve_job(service, "queued")
    file = tmp_path / "job.json"
    file.write_text('{"kind": "train", "target": {"kind": "ising"}, "model": {"family": "made"}}')
    ended = run("train", f"@{file}", "--set", "training.seed=3", "--set", "publish.model=m", "--detach")
    assert ended.code == 0
    sent = json.loads(service.requests[0][2])
    assert (sent["training"], sent["publish"], sent["model"]) == ({"seed": 3}, {"model": "m"}, {"family": "made"})
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "--model", '{"family": '], "--model is not JSON"),
        (["train", "--target", "[1]", "--model", "made"], "--target is a list"),
        (["train", "--target", "@/no/such/file.json", "--model", "made"], "cannot read /no/such/file.json"),
        (["train", "--target", "ising"], "needs a model"),
        (["train", "--model", "made", "--set", "target"], "PATH=VALUE"),
        (["train", "--model", "made", "--set", "kind.x=1"], "not an object"),
        (["log-likelihood", "m", "/no/such/samples.npy"], "No such file"),
        (["sample", "m", "--out", "samples.txt"], ".npy"),
        (["sample", "m", "--include", "energy", "--out", "samples.npy"], "samples.npz"),
        (["sample", "m", "--out", "/no/such/folder/s.npy"], "no folder"),
        (["sample", "m", "-n", "many"], "'-n'"),
        (["sample", "m", "--include", "colour"], "colour"),
        (["sample"], "MODEL"),
        (["no-such-command"], "no-such-command"),
        (["info", "--url", "localhost"], "http://HOST:PORT"),
        (["reference", "--target", '{"kind": "ising", "beta": NaN}'], "JSON"),
        (["reference", "--target", '{"kind":"ising"'], "--target is not JSON"),
        (["reference", "--target", "@/no/such/file.json"], "cannot read /no/such/file.json"),
        (["reference", "--target", "ising", "--set", "x"], "PATH=VALUE"),
        (["reference", "--target", "ising", "--set", "num_states=9"], "--set changes only target.*"),
        (["reference", "--target", "[]"], "--target is a list"),
        (["reference", "--target", "3.5"], "--target is a number"),
    ],
)
def test_bad_input_is_one_clear_message_and_code_2(run: Run, service: Service, words: list[str], expected: str) -> None:
    ended = run(*words)
    assert ended.code == 2
    assert ended.out == ""
    assert expected in ended.err
    assert service.requests == []


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00broken", b"PK\x03\x04broken", b"text"])
def test_files_that_are_not_arrays_are_refused(run: Run, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "samples.npy"
    file.write_bytes(content)
    ended = run("log-likelihood", "m", file)
    assert (ended.code, ended.out) == (2, "")
    assert "npy file" in ended.err


def test_pickled_arrays_are_not_read(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "samples.npy"
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    ended = run("log-likelihood", "m", file)
    assert ended.code == 2
    assert "pickled" in ended.err


def test_a_refusal_is_code_2_and_a_fault_of_the_service_code_1(run: Run, service: Service) -> None:
    ended = run("jobs", "show", "j9", "--json")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "helmholtz: no GET /v1/jobs/j9 here (HTTP 404, NOT_FOUND)\n"
    service.answer("GET /v1/info", {"title": "t", "detail": "a bug", "reason": "INTERNAL"}, 500)
    ended = run("info")
    assert (ended.code, ended.out) == (1, "")
    assert "a bug" in ended.err


def test_no_service_is_code_2_and_names_url_and_remedy(run: Run) -> None:
    ended = run("info", "--url", "http://127.0.0.1:9")
    assert (ended.code, ended.out) == (2, "")
    assert "http://127.0.0.1:9" in ended.err
    assert "helmholtz serve" in ended.err


@pytest.mark.parametrize("words", [("--json", "info"), ("info", "--json")])
def test_global_options_stand_before_or_after_the_command(run: Run, service: Service, words: tuple[str, ...]) -> None:
    service.answer("GET /v1/info", {"version": "0.1.0", "devices": ["cpu"]})
    ended = run(*words)
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out) == {"version": "0.1.0", "devices": ["cpu"]}


def test_the_url_of_the_command_line_wins_over_the_environment(
    run: Run, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answer("GET /v1/info", {"version": "0.1.0"})
    monkeypatch.setenv("HELMHOLTZ_URL", "http://127.0.0.1:9")
    assert run("info").code == 2
    assert run("info", "--url", service.url).code == 0
    assert run("--url", service.url, "info").code == 0


def test_sample_writes_npy(run: Run, service: Service, tmp_path: Path) -> None:
    service.answer(
        "POST /v1/models/m:sample", npy(SPINS), Content_Type="application/x-npy", X_Seed="7", X_Model_Version="2"
    )
    ended = run("sample", "m", "-n", 2, "--seed", 7, "--out", tmp_path / "s.npy", "--json")
    assert ended.code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), SPINS)
    told = json.loads(ended.out)
    assert (told["seed"], told["version"], told["shape"], told["dtype"]) == (7, 2, [2, 2, 2], "int8")
    assert "samples" not in told
    assert json.loads(service.requests[0][2]) == {"n": 2, "seed": 7}


def test_sample_writes_npz_with_extras_and_prints_json_without_a_file(
    run: Run, service: Service, tmp_path: Path
) -> None:
    body = {"samples": SPINS.tolist(), "log_prob": [-1.0, -2.0], "seed": 1, "model": "m", "version": 2}
    service.answer("POST /v1/models/m:sample", body)
    assert run("sample", "m", "-n", 2, "--include", "log_prob", "--out", tmp_path / "s.npz").code == 0
    with np.load(tmp_path / "s.npz") as written:
        np.testing.assert_array_equal(written["samples"], SPINS)
        np.testing.assert_array_equal(written["log_prob"], [-1.0, -2.0])
    told = json.loads(run("sample", "m", "-n", 2, "--include", "log_prob", "--json").out)
    assert (told["samples"], told["log_prob"]) == (SPINS.tolist(), [-1.0, -2.0])


def test_log_likelihood_and_energy_of_a_file(run: Run, service: Service, tmp_path: Path) -> None:
    service.answer("POST /v1/models/m/versions/3:logLikelihood", {"log_likelihood": [-1.0, -3.0], "kind": "exact"})
    service.answer("POST /v1/targets:energy", {"energy": [-8.0, 0.0]})
    np.savez(tmp_path / "s.npz", samples=SPINS)
    ended = run("log-likelihood", "m", tmp_path / "s.npz", "--ref", 3)
    assert ended.code == 0
    assert "-2" in ended.out
    ended = run("energy", tmp_path / "s.npz", "--target", '{"kind": "ising", "shape": [2, 2]}', "--json")
    assert json.loads(ended.out)["energy"] == [-8.0, 0.0]


def test_free_energy_shows_estimate_truth_and_deviation(run: Run, service: Service) -> None:
    exact = {"beta_f": -59.1, "method": "kaufman", "citation": "Kaufman 1949"}
    evidence = {"num_samples": 1000, "effective_sample_fraction": 0.9, "reliable": False, "warnings": ["[bold]few"]}
    body = {"beta_f": -59.1246, "standard_error": 0.0123, "method": "importance", "exact": exact}
    service.answer("POST /v1/models/m:freeEnergy", body | {"diagnostics": evidence, "version": 1, "model": "m"})
    ended = run("free-energy", "m", "-n", 1000)
    assert ended.code == 0
    for expected in ("-59.125 ± 0.012", "-59.1 (kaufman)", "-2.00 sigma", "0.9000", "NO", "[bold]few"):
        assert expected in ended.out


def test_free_energy_asks_for_an_error_and_a_time(run: Run, service: Service) -> None:
    evidence = {"num_samples": 900, "reliable": True, "target_standard_error": 0.01, "target_reached": False}
    body = {"beta_f": -59.1, "standard_error": 0.02, "method": "importance", "diagnostics": evidence}
    service.answer("POST /v1/models/m:freeEnergy", body | {"version": 1, "model": "m"})
    ended = run("free-energy", "m", "--target-standard-error", "0.01:60")
    assert ended.code == 0
    assert "0.01 (not reached)" in ended.out
    refused = run("free-energy", "m", "--target-standard-error", "soon")
    assert refused.code == 2
    assert "ERROR:SECONDS" in refused.err
    assert run("free-energy", "m", "--target-standard-error", "0.1:2:3").code == 2


def test_registry_and_zoo_are_tables(run: Run, service: Service) -> None:
    version = {"model": "m", "version": 2, "model_spec": {"family": "made"}, "aliases": ["production"]}
    service.answer("GET /v1/models", {"models": [{"model": "m", "latest_version": 2, "aliases": {"production": 2}}]})
    service.answer("GET /v1/models/m/versions", {"versions": [version]})
    service.answer("GET /v1/models/m/versions/latest", version)
    capabilities = {"data_space": ["spins"], "sampling": "direct-sequential", "log_likelihood": "exact"}
    family = {"family": "made", "description": "masked", "capabilities": capabilities | {"trains_from": "energy"}}
    kind = {
        "kind": "ising",
        "formula": "E = -J sum s_i s_j",
        "schema": {"properties": {"J": {"description": "coupling"}}},
    }
    service.answer("GET /v1/zoo/models", {"models": [family]})
    service.answer("GET /v1/zoo/targets", {"targets": [kind]})
    service.answer("GET /v1/zoo/targets/ising", kind)
    for words, expected in [
        (("models", "list"), "production -> 2"),
        (("models", "versions", "m"), "production"),
        (("models", "show", "m"), "made"),
        (("zoo", "models"), "direct-sequential"),
        (("zoo", "targets"), "E = -J sum s_i s_j"),
        (("zoo", "show", "ising"), "coupling"),
    ]:
        ended = run(*words)
        assert (ended.code, ended.err) == (0, "")
        assert expected in ended.out
        assert isinstance(json.loads(run(*words, "--json").out), dict)


def test_setting_an_alias_sends_the_etag_it_has(run: Run, service: Service) -> None:
    present = {"alias": "production", "version": 1, "etag": '"e1"'}
    service.answer("GET /v1/models/m/aliases", {"aliases": [present]})
    for alias in ("production", "candidate"):
        service.answer(f"PUT /v1/models/m/aliases/{alias}", {"alias": alias, "version": 2}, ETag='"e2"')
    told = json.loads(run("models", "alias", "set", "m", "production", 2, "--force", "--json").out)
    assert told["etag"] == '"e2"'
    name, headers, body = service.requests[-1]
    assert (name, headers["If-Match"]) == ("PUT /v1/models/m/aliases/production", '"e1"')
    assert json.loads(body) == {"version": 2, "force": True}
    run("models", "alias", "set", "m", "candidate", 2)
    assert "If-Match" not in service.requests[-1][1]


def test_alias_rollback_and_history(run: Run, service: Service) -> None:
    service.answer("POST /v1/models/m/aliases/production:rollback", {"alias": "production", "version": 1})
    history = {"history": [{"version": 2, "at": "2030-01-01T00:00:00Z"}]}
    service.answer("GET /v1/models/m/aliases/production/history", history)
    assert "points at version 1" in run("models", "alias", "rollback", "m", "production").out
    assert "2" in run("models", "alias", "history", "m", "production", "--at", "2030-01-02").out
    assert service.requests[-1][0].endswith("history?at=2030-01-02")


def test_jobs_are_listed_watched_and_cancelled(run: Run, service: Service) -> None:
    serve_job(service, "succeeded", progress={"step": 20, "max_steps": 20})
    service.answer("GET /v1/jobs", {"jobs": [job("running")], "next_page_token": None})
    service.answer("POST /v1/jobs/j1:cancel", job("running", cancel_requested=True), 202)
    service.answer("GET /v1/jobs/j1/logs", {"lines": [{"line": "step 1 [red]"}]})
    service.answer("GET /v1/jobs/j1/metrics", {"name": "loss", "points": [{"step": 1, "value": -1.25}]})
    assert "ising 0.44" in run("jobs", "list", "--state", "running").out
    assert "cancel requested" in run("jobs", "cancel", "j1").out
    assert run("jobs", "logs", "j1").out == "step 1 [red]\n"
    assert "-1.25" in run("jobs", "metrics", "j1").out
    assert "20/20" in run("jobs", "watch", "j1").out
    told = [json.loads(line) for line in run("jobs", "watch", "j1", "--json").out.splitlines()]
    assert [entry["event"] for entry in told] == ["state", "progress", "metric", "state"]


def test_interrupting_a_watch_leaves_the_job_alone(run: Run, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    serve_job(service, "running")

    def interrupted(self: Client, job: object, on_event: Callable[[Event], None]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "wait", interrupted)
    ended = run("train", "--target", "ising", "--model", "made")
    assert (ended.code, ended.out) == (130, "")
    assert "helmholtz jobs watch j1" in ended.err
    assert "helmholtz jobs cancel j1" in ended.err
    assert not any("cancel" in name for name, _, _ in service.requests)


def test_serve_and_demo_call_the_launcher_and_pass_its_code_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def record(code: int) -> Callable[..., int]:
        def launch(*given: object) -> int:
            seen.append(given)
            return code

        return launch

    monkeypatch.setitem(sys.modules, "service.launcher.main", _module(serve=record(2)))
    monkeypatch.setitem(sys.modules, "service.launcher.demo", _module(run_demo=record(0)))
    assert run("serve").code == 2
    assert run("demo", "--png", "picture.png").code == 0
    assert seen == [(), (Path("picture.png"),)]


def test_without_the_server_serve_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "service.launcher.main", None)
    ended = run("serve")
    assert (ended.code, ended.out) == (2, "")
    assert "pip install 'helmholtz[server]'" in ended.err


def test_help_and_version(run: Run) -> None:
    assert "free-energy" in run("--help").out
    assert run("--version").out.startswith("helmholtz ")


def _module(**contents: object) -> types.ModuleType:
    made = types.ModuleType("stand_in")
    vars(made).update(contents)
    return made
