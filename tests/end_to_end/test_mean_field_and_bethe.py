"""Mean field and Bethe through the service: solved as a job, published, and asked for what they know and what not."""

from typing import Any

import pytest

from helmholtz import FreeEnergyResult
from tests.running_stack import RunningStack
from zoo.catalog import build_target
from zoo.core.targets import HasExactFreeEnergy
from zoo.specs.targets.ising import IsingSpec

CHAIN = {"kind": "ising", "shape": [12], "periodic": False, "beta": 0.8, "h": 0.1}
SQUARE = {"kind": "ising", "shape": [4, 4], "beta": 0.5}
JOBS: dict[str, dict[str, Any]] = {
    "bethe-chain": {"target": CHAIN, "model": {"family": "bethe"}},
    "bethe-square": {"target": SQUARE, "model": {"family": "bethe"}},
    "mean-field-chain": {"target": CHAIN, "model": {"family": "mean_field"}},
    "mean-field-square": {"target": SQUARE, "model": {"family": "mean_field"}},
    "mean-field-trained": {
        "target": SQUARE,
        "model": {"family": "mean_field", "solution": "trained"},
        "objective": {"kind": "reverse_kl", "gradient": "measure_valued"},
        "training": {"batch_size": 50, "max_steps": 400, "learning_rate": 0.05, "beta_anneal_steps": 0},
    },
}


def exact(target: dict[str, Any], beta: float | None = None) -> float:
    spec = IsingSpec.model_validate(target)
    system = build_target(spec)
    assert isinstance(system, HasExactFreeEnergy)
    return system.exact_beta_f(spec.beta if beta is None else beta)


@pytest.fixture(scope="module")
def versions(stack: RunningStack) -> dict[str, dict[str, Any]]:
    """The metrics of each version, by model."""
    found = {}
    with stack.client() as client:
        jobs = {name: client.submit({"kind": "train", **job, "publish": {"model": name}}) for name, job in JOBS.items()}
        for name, job in jobs.items():
            ended = client.wait(job, timeout=120)
            assert ended.state == "succeeded", ended.error
            found[name] = dict(client.version(name).metrics)
    return found


def free_energy(stack: RunningStack, model: str, **asked: Any) -> FreeEnergyResult:  # noqa: ANN401 - of a request
    with stack.client() as client:
        return client.free_energy(model, **asked)


def test_on_a_chain_bethe_is_exact_and_says_so(stack: RunningStack, versions: dict[str, dict[str, Any]]) -> None:
    metrics = versions["bethe-chain"]
    assert metrics["is_tree"]
    assert metrics["converged"]
    assert metrics["beta_f"] == pytest.approx(exact(CHAIN), abs=1e-10)
    assert metrics["exact"]["beta_f"] == pytest.approx(exact(CHAIN), abs=1e-10)
    told = free_energy(stack, "bethe-chain")
    assert told.beta_f == pytest.approx(exact(CHAIN), abs=1e-10)
    assert told.diagnostics.reliable
    assert told.standard_error is not None
    assert told.standard_error < 1e-11
    assert told.upper_bound is None
    assert told.diagnostics.num_samples == 0
    assert told.method == "bethe"
    assert told.exact is not None


def test_with_loops_it_is_no_bound_and_not_reliable(stack: RunningStack, versions: dict[str, dict[str, Any]]) -> None:
    metrics = versions["bethe-square"]
    assert not metrics["is_tree"]
    assert metrics["converged"]
    assert not metrics["reliable"]
    assert metrics["magnetization"] > 0.9
    body = stack.post("/v1/models/bethe-square:freeEnergy", {}).json()
    assert body["beta_f"] == pytest.approx(metrics["beta_f"], abs=1e-12)
    assert body["standard_error"] is None
    assert body["diagnostics"]["reliable"] is False
    assert "neither exact nor a bound" in body["diagnostics"]["warnings"][0]
    assert "upper_bound" not in body
    assert abs(body["beta_f"] - exact(SQUARE)) < 1


@pytest.mark.parametrize("beta", [0.1, 0.8, 2.5])
@pytest.mark.usefixtures("versions")
def test_bethe_answers_at_any_beta(stack: RunningStack, beta: float) -> None:
    told = free_energy(stack, "bethe-chain", beta=beta)
    assert told.beta_f == pytest.approx(exact(CHAIN, beta), abs=1e-10)
    assert told.f == pytest.approx(exact(CHAIN, beta) / beta, abs=1e-9)
    assert told.exact is not None
    assert told.exact.beta_f == pytest.approx(exact(CHAIN, beta), abs=1e-10)


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("sample", {"n": 4}),
        ("logLikelihood", {"samples": [[[1] * 4] * 4]}),
        ("freeEnergy", {"method": "importance"}),
        ("freeEnergyCurve", {"beta": [0.3, 0.4], "n": 100}),
    ],
)
@pytest.mark.usefixtures("versions")
def test_what_bethe_has_not_is_refused_naming_what_it_has(
    stack: RunningStack, verb: str, body: dict[str, object]
) -> None:
    answer = stack.post(f"/v1/models/bethe-square:{verb}", body)
    assert answer.status_code == 409, answer.text
    problem = answer.json()
    assert problem["reason"] == "CAPABILITY_MISSING"
    assert "bethe" in problem["detail"]
    assert "free energy" in problem["detail"] or "'auto'" in problem["detail"]


@pytest.mark.parametrize("name", ["mean-field-chain", "mean-field-square"])
def test_mean_field_is_a_model_like_others(stack: RunningStack, versions: dict[str, dict[str, Any]], name: str) -> None:
    metrics, target = versions[name], JOBS[name]["target"]
    assert metrics["converged"]
    assert metrics["beta_f"] > exact(target)
    assert metrics["start"] == "up"
    assert abs(metrics["variational_beta_f"] - metrics["beta_f"]) < 4 * metrics["standard_error"] + 1e-5
    told = free_energy(stack, name, method="variational", n=20_000, seed=1)
    assert told.standard_error is not None
    assert abs((told.beta_f or 0) - metrics["beta_f"]) < 4 * told.standard_error + 1e-5
    assert told.upper_bound is not None
    with stack.client() as client:
        drawn = client.sample(name, n=500, seed=2, include=["log_prob"])
        assert drawn.log_prob is not None
        again = client.log_likelihood(name, drawn.samples)
    assert again.log_likelihood == pytest.approx(drawn.log_prob, abs=1e-9)
    assert drawn.samples.mean() == pytest.approx(metrics["magnetization"], abs=0.1)


def test_training_finds_the_self_consistent_solution(versions: dict[str, dict[str, Any]]) -> None:
    trained, solved = versions["mean-field-trained"], versions["mean-field-square"]
    assert trained["variational_beta_f"] >= solved["beta_f"] - 4 * trained["standard_error"]
    assert trained["variational_beta_f"] == pytest.approx(solved["beta_f"], abs=0.05 + 4 * trained["standard_error"])


@pytest.mark.usefixtures("versions")
def test_the_catalogue_tells_what_they_can(stack: RunningStack) -> None:
    families = {f["family"]: f for f in stack.get("/v1/zoo/models").json()["models"]}
    assert families["bethe"]["capabilities"]["sampling"] == "none"
    assert families["bethe"]["capabilities"]["log_likelihood"] == "none"
    assert families["mean_field"]["capabilities"]["sampling"] == "direct-parallel"


@pytest.mark.usefixtures("versions")
def test_a_stored_estimate_without_samples_is_read_back(stack: RunningStack) -> None:
    free_energy(stack, "bethe-chain", seed=3)
    stored = stack.get("/v1/free-energies?model=bethe-chain").json()
    (newest, *_) = stored["free_energies"]
    assert newest["num_samples"] == 0
    assert newest["method"] == "bethe"


def test_a_job_that_cannot_be_solved_is_refused(stack: RunningStack) -> None:
    job = {"kind": "train", "target": {"kind": "potts", "shape": [3, 3], "q": 3}, "model": {"family": "bethe"}}
    answer = stack.post("/v1/jobs", job)
    assert answer.status_code == 422
    assert "sum over pairs" in answer.text
