"""Corrected samples of an engine: equal bits for equal questions, the target's averages, honest diagnostics."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.workers.corrected_cases import ISING, MODELS, joined, publish, question
from tests.workers.tiny_models import TinyRegistry
from workers.engine.models import WarmModels
from workers.engine.operations import Engine
from workers.jobs.specs import TrainJobSpec
from zoo.catalog import build_target
from zoo.estimators.weights import effective_sample_size, pareto_k
from zoo.samplers import independence_metropolis
from zoo.specs.corrections import CHAIN_RULES, chain_plan
from zoo.specs.errors import CapabilityMissingError

CPU = torch.device("cpu")
Array = NDArray[Any]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def engine(registry: TinyRegistry) -> Engine:
    for name in MODELS:
        publish(registry, name)
    return Engine(WarmModels(registry.versions, 4, CPU), CPU)


def ask(engine: Engine, *asked: Any) -> dict[str, Any]:  # noqa: ANN401 - what ``question`` takes
    return joined([part for part in engine.run("sample_corrected", question(*asked)) if part is not None])


CHAINED = [("flow", "metropolis"), ("made", "metropolis"), ("even", "latent_hmc")]


@pytest.mark.parametrize(("model", "correction"), CHAINED)
def test_the_same_question_has_the_same_bits_alone_and_beside_others(
    engine: Engine, registry: TinyRegistry, model: str, correction: str
) -> None:
    asked = (model, correction, 300, 7, "energy", "log_prob")
    alone = ask(Engine(WarmModels(registry.versions, 4, CPU), CPU), *asked)
    engines = {
        "ours": engine.run("sample_corrected", question(*asked)),
        "the same with another seed": engine.run("sample_corrected", question(model, correction, 300, 8)),
        "plain samples": engine.run("sample", question(model, "none", 5000)),
    }
    parts: dict[str, list[dict[str, Any]]] = {name: [] for name in engines}
    running = dict(engines)
    while running:  # in turns, as an engine's loop does
        for name in list(running):
            try:
                part = next(running[name])
            except StopIteration:
                del running[name]
                continue
            assert not torch.is_inference_mode_enabled()
            if part is not None:
                parts[name].append(part)
    beside, other = joined(parts["ours"]), joined(parts["the same with another seed"])
    assert beside["diagnostics"] == alone["diagnostics"]
    for name in ("samples", "energy", "log_prob"):
        assert beside[name].tobytes() == alone[name].tobytes(), name
    assert other["samples"].tobytes() != alone["samples"].tobytes()


@pytest.mark.parametrize(("model", "correction"), CHAINED)
def test_what_comes_with_the_states_belongs_to_them(engine: Engine, model: str, correction: str) -> None:
    found = ask(engine, model, correction, 130, 3, "energy", "log_prob")
    assert set(found) == {"samples", "energy", "log_prob", "diagnostics"}
    warm = engine.models.get(model, 1)
    x = torch.from_numpy(found["samples"])
    warm.state({}).target.space.validate(x)
    with torch.inference_mode():
        np.testing.assert_allclose(found["energy"], warm.state({}).target.energy(x).numpy(), rtol=1e-12)
        np.testing.assert_allclose(found["log_prob"], warm.density({}).log_prob(x).numpy(), atol=1e-4)
    assert len(x) == len(found["energy"]) == 130
    if correction == "metropolis":
        assert set(ask(engine, model, correction, 3, 3)) == {"samples", "diagnostics"}


@pytest.mark.parametrize("model", ["flow", "made"])
def test_importance_weights_belong_to_plain_samples(engine: Engine, model: str) -> None:
    found = ask(engine, model, "importance", 500, 4)
    plain = [part for part in engine.run("sample", question(model, "none", 500, 4, "log_prob", "energy")) if part]
    assert set(found) == {"samples", "log_weight", "diagnostics"}
    for name in ("samples", "log_weight"):
        assert found[name].tobytes() == np.concatenate([part[name] for part in plain]).tobytes(), name
    told = found["diagnostics"]
    assert told["effective_sample_size"] == effective_sample_size(found["log_weight"])
    assert told["pareto_k"] == pareto_k(found["log_weight"])
    assert (told["num_samples"], told["independent"]) == (500, True)
    few = ask(engine, model, "importance", 5)["diagnostics"]
    assert not few["reliable"]
    assert "5 samples are too few" in few["warnings"][0]


def test_states_have_the_averages_of_the_target_and_plain_samples_have_not(engine: Engine) -> None:
    target = build_target(TrainJobSpec.model_validate({"target": ISING, "model": MODELS["made"][1]}).target)  # type: ignore[arg-type]
    states = target.space.enumerate()  # type: ignore[attr-defined]  # spins have it
    energies = target.energy(states)
    exact = float(torch.softmax(-0.3 * energies, 0) @ energies)
    found = ask(engine, "made", "metropolis", 40_000, 2, "energy")
    tau = found["diagnostics"]["autocorrelation_time"]["energy"]
    error = found["energy"].std() * np.sqrt(tau / 40_000)
    assert abs(found["energy"].mean() - exact) < 4 * error
    plain = [part for part in engine.run("sample", question("made", "none", 40_000, 2, "energy")) if part is not None]
    assert abs(np.concatenate([part["energy"] for part in plain]).mean() - exact) > 10 * error


def test_a_flow_s_two_corrections_agree(engine: Engine) -> None:
    means, errors = [], []
    for model, correction in (("flow", "metropolis"), ("even", "latent_hmc")):
        found = ask(engine, model, correction, 8000, 5, "energy")
        told = found["diagnostics"]
        assert told["reliable"] == (not told["warnings"])
        means.append(found["energy"].mean())
        errors.append(found["energy"].std() * np.sqrt(told["autocorrelation_time"]["energy"] / 8000))
    assert abs(means[1] - means[0]) < 4 * np.hypot(*errors)


@pytest.mark.parametrize("n", [1, 7, 8193])
def test_chains_are_as_many_and_as_long_as_the_plan_says(engine: Engine, n: int) -> None:
    parts = [part for part in engine.run("sample_corrected", question("made", "metropolis", n)) if part is not None]
    told, plan = parts[-1]["diagnostics"], chain_plan(CHAIN_RULES["metropolis"], n)
    assert sum(len(part["samples"]) for part in parts if "samples" in part) == n
    assert told["num_chains"] == 8 * plan.groups
    assert (told["num_steps"], told["burn_in"], told["thin"]) == (plan.steps, plan.burn_in, plan.thin)
    assert plan.steps >= 512
    assert plan.groups == (2 if n == 8193 else 1)
    fractions = [part["progress"]["fraction"] for part in parts if "progress" in part]
    assert fractions == sorted(fractions)
    assert all(0 < fraction <= 1 for fraction in fractions)


def test_groups_are_independent_and_the_first_is_that_of_a_shorter_request(engine: Engine) -> None:
    longer = ask(engine, "made", "metropolis", 16_384, 3)["samples"]
    first, second = longer[:8192], longer[8192:]
    assert first.tobytes() == ask(engine, "made", "metropolis", 8192, 3)["samples"].tobytes()
    assert first.tobytes() != second.tobytes()


def test_samples_that_are_taken_far_apart_are_states_of_the_same_chains(engine: Engine) -> None:
    few, plan = ask(engine, "flow", "metropolis", 16, 3)["samples"], chain_plan(CHAIN_RULES["metropolis"], 16)
    many = ask(engine, "flow", "metropolis", 8 * plan.steps, 3)["samples"].reshape(plan.steps, 8, 2, 2)
    assert plan.thin == 256
    np.testing.assert_array_equal(few.reshape(2, 8, 2, 2), many[plan.thin - 1 :: plan.thin])


def test_a_request_can_be_given_up_between_blocks(engine: Engine) -> None:
    running = engine.run("sample_corrected", question("flow", "latent_hmc", 30_000))
    assert "progress" in (next(running) or {})
    running.close()
    assert not torch.is_inference_mode_enabled()
    assert ask(engine, "flow", "metropolis", 5)["samples"].shape == (5, 2, 2)


def test_a_conditioned_model_is_corrected_at_its_condition(engine: Engine) -> None:
    at = {"mass_squared": -0.5}
    ours = question("conditioned", "metropolis", 8000, 1, "energy")
    found = [joined(list(engine.run("sample_corrected", ours | {"condition": c}))) for c in (ours["condition"], at)]  # type: ignore[arg-type]
    squares = [float((answer["samples"].astype(np.float64) ** 2).mean()) for answer in found]
    assert squares[0] > 1.1 * squares[1], "a larger mass makes a narrower field"


def test_what_cannot_be_corrected_is_refused(engine: Engine) -> None:
    with pytest.raises(CapabilityMissingError, match="'metropolis' and 'importance' work"):
        ask(engine, "made", "latent_hmc", 5)


def test_chains_that_never_move_are_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(independence_metropolis, "acceptance_probability", lambda current, _: torch.zeros_like(current))
    told = ask(engine, "made", "metropolis", 500)["diagnostics"]
    assert not told["reliable"]
    assert told["acceptance_rate"] == 0
    assert (told["r_hat"]["energy"], told["autocorrelation_time"]["energy"]) == (None, None)
    assert told["effective_sample_size"] is None
    assert "never changed along the chains" in told["warnings"][0]


def test_models_that_other_operations_have_loaded_can_be_differentiated(engine: Engine) -> None:
    """Operations run in inference mode, where tensors are made that no gradient can go through."""
    list(engine.run("sample", question("flow", "none", 5)))
    running = engine.run("sample_corrected", question("flow", "latent_hmc", 5))
    assert "progress" in (next(running) or {})
    running.close()
