"""Questions about a part, and training from data, as they travel: from the client and from the command line."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from helmholtz import Client, Dataset, InvalidArgumentError, InvalidValueError
from helmholtz.cli import main
from helmholtz.cli.progress import TrainingProgress
from helmholtz.events import Event

Scripted = Callable[..., tuple[Client, list[httpx.Request], list[float]]]
SPINS = np.array([[-1, 1], [1, 1]], dtype=np.int8)
MASK = np.array([True, False])
COMPLETED = {
    "samples": [[[-1, 1], [-1, -1]], [[1, 1], [1, -1]]],
    "exact": False,
    "log_marginal": [-0.5, -0.75],
    "standard_error": [0.01, None],
    "seed": 3,
    "model": "m",
    "version": 2,
    "diagnostics": {"num_proposals": 10, "effective_sample_size": [9.5, 4], "reliable": False, "warnings": ["few"]},
}


class Service(Protocol):
    url: str
    requests: list[tuple[str, dict[str, str], bytes]]

    def answer(self, route: str, body: object, status: int = 200, **headers: str) -> None: ...


def arrays(content: bytes) -> dict[str, NDArray[Any]]:
    return dict(np.load(io.BytesIO(content), allow_pickle=False))


def test_a_completion_travels_as_npz_with_the_rest_in_the_query(scripted: Scripted) -> None:
    client, requests, _ = scripted(httpx.Response(200, json=COMPLETED))
    result = client.complete("m", SPINS, MASK, n=2, seed=3, ref="best", proposals=10, condition={"label": 1})
    sent = requests[0]
    assert sent.url.path == "/v1/models/m/versions/best:complete"
    assert {name: json.loads(value) for name, value in sent.url.params.items()} == {
        "n": 2,
        "seed": 3,
        "proposals": 10,
        "condition": {"label": 1},
    }
    assert sent.headers["content-type"] == "application/x-npz"
    body = arrays(sent.content)
    assert body["samples"].dtype == np.int8
    np.testing.assert_array_equal(body["samples"], SPINS)
    np.testing.assert_array_equal(body["mask"], MASK)
    assert result.samples.shape == (2, 2, 2)
    assert np.isnan(result.standard_error[1])
    assert not result.exact
    assert not result.reliable


def test_a_mask_of_numbers_does_not_leave_the_client(scripted: Scripted) -> None:
    client, requests, _ = scripted()
    with pytest.raises(InvalidArgumentError, match="boolean"):
        client.complete("m", SPINS, [1, 0])
    assert not requests


def test_a_refusal_names_the_first_offender(scripted: Scripted) -> None:
    problem = {"title": "t", "status": 422, "detail": "samples[0][1] is 0", "reason": "INVALID_VALUE", "errors": []}
    client, _, _ = scripted(httpx.Response(422, json=problem))
    with pytest.raises(InvalidValueError, match=r"samples\[0\]\[1\] is 0"):
        client.complete("m", SPINS, MASK)


def test_the_probability_of_a_part_and_of_classes(scripted: Scripted) -> None:
    part = {
        "log_likelihood": [-0.5, -0.25],
        "kind": "estimate",
        "standard_error": [0.1, 0.2],
        "model": "m",
        "version": 1,
    }
    classes = {"log_likelihood": [-1.0], "label_posterior": [[0.25, 0.75]], "model": "m", "version": 1}
    client, requests, _ = scripted(httpx.Response(200, json=part), httpx.Response(200, json=classes))
    found = client.marginal_log_likelihood("m", SPINS, MASK, seed=4)
    assert found.kind == "estimate"
    assert found.standard_error is not None
    assert client.classify("m", SPINS).label_posterior.tolist() == [[0.25, 0.75]]
    assert [request.url.path for request in requests] == ["/v1/models/m:logLikelihood"] * 2
    assert dict(requests[0].url.params) == {"seed": "4"}
    assert dict(requests[1].url.params) == {"include": "label_posterior"}


def test_a_training_names_its_data(scripted: Scripted) -> None:
    queued = {"id": "j1", "kind": "train", "state": "queued"}
    dataset = Dataset.read({"id": "a" * 32, "name": "x", "space": {}, "num_samples": 3})
    client, requests, _ = scripted(*(httpx.Response(202, json=queued) for _ in range(2)))
    client.train(None, {"family": "made"}, data=dataset)
    client.train({"kind": "ising"}, {"family": "made"}, data={"builtin": "digits"})
    bodies = [json.loads(request.content) for request in requests]
    assert bodies[0] == {"kind": "train", "model": {"family": "made"}, "data": {"dataset": "a" * 32}}
    assert bodies[1]["data"] == {"builtin": "digits"}


def run(service: Service, monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setenv("HELMHOLTZ_URL", service.url)
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


def test_the_command_completes_a_file_into_a_file(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given, out = tmp_path / "known.npz", tmp_path / "completed.npy"
    np.savez(given, samples=SPINS, mask=MASK)
    service.answer("POST /v1/models/m:complete", COMPLETED)
    assert run(service, monkeypatch, "complete", "m", given, "-n", 2, "--set", "proposals=10", "--out", out) == 0
    assert "proposals=10" in service.requests[0][0]
    np.testing.assert_array_equal(arrays(service.requests[0][2])["mask"], MASK)
    assert np.load(out).tolist() == COMPLETED["samples"]
    told = capsys.readouterr().out
    assert "NO" in told
    assert "few" in told
    np.savez(given, samples=SPINS)
    assert run(service, monkeypatch, "complete", "m", given) != 0
    assert "'mask'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "data"), [("digits", {"builtin": "digits"}), ("a" * 32, {"dataset": "a" * 32}), ('{"x": 1}', {"x": 1})]
)
def test_the_command_trains_from_data(
    service: Service, monkeypatch: pytest.MonkeyPatch, word: str, data: dict[str, Any]
) -> None:
    service.answer("POST /v1/jobs", {"id": "j1", "kind": "train", "state": "queued", "spec": {"data": data}}, 202)
    assert run(service, monkeypatch, "learn", word, "--model", "made", "--detach") == 0
    assert json.loads(service.requests[0][2]) == {"kind": "train", "model": {"family": "made"}, "data": data}


def test_the_likelihood_of_held_out_data_is_shown_on_the_way() -> None:
    shown = TrainingProgress(Console(file=sys.stderr), "train")
    shown(Event(id="1", kind="metric", data={"step": 1, "loss": 30.5}))
    assert shown.numbers() == "loss 30.5000"
    shown(Event(id="2", kind="metric", data={"held_out_nll": 25.25}))
    assert shown.numbers() == "loss 30.5000  held-out NLL 25.2500"
