"""A model of one of two modes, published as a train job publishes it, is found out by the service."""

from typing import Any

import numpy as np
import pytest

from models_registry.artifacts import pack
from models_registry.blobs import BlobStore
from models_registry.database import Database
from models_registry.digests import canonical_digest
from models_registry.versions import VersionManifest, Versions
from tests.running_stack import RunningStack
from workers.jobs.specs import TrainJobSpec
from workers.kinds.evaluation import evaluated
from workers.settings import Settings
from zoo.catalog import build, build_objective, states_of
from zoo.core.models import Model
from zoo.core.spaces import build_space
from zoo.training.problem import Problem
from zoo.training.trainer import Trainer, train

BETA = 0.8
EXACT = -26.322173256960838  # 4x4 periodic, beta 0.8: by Kaufman and by enumeration
MADE: dict[str, Any] = {"family": "made", "width": 48}


def job(h: float) -> TrainJobSpec:
    return TrainJobSpec.model_validate(
        {
            "target": {"kind": "ising", "shape": [4, 4], "beta": BETA, "h": h},
            "model": MADE,
            "objective": {"kind": "reverse_kl", "symmetry_penalty": 0},
            "training": {"batch_size": 300, "max_steps": 200, "learning_rate": 0.02, "seed": 1},
            "publish": {"model": "one-sign"},
        }
    )


def trainer_of(spec: TrainJobSpec) -> Trainer:
    assert spec.target is not None
    state_at = states_of(spec.target)
    problem = Problem(state_at({}), None, spec.condition_on, state_at)
    return Trainer(build_objective(spec.principle), problem, spec.training)


@pytest.fixture(scope="module")
def one_sign() -> Model:
    """Weights pushed to one sign: learnt in a field that makes the other mode e^-25 times as probable."""
    spec = job(h=0.5)
    assert spec.target is not None
    trainer = trainer_of(spec)
    start = trainer.init(build(spec.model, build_space(spec.target.space), seed=1))
    *_, (final, _) = train(trainer, start)
    assert isinstance(final.model, Model)
    return final.model


def publish(stack: RunningStack, model: Model, metrics: dict[str, Any]) -> None:
    """A version of the model, as of one trained without the field."""
    spec, settings = job(h=0.0), Settings(data_dir=stack.data_dir)
    assert spec.target is not None
    target = spec.target.model_dump(mode="json")
    manifest = VersionManifest(
        model="one-sign",
        job_id="job-one-sign",
        target=target,
        space=spec.target.space.model_dump(mode="json"),
        model_spec=spec.model.model_dump(mode="json"),
        objective=spec.principle.model_dump(mode="json"),
        training=spec.training.model_dump(mode="json"),
        seed=1,
        metrics=metrics,
        target_digest=canonical_digest(target),
        libraries={},
    )
    arrays = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    data, blobs = pack(arrays, manifest.model_dump(mode="json")), BlobStore(settings.resolved_artifact_url)
    database = Database(settings.resolved_database_url)
    with database.transaction() as connection:
        Versions(database, blobs).publish(connection, manifest, blobs.put(data), len(data))
    database.dispose()


def test_a_missing_mode_is_found_out_though_the_weights_look_perfect(stack: RunningStack, one_sign: Model) -> None:
    spec = job(h=0.0)
    metrics = evaluated(trainer_of(spec), one_sign, spec)
    publish(stack, one_sign, metrics)
    with stack.client() as client:
        found = client.free_energy("one-sign", n=10_000, seed=1)
    assert found.beta_f is not None
    assert found.beta_f - EXACT == pytest.approx(np.log(2), abs=0.05)  # half of Z is missing
    assert (found.diagnostics.effective_sample_fraction or 0) > 0.7  # and the weights do not know it
    assert metrics["forward_effective_sample_fraction"] < 1e-3
    assert metrics["forward_checks"][0]["unseen_fraction"] == pytest.approx(0.5, abs=0.2)
    assert not found.diagnostics.reliable
    (warning,) = found.diagnostics.warnings
    assert "a mode seems to be missing" in warning
    assert "2000 Monte Carlo samples of the target (swendsen_wang)" in warning
    assert "10000 samples of the model" in warning
    assert "chains have not converged" in warning


def test_the_check_is_a_function_of_the_seed(one_sign: Model) -> None:
    spec = job(h=0.0)
    first = evaluated(trainer_of(spec), one_sign, spec)
    assert evaluated(trainer_of(spec), one_sign, spec) == first
    other = spec.model_copy(update={"training": spec.training.model_copy(update={"seed": 2})})
    assert evaluated(trainer_of(spec), one_sign, other)["forward_checks"] != first["forward_checks"]


def test_in_its_own_field_the_same_model_lacks_nothing(one_sign: Model) -> None:
    spec = job(h=0.5)
    (check,) = evaluated(trainer_of(spec), one_sign, spec)["forward_checks"]
    assert check["sampler"] == "metropolis"
    assert check["unseen_fraction"] == 0
    assert check["forward_effective_sample_fraction"] == pytest.approx(check["effective_sample_fraction"], rel=0.1)
