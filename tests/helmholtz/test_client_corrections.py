"""Corrected samples through the client and the command line: what is asked, and how the diagnostics are shown."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from helmholtz import Client, UnexpectedAnswerError
from helmholtz.cli import main
from helmholtz.cli.display import sample_facts
from helmholtz.results import SampleResult
from tests.helmholtz.conftest import FakeService

Scripted = Callable[..., tuple[Client, list[httpx.Request], list[float]]]
Run = Callable[..., tuple[int, str, str]]
FIELDS = np.array([[0.5, -1.25], [0.5, -1.25]], dtype=np.float32)
CHAINS: dict[str, Any] = {
    "correction": "metropolis",
    "num_samples": 2,
    "independent": False,
    "acceptance_rate": 0.625,
    "autocorrelation_time": {"energy": 2.5, "magnetization": None},
    "r_hat": {"energy": 1.0078125, "magnetization": None},
    "effective_sample_size": 1.75,
    "num_chains": 8,
    "num_steps": 512,
    "burn_in": 128,
    "thin": 512,
    "reliable": False,
    "warnings": ["the magnetization never changed"],
}
WEIGHTS: dict[str, Any] = {
    "correction": "importance",
    "num_samples": 2,
    "independent": True,
    "effective_sample_size": 1.5,
    "effective_sample_fraction": 0.75,
    "pareto_k": 0.3,
    "reliable": True,
    "warnings": [],
}


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def headers(kind: str, told: dict[str, Any]) -> dict[str, str]:
    return {
        "Content-Type": f"application/x-{kind}",
        "X-Seed": "7",
        "X-Model-Version": "3",
        "X-Warnings": json.dumps(told["warnings"]),
        "X-Diagnostics": json.dumps(told),
    }


@pytest.fixture
def run(service: FakeService, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line against ``service``: its code, stdout and stderr."""
    monkeypatch.setenv("HELMHOLTZ_URL", service.url)

    def call(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err + out
        return int(ended.value.code or 0), out, err

    return call


def scripted_answer(service: FakeService, kind: str, told: dict[str, Any], content: bytes) -> None:
    """The service answers with ``content``, and says the rest in headers."""
    named: dict[str, Any] = {name.replace("-", "_"): text for name, text in headers(kind, told).items()}
    service.answer("POST /v1/models/flow:sample", content, **named)


def test_the_diagnostics_of_chains_are_in_a_header(scripted: Scripted) -> None:
    client, requests, _ = scripted(httpx.Response(200, content=npy(FIELDS), headers=headers("npy", CHAINS)))
    result = client.sample("flow", n=2, seed=7, correction="metropolis")
    assert json.loads(requests[0].content) == {"n": 2, "seed": 7, "correction": "metropolis"}
    assert requests[0].headers["accept"] == "application/x-npy"
    assert result.diagnostics == CHAINS
    np.testing.assert_array_equal(result.samples, FIELDS)


def test_weights_travel_beside_the_samples(scripted: Scripted) -> None:
    weights = np.array([-0.5, 0.25])
    content = npz(samples=FIELDS, log_weight=weights)
    client, requests, _ = scripted(httpx.Response(200, content=content, headers=headers("npz", WEIGHTS)))
    result = client.sample("flow", n=2, correction="importance")
    assert requests[0].headers["accept"].startswith("application/x-npz,")
    assert result.diagnostics == WEIGHTS
    np.testing.assert_array_equal(np.asarray(result.log_weight), weights)


def test_diagnostics_that_are_no_json_are_not_read(scripted: Scripted) -> None:
    broken = headers("npy", CHAINS) | {"X-Diagnostics": "fine"}
    client, _, _ = scripted(httpx.Response(200, content=npy(FIELDS), headers=broken))
    with pytest.raises(UnexpectedAnswerError, match="X-Diagnostics"):
        client.sample("flow", n=2, correction="metropolis")


def test_the_command_line_shows_how_well_chains_have_mixed(run: Run, service: FakeService) -> None:
    scripted_answer(service, "npy", CHAINS, npy(FIELDS))
    code, out, err = run("sample", "flow", "-n", "2", "--correction", "metropolis")
    assert code == 0, err
    for words in (
        "metropolis",
        "0.625",
        "energy 2.5 steps, magnetization unknown",
        "energy 1.0078, magnetization unknown",
        "8 of 512 steps after 128",
        "1.8 of 2",
        "NO",
        "the magnetization never changed",
    ):
        assert words in out, (words, out)
    assert json.loads(service.requests[0][2])["correction"] == "metropolis"
    _, shown, _ = run("sample", "flow", "-n", "2", "--correction", "metropolis", "--json")
    assert json.loads(shown)["diagnostics"] == CHAINS


def test_weights_are_written_beside_the_samples(run: Run, service: FakeService, tmp_path: Path) -> None:
    content = npz(samples=FIELDS, log_weight=np.array([-0.5, 0.25]))
    scripted_answer(service, "npz", WEIGHTS, content)
    file = tmp_path / "samples.npz"
    code, out, err = run("sample", "flow", "-n", "2", "--correction", "importance", "--out", file)
    assert code == 0, err
    with np.load(file) as arrays:
        assert set(arrays) == {"samples", "log_weight"}
    assert "1.5 of 2" in out
    code, _, err = run("sample", "flow", "--correction", "importance", "--out", tmp_path / "samples.npy")
    assert code == 2
    assert "samples.npz" in err


def test_an_unknown_correction_is_refused_before_anything_is_asked(run: Run, service: FakeService) -> None:
    code, _, err = run("sample", "flow", "--correction", "magic")
    assert code == 2
    assert "latent_hmc" in err
    assert service.requests == []


def test_plain_samples_have_no_line_about_corrections() -> None:
    result = SampleResult.read({"samples": FIELDS, "model": "flow", "version": 1, "diagnostics": {"warnings": []}})
    names = [str(cell) for cell in sample_facts(result, None).columns[0].cells]
    assert "correction" not in names
    assert "acceptance" not in names
