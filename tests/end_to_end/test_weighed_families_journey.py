"""Families without a likelihood through the service: training, samples, weights and free energies; refusals."""

from typing import Any

import numpy as np
import pytest

from tests.running_stack import RunningStack
from zoo.catalog import build_target
from zoo.core.targets import HasExactFreeEnergy
from zoo.specs.targets.phi4 import Phi4Spec

FIELD = {"kind": "phi4", "shape": [4, 4], "mass_squared": -4, "coupling": 8}
TRAINING = {"max_steps": 200, "batch_size": 128, "learning_rate": 0.01, "beta_anneal_steps": 0}
MODELS: dict[str, dict[str, Any]] = {
    "paths": {
        "family": "stochastic_flow", "base": "free_field", "blocks": 2, "couplings": 2, "width": 16, "depth": 1,
        "step": "hmc", "steps": 2, "leapfrogs": 3, "step_size": 0.15,
    },
    "more": {"family": "augmented_flow", "couplings": 4, "width": 32, "depth": 1, "scale": 0.4},
}  # fmt: skip


def exact() -> float:
    target = build_target(Phi4Spec.model_validate(FIELD))
    assert isinstance(target, HasExactFreeEnergy)
    return target.exact_beta_f(1.0)


@pytest.fixture(scope="module")
def versions(stack: RunningStack) -> dict[str, dict[str, Any]]:
    """The metrics of each version, by model."""
    found = {}
    with stack.client() as client:
        jobs = {
            name: client.submit(
                {"kind": "train", "target": FIELD, "model": model, "training": TRAINING, "publish": {"model": name}}
            )
            for name, model in MODELS.items()
        }
        for name, job in jobs.items():
            ended = client.wait(job, timeout=180)
            assert ended.state == "succeeded", ended.error
            found[name] = dict(client.version(name).metrics)
    return found


@pytest.mark.parametrize("name", MODELS)
def test_the_bound_holds_and_the_estimate_agrees(
    stack: RunningStack, versions: dict[str, dict[str, Any]], name: str
) -> None:
    known, metrics = exact(), versions[name]
    assert metrics["variational_beta_f"] > known - 4 * metrics["standard_error"]
    assert metrics["forward_effective_sample_fraction"] > 0
    told = stack.post(f"/v1/models/{name}:freeEnergy", {"n": 10_000, "seed": 5}).json()
    assert abs(told["beta_f"] - known) < 4 * told["standard_error"]
    assert told["upper_bound"]["beta_f"] > told["beta_f"]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.usefixtures("versions")
def test_samples_have_weights_and_no_likelihood(stack: RunningStack, name: str) -> None:
    path = f"/v1/models/{name}:sample"
    plain = stack.post(path, {"n": 40, "seed": 3}).json()
    weighed = stack.post(path, {"n": 40, "seed": 3, "correction": "importance"}).json()
    assert weighed["samples"] == plain["samples"]
    assert np.isfinite(weighed["log_weight"]).all()
    chains = stack.post(path, {"n": 64, "seed": 3, "correction": "metropolis"})
    assert chains.status_code == 200, chains.text
    assert 0 < chains.json()["diagnostics"]["acceptance_rate"] <= 1
    refused = stack.post(path, {"n": 4, "include": ["log_prob"]})
    assert refused.status_code == 409, refused.text
    assert "no likelihood to include" in refused.json()["detail"]
    for answer in (
        stack.post(f"/v1/models/{name}:logLikelihood", {"samples": plain["samples"]}),
        stack.post(path, {"n": 4, "correction": "latent_hmc"}),
    ):
        assert answer.status_code == 409, answer.text


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a symmetry by averaging": ({"model": {"family": "stochastic_flow", "symmetry": "z2"}}, "no likelihood to average"),
    "a condition": (
        {"model": {"family": "augmented_flow", "condition_on": {"coupling": [6, 10]}}}, "leave condition_on out",
    ),
    "a path-wise gradient": (
        {"model": MODELS["paths"], "objective": {"kind": "reverse_kl", "gradient": "path_wise"}},
        "needs a likelihood, and family 'stochastic_flow' has none",
    ),
    "an alpha divergence": (
        {"model": MODELS["more"], "objective": {"kind": "alpha_divergence", "alpha": 2}},
        "needs a likelihood, and family 'augmented_flow' has none",
    ),
    "spins": ({"model": MODELS["more"], "target": {"kind": "ising", "shape": [4, 4]}}, "the target lives on spins"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_at_submission(stack: RunningStack, case: str) -> None:
    job, why = REFUSED[case]
    answer = stack.post("/v1/jobs", {"kind": "train", "target": FIELD, **job})
    assert answer.status_code == 422, answer.text
    assert why in answer.json()["detail"]
