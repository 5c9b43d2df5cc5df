"""The three questions as they travel: paths, bodies, headers, and arrays back."""

import io
import json
from collections.abc import Callable

import httpx
import numpy as np
import pytest

from helmholtz import AnsweredAsJobError, Client, InvalidArgumentError, UnexpectedAnswerError

Scripted = Callable[..., tuple[Client, list[httpx.Request], list[float]]]
NPY = {"content-type": "application/x-npy"}


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


SPINS = np.array([[[-1, 1], [1, 1]], [[1, 1], [-1, -1]]], dtype=np.int8)


def test_samples_alone_travel_as_npy_with_their_origin_in_the_headers(scripted: Scripted) -> None:
    named = NPY | {"X-Model-Version": "3", "X-Model-Digest": "sha256:ab", "X-Seed": "7"}
    client, requests, _ = scripted(httpx.Response(200, content=npy(SPINS), headers=named))
    result = client.sample("ising-16", n=2, seed=7)
    assert requests[0].method == "POST"
    assert requests[0].url.path == "/v1/models/ising-16:sample"
    assert requests[0].headers["accept"] == "application/x-npy"
    assert json.loads(requests[0].content) == {"n": 2, "seed": 7}
    assert result.samples.dtype == np.int8
    np.testing.assert_array_equal(result.samples, SPINS)
    assert (result.model, result.version, result.seed, result.digest) == ("ising-16", 3, 7, "sha256:ab")
    assert result.log_prob is None


@pytest.mark.parametrize(("ref", "path"), [(3, "versions/3"), ("candidate", "versions/candidate")])
def test_a_reference_stands_between_model_and_verb(scripted: Scripted, ref: str | int, path: str) -> None:
    client, requests, _ = scripted(httpx.Response(200, content=npy(SPINS), headers=NPY))
    client.sample("m", n=2, ref=ref)
    assert requests[0].url.path == f"/v1/models/m/{path}:sample"


def test_samples_with_extras_travel_as_npz(scripted: Scripted) -> None:
    stream = io.BytesIO()
    np.savez(stream, samples=SPINS, log_prob=np.array([-1.5, -np.inf]))
    headers = {
        "content-type": "application/x-npz",
        "X-Seed": "7",
        "X-Warnings": '["far \\u03b2"]',
        "X-Model-Version": "3",
    }
    client, requests, _ = scripted(httpx.Response(200, content=stream.getvalue(), headers=headers))
    result = client.sample("m", n=2, include=("log_prob",))
    assert requests[0].headers["accept"].startswith("application/x-npz,")
    assert (result.seed, result.version, result.diagnostics) == (7, 3, {"warnings": ["far β"]})
    assert result.log_prob is not None
    np.testing.assert_array_equal(result.log_prob, [-1.5, -np.inf])
    np.testing.assert_array_equal(result.samples, SPINS)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", npy(SPINS)])
def test_a_broken_npz_answer_is_not_read(scripted: Scripted, content: bytes) -> None:
    client, _, _ = scripted(httpx.Response(200, content=content, headers={"content-type": "application/x-npz"}))
    with pytest.raises(UnexpectedAnswerError, match="npz"):
        client.sample("m", n=1, include=("log_prob",))


def test_headers_that_are_not_json_are_not_read(scripted: Scripted) -> None:
    client, _, _ = scripted(httpx.Response(200, content=npy(SPINS), headers=NPY | {"X-Warnings": "far"}))
    with pytest.raises(UnexpectedAnswerError, match="X-Warnings"):
        client.sample("m", n=1)


def test_samples_with_extras_may_travel_as_json(scripted: Scripted) -> None:
    body = {
        "samples": SPINS.tolist(),
        "log_prob": [-1.5, None],
        "energy": [-4.0, 0.0],
        "seed": 11,
        "model": "m",
        "version": 2,
        "diagnostics": {},
        "a_field_of_tomorrow": 1,
    }
    client, requests, _ = scripted(httpx.Response(200, json=body))
    result = client.sample("m", n=2, include=("log_prob", "energy"))
    assert "application/json" in requests[0].headers["accept"]
    assert json.loads(requests[0].content) == {"n": 2, "include": ["log_prob", "energy"]}
    assert result.samples.dtype == np.int8
    assert result.log_prob is not None
    np.testing.assert_array_equal(result.log_prob, [-1.5, np.nan])
    assert result.model_dump(mode="json")["log_prob"] == [-1.5, None]
    assert result.model_extra == {"a_field_of_tomorrow": 1}


def test_log_likelihood_sends_one_npy_array(scripted: Scripted) -> None:
    client, requests, _ = scripted(httpx.Response(200, json={"log_likelihood": [-2.0, -3.0], "kind": "exact"}))
    result = client.log_likelihood("m", SPINS, ref="production")
    assert requests[0].url.path == "/v1/models/m/versions/production:logLikelihood"
    assert requests[0].headers["content-type"] == "application/x-npy"
    np.testing.assert_array_equal(np.load(io.BytesIO(requests[0].content), allow_pickle=False), SPINS)
    np.testing.assert_array_equal(result.log_likelihood, [-2.0, -3.0])
    assert result.kind == "exact"


@pytest.mark.parametrize("samples", [[[1, -1], [1]], [["up"]], [None], np.array([1j])])
def test_what_is_not_an_array_of_numbers_is_refused_before_it_travels(scripted: Scripted, samples: object) -> None:
    client, requests, _ = scripted()
    with pytest.raises(InvalidArgumentError, match="samples must be"):
        client.log_likelihood("m", samples)  # type: ignore[arg-type]
    assert requests == []


def test_free_energy_with_its_evidence_and_the_truth_beside_it(scripted: Scripted) -> None:
    body = {
        "beta_f": -59.12,
        "standard_error": 0.01,
        "beta_f_per_site": -0.92375,
        "f": -134.4,
        "method": "importance",
        "upper_bound": {"beta_f": -59.0, "standard_error": 0.02},
        "diagnostics": {"num_samples": 10000, "effective_sample_fraction": 0.9, "reliable": True, "warnings": []},
        "exact": {"beta_f": -59.1, "method": "kaufman", "citation": "Kaufman 1949"},
        "version": 1,
        "seed": 5,
    }
    client, requests, _ = scripted(httpx.Response(200, json=body), timeout=45.0)
    result = client.free_energy("m", n=10000, seed=5, target_standard_error=0.01)
    assert requests[0].url.path == "/v1/models/m:freeEnergy"
    assert requests[0].headers["prefer"] == "wait=45"
    sent = {"method": "auto", "n": 10000, "seed": 5, "target_standard_error": 0.01}
    assert json.loads(requests[0].content) == sent
    assert result.deviation_in_sigma == pytest.approx(-2.0)
    assert result.upper_bound is not None
    assert result.upper_bound.beta_f == -59.0
    assert result.diagnostics.reliable


def test_a_search_that_takes_longer_than_the_client_waits_has_its_time(scripted: Scripted) -> None:
    client, requests, _ = scripted(httpx.Response(200, json={"beta_f": -1.0, "standard_error": 0.1, "method": "m"}))
    client.free_energy("m", target_standard_error=0.01, max_seconds=200)
    assert requests[0].headers["prefer"] == "wait=251"
    assert requests[0].extensions["timeout"]["read"] == 251


def test_an_unreliable_estimate_has_no_error_and_no_deviation(scripted: Scripted) -> None:
    body = {"beta_f": -1.0, "standard_error": None, "method": "importance", "exact": {"beta_f": -2.0}}
    client, _, _ = scripted(httpx.Response(200, json=body))
    assert client.free_energy("m").deviation_in_sigma is None


def test_a_request_turned_into_a_job_names_the_job(scripted: Scripted) -> None:
    client, _, _ = scripted(httpx.Response(202, json={"id": "j-9", "kind": "free_energy", "state": "queued"}))
    with pytest.raises(AnsweredAsJobError, match="j-9") as caught:
        client.free_energy("m", n=10**7)
    assert caught.value.job_id == "j-9"


@pytest.mark.parametrize("model", ["", "..", "."])
def test_a_name_that_would_be_another_path_is_refused(scripted: Scripted, model: str) -> None:
    client, requests, _ = scripted()
    with pytest.raises(InvalidArgumentError, match="name"):
        client.sample(model, n=1)
    assert requests == []


def test_a_name_is_escaped(scripted: Scripted) -> None:
    client, requests, _ = scripted(httpx.Response(200, content=npy(SPINS), headers=NPY))
    client.sample("a/b:c", n=2)
    assert requests[0].url.raw_path == b"/v1/models/a%2Fb%3Ac:sample"


def test_pickled_or_broken_answers_are_not_read(scripted: Scripted) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([object()], dtype=object), allow_pickle=True)
    for content in (buffer.getvalue(), b"\x93NUMPY", b""):
        client, _, _ = scripted(httpx.Response(200, content=content, headers=NPY))
        with pytest.raises(UnexpectedAnswerError, match="npy"):
            client.sample("m", n=1)


def test_energies_and_references(scripted: Scripted) -> None:
    target = {"kind": "ising", "shape": (2, 2), "beta": np.float64(0.44)}
    reference = {"beta_f": -3.5, "method": "kaufman", "citation": "Kaufman 1949"}
    client, requests, _ = scripted(httpx.Response(200, json={"energy": [-4, 0]}), httpx.Response(200, json=reference))
    np.testing.assert_array_equal(client.energy(target, SPINS).energy, [-4.0, 0.0])
    assert client.reference(target).beta_f == -3.5
    assert [r.url.path for r in requests] == ["/v1/targets:energy", "/v1/targets:reference"]
    plain = {"kind": "ising", "shape": [2, 2], "beta": 0.44}
    assert json.loads(requests[0].content) == {"target": plain, "samples": SPINS.tolist()}
    assert json.loads(requests[1].content) == {"target": plain}


def test_nan_is_refused_where_json_has_no_word_for_it(scripted: Scripted) -> None:
    client, requests, _ = scripted()
    with pytest.raises(InvalidArgumentError, match="JSON"):
        client.reference({"kind": "ising", "shape": [2, 2], "beta": float("nan")})
    assert requests == []


def test_an_answer_of_another_shape_is_said_to_be_one(scripted: Scripted) -> None:
    client, _, _ = scripted(httpx.Response(200, json={"energies": [1.0]}))
    with pytest.raises(UnexpectedAnswerError, match="energy: Field required"):
        client.energy({"kind": "ising"}, SPINS)
