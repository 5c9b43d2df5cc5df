"""Free energies along a coupling by a sweep of flows and by one conditioned on it, beside the exact ones."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.running_stack import RunningStack
from zoo.catalog import build_target
from zoo.core.targets import HasExactFreeEnergy
from zoo.specs.targets.phi4 import Phi4Spec

COUPLINGS = [6.0, 8.0, 10.0]
FIELD: dict[str, Any] = {"kind": "phi4", "shape": [4, 4], "mass_squared": -4}
FLOW: dict[str, Any] = {
    "family": "spline_flow",
    "base": "free_field",
    "odd": True,
    "couplings": 4,
    "width": 24,
    "depth": 1,
}
TRAINING: dict[str, Any] = {"max_steps": 100, "batch_size": 256, "learning_rate": 0.01, "beta_anneal_steps": 0}
N = 10_000

Value = tuple[float, float]
"""beta_f and its standard error."""


def exact(coupling: float) -> float:
    target = build_target(Phi4Spec.model_validate(FIELD | {"coupling": coupling}))
    assert isinstance(target, HasExactFreeEnergy)
    reference = target.exact_reference(1.0)
    assert "transfer matrix" in reference.method
    return reference.beta_f


@pytest.fixture(scope="module")
def swept(stack: RunningStack) -> dict[float, Value]:
    """From one flow for each coupling."""
    train = {"target": FIELD, "model": FLOW, "training": TRAINING, "publish": {"model": "line"}}
    with stack.client() as client:
        ended = client.wait(client.sweep(train, {"target.coupling": COUPLINGS}), timeout=180)
        assert ended.state == "succeeded", ended.error
    versions = (ended.result or {})["versions"]
    assert [version["values"]["target.coupling"] for version in versions] == COUPLINGS
    return {coupling: asked(stack, of["model"], {}) for coupling, of in zip(COUPLINGS, versions, strict=True)}


@pytest.fixture(scope="module")
def conditioned(stack: RunningStack) -> dict[float, Value]:
    """From one flow for all of them."""
    job = {
        "kind": "train",
        "target": FIELD | {"coupling": 8.0},
        "model": FLOW | {"condition_on": {"coupling": [6, 10]}},
        "training": TRAINING | {"max_steps": 200},
        "publish": {"model": "whole-line"},
    }
    with stack.client() as client:
        ended = client.wait(client.submit(job), timeout=180)
        assert ended.state == "succeeded", ended.error
    return {coupling: asked(stack, "whole-line", {"coupling": coupling}) for coupling in COUPLINGS}


def asked(stack: RunningStack, model: str, condition: dict[str, float]) -> Value:
    told = stack.post(f"/v1/models/{model}:freeEnergy", {"n": N, "seed": 7, "condition": condition}).json()
    assert told["exact"]["beta_f"] == pytest.approx(exact(condition.get("coupling", told_coupling(stack, model))))
    assert told["upper_bound"]["beta_f"] > told["exact"]["beta_f"] - 4 * told["upper_bound"]["standard_error"]
    assert told["diagnostics"]["reliable"], told["diagnostics"]["warnings"]
    return told["beta_f"], told["standard_error"]


def told_coupling(stack: RunningStack, model: str) -> float:
    with stack.client() as client:
        return float((client.version(model).target or {})["coupling"])


def test_the_sweep_gives_the_exact_free_energies_along_the_line(swept: dict[float, Value]) -> None:
    for coupling, (value, error) in swept.items():
        assert abs(value - exact(coupling)) < 4 * error
        assert error < 0.05


def test_one_flow_with_the_coupling_as_its_condition_gives_the_same_curve(
    swept: dict[float, Value], conditioned: dict[float, Value]
) -> None:
    for coupling in COUPLINGS:
        (one, its_error), (all_of_them, their_error) = swept[coupling], conditioned[coupling]
        assert abs(all_of_them - exact(coupling)) < 4 * their_error
        assert abs(one - all_of_them) < 4 * np.hypot(its_error, their_error)


def test_the_points_of_the_line_are_told_apart(conditioned: dict[float, Value]) -> None:
    values = [conditioned[coupling] for coupling in COUPLINGS]
    for (lower, first), (higher, second) in pairwise(values):
        assert higher - lower > 10 * np.hypot(first, second)  # beta_f rises with the coupling: E does
