"""Train jobs that name a dataset or a version: what does not exist or does not fit is refused before it is queued."""

from typing import Any

import numpy as np
import pytest

from service.context import Context
from tests.service.conftest import Ask
from tests.workers.tiny_models import FAMILIES, TARGET, TinyRegistry
from workers.jobs.specs import TrainJobSpec
from workers.settings import Settings
from zoo.specs.datasets import LabelledSamples
from zoo.specs.spaces import SpaceSpec

MADE = {"family": "made"}


def stored(context: Context, n: int = 20, *, labels: bool = False, shape: tuple[int, ...] = (4, 4)) -> str:
    """The id of a new dataset of spins."""
    samples = np.random.default_rng(1).choice(np.array([-1, 1], dtype=np.int8), size=(n, *shape))
    classes = np.arange(n) % 3 if labels else None
    data = LabelledSamples(SpaceSpec(kind="spins", event_shape=shape), samples, classes)
    return context.datasets.store("spins", data, {"kind": "upload"}).id


def job(dataset: str, model: dict[str, Any] = MADE, **changed: object) -> dict[str, Any]:
    return {"data": {"dataset": dataset}, "model": model} | changed


def test_data_that_fits_is_queued(context: Context, ask: Ask) -> None:
    classes = MADE | {"condition_on": {"label": 3}}
    for document in (
        job(stored(context)),
        job(stored(context), target=TARGET),
        job(stored(context, labels=True), classes),
    ):
        assert ask("POST", "/v1/jobs", json=document).status_code == 202


@pytest.mark.parametrize(
    ("made", "changed", "message"),
    [
        (
            {},
            {"target": TARGET | {"shape": [3, 3]}},
            "the data is spins of shape [4, 4] and the target spins of shape [3",
        ),
        ({}, {"model": MADE | {"condition_on": {"label": 3}}}, "the data has no labels"),
        ({}, {"model": {"family": "continuous_autoregressive"}}, "the data lives on spins"),
        ({"n": 1}, {}, "at least 2 are needed"),
    ],
)
def test_data_that_does_not_fit_is_told(
    context: Context, ask: Ask, made: dict[str, Any], changed: dict[str, Any], message: str
) -> None:
    document = job(stored(context, **made), **changed)
    answer = ask("POST", "/v1/jobs", json=document)
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["path"] == "data.dataset"
    assert message in error["message"]
    swept = {"kind": "sweep", "train": document, "grid": {"training.seed": [1, 2]}}
    answer = ask("POST", "/v1/jobs", json=swept)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "train.data.dataset"
    assert ask("GET", "/v1/jobs").json()["jobs"] == []


def test_a_dataset_that_does_not_exist(context: Context, ask: Ask) -> None:
    exists = stored(context)
    answer = ask("POST", "/v1/jobs", json=job("0" * 32))
    assert (answer.status_code, answer.json()["reason"]) == (404, "DATASET_NOT_FOUND")
    assert exists in answer.json()["detail"]
    grid = {"data.dataset": [exists, "0" * 32]}
    assert ask("POST", "/v1/jobs", json={"kind": "sweep", "train": job(exists), "grid": grid}).status_code == 404
    assert ask("POST", "/v1/jobs", json=job("digits")).status_code == 422


def test_a_dataset_is_held_to_the_limits(context: Context, ask: Ask) -> None:
    answer = ask("POST", "/v1/jobs", json=job(stored(context, shape=(20, 20))))  # the fixture allows 300 sites
    assert answer.json()["reason"] == "LIMIT_EXCEEDED"
    assert answer.json()["errors"][0]["path"] == "data.dataset"


def test_a_training_begins_with_the_weights_of_a_version_of_the_same_model(context: Context, ask: Ask) -> None:
    TinyRegistry(context.database, Settings(data_dir=context.settings.data_dir).data_dir / "artifacts").publish("made")

    def asked(version: int = 1, **changed: object) -> tuple[int, str]:
        begin = {"model": "made", "version": version}
        document = {"target": TARGET, "model": FAMILIES["made"], "init_from": begin} | changed
        answer = ask("POST", "/v1/jobs", json=document)
        return answer.status_code, answer.json().get("detail", "")

    assert asked()[0] == 202
    assert asked(target=TARGET | {"beta": 0.3})[0] == 202
    assert asked(target=None, data={"dataset": stored(context)})[0] == 202
    assert asked(version=2)[0] == 404
    status, why = asked(model=MADE | {"width": 9})
    assert status == 422
    assert "width = 24" in why
    assert "width = 9" in why
    status, why = asked(target=TARGET | {"shape": [3, 3]})
    assert status == 422
    assert "spins of shape [4, 4], and this job on spins of shape [3, 3]" in why


def test_what_has_learnt_already_is_not_annealed_unless_asked() -> None:
    document: dict[str, Any] = {"target": TARGET, "model": MADE, "training": {"max_steps": 100}}
    begin = {"init_from": {"model": "made", "version": 1}}
    annealed = document | begin | {"training": {"max_steps": 100, "beta_anneal_steps": 7}}
    steps = [TrainJobSpec.model_validate(d).schedule.anneal_steps for d in (document, document | begin, annealed)]
    assert steps == [20, 0, 7]
