"""Flows of targets with two modes, as train jobs make them: each sign has its half, and one that is lost is told."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from models_registry.artifacts import unpack
from models_registry.blobs import BlobStore
from models_registry.database import Database
from models_registry.datasets import Datasets
from models_registry.migrate import migrate
from models_registry.records import VersionManifest, VersionRecord
from models_registry.versions import Versions
from service.use_cases.estimate_free_energy import doubts_of, with_doubts
from service.use_cases.resolve import Condition
from workers.kinds.base import JobContext
from workers.kinds.evaluation import model_log_weights
from workers.kinds.train import Train
from workers.published_weights import load_weights
from workers.settings import Settings
from workers.trainer.checkpoints import CheckpointFolder
from zoo.catalog import AnyModel, AnyTarget, build_model, build_target
from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.targets import HasExactFreeEnergy, ThermodynamicState
from zoo.estimators.free_energy import importance_beta_f
from zoo.specs.datasets import LabelledSamples
from zoo.specs.estimate import Estimate
from zoo.specs.models.base import ModelSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import TargetSpec

_TARGETS: TypeAdapter[TargetSpec] = TypeAdapter(AnyTarget)
_MODELS: TypeAdapter[ModelSpec] = TypeAdapter(AnyModel)

WELL: dict[str, Any] = {"kind": "double_well", "a": 1.0, "b": 3.0}
"""Wells at -1.7 and 1.7, a barrier of 9 between them."""
BROKEN: dict[str, Any] = {"kind": "phi4", "shape": [4, 4], "mass_squared": -4, "coupling": 3.0}
"""Deep in the broken phase: a field of about +-0.8 on every site."""
REALNVP: dict[str, Any] = {"family": "realnvp", "couplings": 4, "width": 24, "depth": 1}
SPLINE: dict[str, Any] = {"family": "spline_flow", "couplings": 4, "width": 24, "depth": 1}
TRAINING: dict[str, Any] = {"batch_size": 256, "learning_rate": 0.01}
SCORES: dict[str, Any] = {"kind": "reverse_kl", "gradient": "score_function"}
"""What learns the weights of modes that are far apart in the fewest steps."""
ONE_SIGN: dict[str, Any] = {"kind": "reverse_kl", "symmetry_penalty": 0}

N = 20_000  # samples: 3 % are 8.5 standard deviations of a fraction of a half


@dataclass(frozen=True)
class Made:
    """A version, its model, and the system that it is of."""

    record: VersionRecord
    model: Model
    state: ThermodynamicState

    @property
    def positive(self) -> float:
        """The fraction of samples with a positive sign: of the first coordinate, or of the mean of the field."""
        x = self.model.sample(N, RandomStream(3)).flatten(1)
        sign = x[:, 0] if self.state.target.space.num_sites == 2 else x.mean(1)
        return float((sign > 0).double().mean())

    @property
    def exact(self) -> float:
        assert isinstance(self.state.target, HasExactFreeEnergy)
        return self.state.target.exact_beta_f(self.state.beta)

    def estimate(self) -> Estimate:
        """What the service says of the free energy, with the doubts it has about the version."""
        found = importance_beta_f(model_log_weights(self.model, self.state, seed=77))
        return with_doubts(found, doubts_of(self.record, Condition()))


class Workshop:
    """Train jobs in this process, and a registry of what they make."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data_dir=folder, train_threads=1)
        migrate(self.settings.resolved_database_url)
        self.database = Database(self.settings.resolved_database_url)
        self.blobs = BlobStore((folder / "artifacts").as_uri())
        self.versions = Versions(self.database, self.blobs)
        self.folder = folder

    def made(self, name: str, target: dict[str, Any], model: dict[str, Any], steps: int, **more: object) -> Made:
        """The version that a job makes."""
        job = {"kind": "train", "target": target, "model": model, "publish": {"model": name}} | more
        job["training"] = TRAINING | {"max_steps": steps}
        checkpoints = CheckpointFolder(self.folder / "checkpoints" / name)
        context = JobContext(name, job, self.settings, checkpoints, self.blobs, lambda _: None, lambda: False)
        outcome = Train().run(context)
        assert outcome.manifest is not None
        assert outcome.digest is not None
        assert outcome.size_bytes is not None
        manifest = VersionManifest.model_validate(outcome.manifest)
        with self.database.transaction() as connection:
            record = self.versions.publish(connection, manifest, outcome.digest, outcome.size_bytes)
        system = build_target(_TARGETS.validate_python(record.target))
        built = build_model(_MODELS.validate_python(record.model_spec), system.space, seed=0)
        load_weights(built, unpack(self.blobs.get(outcome.digest))[0], name)
        return Made(record, built, ThermodynamicState(system, 1.0))

    def positive_fields(self) -> str:
        """The id of a dataset of fields near the positive mode."""
        x = 0.8 + 0.25 * np.random.default_rng(1).standard_normal((2000, 4, 4)).astype(np.float32)
        data = LabelledSamples(SpaceSpec(kind="reals", event_shape=(4, 4)), x)
        return Datasets(self.database, self.blobs).store("positive", data, {"kind": "upload"}).id


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("modes"))


EVEN: dict[str, Any] = {
    "well, averaged over signs": (WELL, REALNVP | {"symmetry": "z2"}, 400),
    "well, by the penalty alone": (WELL, SPLINE, 300, SCORES),
    "field, averaged over signs": (BROKEN, SPLINE | {"symmetry": "z2"}, 250),
    "field, by the penalty alone": (BROKEN, SPLINE, 300),
}


@pytest.mark.parametrize("case", EVEN)
def test_both_signs_have_their_half(workshop: Workshop, case: str) -> None:
    target, model, steps, *objective = EVEN[case]
    made = workshop.made(
        f"even-{list(EVEN).index(case)}", target, model, steps, objective=objective[0] if objective else None
    )
    assert made.positive == pytest.approx(0.5, abs=0.03)
    told, metrics = made.estimate(), made.record.metrics
    assert told.standard_error is not None
    assert abs(told.value - made.exact) < 4 * told.standard_error
    assert not any("mode" in warning for warning in told.warnings)
    forward, reverse = metrics["forward_effective_sample_fraction"], metrics["effective_sample_fraction"]
    assert metrics["num_forward_samples"] == 2000
    assert 0 < forward <= 1
    if model["family"] == "spline_flow":  # the tails of an affine flow fall short of a well's
        assert 0.1 * reverse < forward


def well_of_one_sign(workshop: Workshop) -> Made:
    """Begun in the left well, which a tilt had made the only one, and trained on without the tilt."""
    workshop.made("left", WELL | {"c": 4.0}, REALNVP, 150)
    begin = {"model": "left", "version": 1}
    return workshop.made("still-left", WELL, REALNVP, 100, objective=ONE_SIGN, init_from=begin)


def field_of_one_sign(workshop: Workshop) -> Made:
    """Begun with the likelihood of positive fields, and trained on by the energy."""
    data = {"data": {"dataset": workshop.positive_fields()}, "objective": {"kind": "maximum_likelihood"}}
    workshop.made("positive", BROKEN, SPLINE, 150, **data)
    begin = {"model": "positive", "version": 1}
    return workshop.made("still-positive", BROKEN, SPLINE, 200, objective=ONE_SIGN, init_from=begin)


def test_a_well_that_hardly_counts_is_not_missing(workshop: Workshop) -> None:
    """Chains that begin in the upper well stay there; that it has e^-16 of the probability, tempered ones tell."""
    made = workshop.made("tilted", WELL | {"b": 4.0, "c": 4.0}, REALNVP, 150)
    assert made.positive < 1e-3
    assert made.record.metrics["forward_sampler"] == "parallel_tempering"
    assert made.record.metrics["forward_checks"][0]["unseen_fraction"] < 0.01
    told = made.estimate()
    assert not any("mode" in warning for warning in told.warnings)
    assert told.value == pytest.approx(made.exact, abs=0.02)


@pytest.mark.parametrize(("make", "sign"), [(well_of_one_sign, 0), (field_of_one_sign, 1)], ids=["well", "field"])
def test_a_flow_of_one_sign_is_told_though_its_weights_know_nothing(
    workshop: Workshop, make: Callable[[Workshop], Made], sign: int
) -> None:
    made = make(workshop)
    assert made.positive == pytest.approx(sign, abs=1e-3)
    told, metrics = made.estimate(), made.record.metrics
    assert told.value - made.exact == pytest.approx(np.log(2), abs=0.05)  # half of Z is missing
    assert metrics["effective_sample_fraction"] > 0.6
    assert metrics["forward_effective_sample_fraction"] < 1e-3
    assert not told.reliable
    assert any("a mode seems to be missing" in warning for warning in told.warnings)
    unmarked = importance_beta_f(model_log_weights(made.model, made.state, seed=77))
    assert not any("mode" in warning for warning in unmarked.warnings)  # only the target's own samples tell it
