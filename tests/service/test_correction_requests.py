"""Corrected samples at the door: what is refused and in which words, what the engine is asked, and how it is told."""

import asyncio
import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from models_registry.digests import canonical_digest
from models_registry.versions import VersionManifest
from service.context import Context
from service.costs import CostModel, num_rows
from service.rpc.answers import sample_diagnostics
from service.rpc.v1 import inference_pb2 as pb
from service.use_cases.submit_job import submit_spec
from tests.service.conftest import Ask
from tests.service.rpc_stage import Part, Stage, ToldEngine, play
from workers.jobs.specs import SampleJobSpec
from workers.settings import Settings
from zoo.specs.corrections import CHAIN_RULES, chain_plan, rows_evaluated
from zoo.specs.errors import CapabilityMissingError

FLOW = {"family": "realnvp", "couplings": 2, "width": 8}
TARGETS: dict[str, dict[str, Any]] = {
    "made": {"kind": "ising", "shape": [2, 2], "beta": 0.4},
    "flow": {"kind": "phi4", "shape": [2, 2], "mass_squared": 1.0, "coupling": 1.0},
}
CHAINS: Part = {
    "correction": "metropolis",
    "num_samples": 3,
    "independent": False,
    "acceptance_rate": 0.625,
    "autocorrelation_time": {"energy": 2.5, "magnetization": None},
    "r_hat": {"energy": 1.0078125, "magnetization": None},
    "effective_sample_size": 2.75,
    "num_chains": 8,
    "num_steps": 512,
    "burn_in": 128,
    "thin": 512,
    "reliable": False,
    "warnings": ["never changed along the chains"],
}
WEIGHTS: Part = {
    "correction": "importance",
    "num_samples": 3,
    "independent": True,
    "effective_sample_size": 2.5,
    "effective_sample_fraction": 0.8125,
    "pareto_k": None,
    "reliable": False,
    "warnings": ["3 samples are too few"],
}


def corrected(operation: str, payload: Part) -> list[Part]:
    """Three samples as an engine gives them: progress, rows in two parts, diagnostics."""
    assert operation == "sample_corrected"
    rows: Part = {"samples": np.arange(12, dtype=np.float32).reshape(3, 2, 2)}
    if payload["correction"] == "importance":
        rows["log_weight"] = np.array([0.5, -1.0, 2.0])
    halves = [{name: array[part] for name, array in rows.items()} for part in (slice(0, 2), slice(2, 3))]
    told = WEIGHTS if payload["correction"] == "importance" else CHAINS | {"correction": payload["correction"]}
    return [{"progress": {"fraction": 0.5}}, *halves, {"diagnostics": told, "compute_seconds": 0.25}]


def publish(context: Context, name: str, model: dict[str, Any], target: dict[str, Any] | None, kind: str) -> None:
    """A version whose weights nobody will read."""
    manifest = VersionManifest(
        model=name,
        job_id=f"job-{name}",
        target=target,
        space={"kind": kind, "event_shape": [2, 2]},
        model_spec=model,
        objective={},
        training={},
        seed=1,
        metrics={},
        target_digest=canonical_digest(target),
        libraries={},
    )
    with context.database.transaction() as connection:
        context.versions.publish(connection, manifest, "0" * 64, 1)


@pytest.fixture(autouse=True)
def _published(context: Context) -> None:
    publish(context, "made", {"family": "made"}, TARGETS["made"], "spins")
    publish(context, "flow", FLOW, TARGETS["flow"], "reals")
    publish(context, "bethe", {"family": "bethe"}, TARGETS["made"], "spins")
    publish(context, "data", {"family": "made"}, None, "spins")
    conditioned = FLOW | {"condition_on": {"mass_squared": [0.5, 2.0]}}
    publish(context, "conditioned", conditioned, TARGETS["flow"], "reals")


@pytest.fixture
def engine(context: Context) -> ToldEngine:
    told = ToldEngine(corrected)
    context.engine = told  # type: ignore[assignment]  # as much of it as is used
    return told


def asked(ask: Ask, model: str, headers: dict[str, str] | None = None, **body: object) -> httpx.Response:
    return ask("POST", f"/v1/models/{model}:sample", json={"n": 3} | body, headers=headers or {})


@pytest.mark.parametrize(
    ("model", "correction", "status", "reason", "words"),
    [
        ("flow", "magic", 422, "INVALID_VALUE", "latent_hmc"),
        ("flow", 3, 422, "INVALID_VALUE", "metropolis"),
        ("made", "latent_hmc", 409, "CAPABILITY_MISSING", "'metropolis' and 'importance' work"),
        ("data", "importance", 409, "CAPABILITY_MISSING", "learnt from data alone"),
        ("data", "metropolis", 409, "CAPABILITY_MISSING", "leave the correction out"),
        ("bethe", "metropolis", 409, "CAPABILITY_MISSING", "sampling 'none'"),
        ("nobody", "metropolis", 404, "NOT_FOUND", "nobody"),
    ],
)
def test_what_cannot_be_corrected_is_refused_in_words(
    ask: Ask, engine: ToldEngine, model: str, correction: object, status: int, reason: str, words: str
) -> None:
    answer = asked(ask, model, correction=correction)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason), answer.text
    assert words in answer.text
    assert engine.asked == []


@pytest.mark.parametrize("correction", ["importance", "metropolis", "latent_hmc"])
def test_too_many_samples_are_refused(ask: Ask, engine: ToldEngine, correction: str) -> None:
    answer = asked(ask, "flow", n=1001, correction=correction)  # of four sites; 4000 numbers are allowed
    assert (answer.status_code, answer.json()["reason"]) == (422, "LIMIT_EXCEEDED")
    assert "1000" in answer.text
    assert engine.asked == []


@pytest.mark.parametrize("correction", ["importance", "metropolis", "latent_hmc"])
def test_the_engine_is_asked_and_what_it_tells_is_in_the_answer(ask: Ask, engine: ToldEngine, correction: str) -> None:
    answer = asked(ask, "flow", seed=5, correction=correction)
    assert answer.status_code == 200, answer.text
    body, expected = answer.json(), corrected("sample_corrected", {"correction": correction})[-1]["diagnostics"]
    assert body["diagnostics"] == expected
    assert np.array(body["samples"]).shape == (3, 2, 2)
    assert body.get("log_weight") == ([0.5, -1.0, 2.0] if correction == "importance" else None)
    ((operation, payload, _),) = engine.asked
    assert operation == "sample_corrected"
    assert payload["correction"] == correction
    assert (payload["n"], payload["seed"], payload["condition"]) == (3, 5, {})


def test_plain_samples_are_asked_for_as_before(ask: Ask, engine: ToldEngine) -> None:
    engine.answer = lambda *_: [{"samples": np.zeros((3, 2, 2), np.float32), "compute_seconds": 0.0}]
    body = asked(ask, "flow", correction="none").json()
    assert body["diagnostics"] == {"num_samples": 3, "independent": True, "warnings": []}
    ((operation, payload, _),) = engine.asked
    assert (operation, "correction" in payload) == ("sample", False)


def test_conditions_are_passed_on_and_doubts_about_them_come_first(ask: Ask, engine: ToldEngine) -> None:
    body = asked(ask, "conditioned", correction="metropolis", condition={"mass_squared": 2.1}).json()
    assert engine.asked[0][1]["condition"] == body["condition"] == {"mass_squared": 2.1}
    outside, own = body["diagnostics"]["warnings"]
    assert "outside the range 0.5 to 2" in outside
    assert own == CHAINS["warnings"][0]


def test_one_array_is_enough_for_chains_and_not_for_weights(ask: Ask, engine: ToldEngine) -> None:
    npy = {"Accept": "application/x-npy"}
    refused = asked(ask, "flow", npy, correction="importance")
    assert (refused.status_code, refused.json()["reason"]) == (406, "ONE_ARRAY_ONLY")
    assert "log_weight" in refused.text
    answer = asked(ask, "flow", npy, correction="latent_hmc")
    assert np.load(io.BytesIO(answer.content)).shape == (3, 2, 2)
    assert json.loads(answer.headers["x-diagnostics"]) == CHAINS | {"correction": "latent_hmc"}
    assert answer.headers["x-independent"] == "false"
    zipped = asked(ask, "flow", {"Accept": "application/x-npz"}, correction="importance")
    with np.load(io.BytesIO(zipped.content)) as arrays:
        assert set(arrays) == {"samples", "log_weight"}
    assert json.loads(zipped.headers["x-diagnostics"]) == WEIGHTS


def test_a_long_question_becomes_a_job_with_its_correction(
    ask: Ask, engine: ToldEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything was answered the nominal cost counts: chains take so much longer than samples."""
    engine.costs.introduce("flow", 1, 1e-3)
    monkeypatch.setattr(CostModel, "introduce", lambda *_: None)  # the nominal cost of this tiny flow
    assert asked(ask, "flow", {"Prefer": "wait=3"}, correction="importance").status_code == 200
    answer = asked(ask, "flow", {"Prefer": "wait=3"}, correction="metropolis")  # 5,120 rows
    assert answer.status_code == 202, answer.text
    assert answer.json()["spec"]["correction"] == "metropolis"
    assert asked(ask, "flow", {"Prefer": "wait=10"}, correction="metropolis").status_code == 200
    assert asked(ask, "flow", {"Prefer": "respond-async"}, correction="latent_hmc").status_code == 202
    assert [operation for operation, _, _ in engine.asked] == ["sample_corrected"] * 2


def test_a_job_is_refused_for_the_same_reasons(context: Context) -> None:
    with pytest.raises(CapabilityMissingError, match="'metropolis' and 'importance' work"):
        submit_spec(context, SampleJobSpec(model="made", n=3, correction="latent_hmc"), "me", None)
    with pytest.raises(CapabilityMissingError, match="learnt from data alone"):
        submit_spec(context, SampleJobSpec(model="data", n=3, correction="importance"), "me", None)


# ---- what it costs


@pytest.mark.parametrize("n", [1, 512, 4096, 4097, 100_000])
def test_the_rows_of_chains_are_those_that_are_evaluated(n: int) -> None:
    plan = chain_plan(CHAIN_RULES["metropolis"], n)
    assert plan.groups * plan.chains * plan.draws >= n
    assert (plan.groups - 1) * plan.chains * 1024 < n
    assert plan.steps >= 512
    rows = plan.groups * plan.chains * (plan.burn_in + plan.steps)
    assert rows_evaluated("metropolis", n) == rows == num_rows("sample_corrected", {"n": n, "correction": "metropolis"})
    assert rows_evaluated("latent_hmc", n) > n * 3 * 5
    assert rows_evaluated("importance", n) == rows_evaluated("none", n) == n


def test_each_correction_has_a_price_of_its_own() -> None:
    costs, payload = CostModel(), {"model": "flow", "version": 1, "n": 4096}
    costs.introduce("flow", 1, 1e-5)
    nominal = costs.seconds("sample_corrected", payload | {"correction": "latent_hmc"})
    assert nominal == pytest.approx(1e-5 * rows_evaluated("latent_hmc", 4096))
    costs.learn("sample_corrected", payload | {"correction": "latent_hmc"}, 7.0)
    assert costs.seconds("sample_corrected", payload | {"correction": "latent_hmc"}) == pytest.approx(7.0)
    assert not costs.knows("sample_corrected", payload | {"correction": "metropolis"})
    assert not costs.knows("sample", payload)


# ---- gRPC


def chunks_of(settings: Settings, told: ToldEngine, **fields: Any) -> list[pb.SampleChunk]:  # noqa: ANN401 - a message's own
    async def scene(stage: Stage) -> list[pb.SampleChunk]:
        request = pb.SampleRequest(model=pb.ModelReference(model="made"), n=3, seed=5, **fields)
        return [chunk async for chunk in stage.inference.Sample(request)]

    found: list[pb.SampleChunk] = play(settings, scene, told)
    return found


def test_diagnostics_come_with_the_last_message(lonely_settings: Settings) -> None:
    told = ToldEngine(corrected)
    *before, last = chunks_of(lonely_settings, told, correction="metropolis")
    assert not any(chunk.HasField("diagnostics") for chunk in before)
    assert last.last
    assert last.diagnostics == sample_diagnostics(CHAINS)
    assert last.diagnostics.autocorrelation_time == {"energy": 2.5}
    assert (last.diagnostics.acceptance_rate, last.diagnostics.num_chains) == (0.625, 8)
    assert told.asked[0][1]["correction"] == "metropolis"
    weighed = chunks_of(lonely_settings, ToldEngine(corrected), correction="importance")[-1]
    assert weighed.diagnostics.effective_sample_size == 2.5
    assert not weighed.diagnostics.HasField("pareto_k")
    assert weighed.log_weight.shape == [3]


def test_plain_messages_have_no_diagnostics(lonely_settings: Settings) -> None:
    plain: Callable[..., list[Part]] = lambda *_: [{"samples": np.zeros((3, 4, 4), np.int8), "compute_seconds": 0.0}]  # noqa: E731
    (chunk,) = chunks_of(lonely_settings, ToldEngine(plain))
    assert not chunk.HasField("diagnostics")


def test_a_client_that_goes_ends_the_chains(lonely_settings: Settings) -> None:
    told = replace(ToldEngine(lambda *_: [{"progress": {"fraction": 0.1}}]), endless=True)

    async def scene(stage: Stage) -> None:
        call = stage.inference.Sample(
            pb.SampleRequest(model=pb.ModelReference(model="made"), n=3, correction="metropolis")
        )
        while not stage.engine.asked:
            await asyncio.sleep(0.01)
        call.cancel()
        await asyncio.wait_for(stage.engine.left.wait(), 2)

    play(lonely_settings, scene, told)
    assert not told.finished
