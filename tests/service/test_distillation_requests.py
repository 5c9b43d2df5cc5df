"""Distillation over REST: the teacher's version is settled when the job is submitted; what cannot teach is refused."""

from typing import Any

import pytest

from service.context import Context
from tests.service.conftest import Ask
from tests.workers.teacher_cases import FIELD, IAF, ISING, MAF, publish
from workers.jobs.specs import TrainJobSpec

GAUSSIAN: dict[str, Any] = {"kind": "gaussian", "precision": [[1.0, 0.2], [0.2, 1.0]]}


@pytest.fixture(autouse=True)
def _teachers(context: Context) -> None:
    """Two versions of ``good``, the first aliased; others that cannot teach everything."""
    folder = context.settings.data_dir / "artifacts"
    publish(context.database, folder, "good")
    publish(context.database, folder, "good", MAF | {"width": 9})
    context.aliases.set("good", "best", 1, if_match=None, force=False, caller="local")
    publish(context.database, folder, "spins", {"family": "made", "width": 4}, ISING)
    publish(context.database, folder, "mean", {"family": "bethe"}, ISING)
    publish(context.database, folder, "ranges", MAF | {"condition_on": {"coupling": [0.4, 0.6]}})


def job(teacher: str = "good", version: object = 1, **changed: object) -> dict[str, Any]:
    objective = {"kind": "distillation", "teacher": {"model": teacher, "version": version}}
    return {"model": IAF, "objective": objective} | changed


@pytest.mark.parametrize(("ref", "number"), [("best", 1), (2, 2), ("latest", 2), (None, 2)])
def test_a_job_keeps_the_number_that_its_reference_meant(ask: Ask, ref: object, number: int) -> None:
    answer = ask("POST", "/v1/jobs", json=job(version=ref))
    assert answer.status_code == 202, answer.text
    told = ask("GET", f"/v1/jobs/{answer.json()['id']}").json()["spec"]
    assert told["objective"]["teacher"] == {"model": "good", "version": number}


def test_an_alias_that_moves_later_changes_nothing_and_retries_do_not_ask_it(context: Context, ask: Ask) -> None:
    first = ask("POST", "/v1/jobs", json=job(version="best"), headers={"Idempotency-Key": "one"}).json()
    etag = context.aliases.get("good", "best").etag
    context.aliases.set("good", "best", 2, if_match=etag, force=True, caller="local")
    again = ask("POST", "/v1/jobs", json=job(version="best"), headers={"Idempotency-Key": "one"}).json()
    assert again["id"] == first["id"]
    ask("POST", f"/v1/jobs/{first['id']}:cancel")
    retried = ask("POST", f"/v1/jobs/{first['id']}:retry").json()
    assert retried["spec"]["objective"]["teacher"]["version"] == 1
    assert ask("POST", "/v1/jobs", json=job(version="best")).json()["spec"]["objective"]["teacher"]["version"] == 2


def test_the_jobs_of_a_sweep_have_numbers_too(ask: Ask) -> None:
    swept = {"kind": "sweep", "train": job(version="best"), "grid": {"training.seed": [1, 2]}}
    answer = ask("POST", "/v1/jobs", json=swept)
    assert answer.status_code == 202, answer.text
    children = ask("GET", f"/v1/jobs?parent={answer.json()['id']}").json()["jobs"]
    assert [child["spec"]["objective"]["teacher"]["version"] for child in children] == [1, 1]


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "no such model": (job("nobody"), 404, "no model 'nobody'"),
    "no such version": (job(version=7), 404, "no version '7' of model 'good'; it has versions 1 to 2"),
    "no such alias": (job(version="worst"), 404, "no alias 'worst'"),
    "another space": (
        job(target=FIELD | {"shape": [4, 4]}),
        422,
        "it lives on reals of shape [2, 2], and the target on",
    ),
    "a family that cannot live there": (job(model={"family": "made"}), 422, "the teacher lives on reals"),
    "no density": (job("mean", model={"family": "made"}), 422, "family 'bethe' has no exact density"),
    "conditions of the teacher": (job("ranges"), 422, "it is conditioned on coupling"),
    "conditions of the student": (
        job(model=IAF | {"condition_on": {"coupling": [0.4, 0.6]}}, target=FIELD),
        422,
        "there are no conditions to learn",
    ),
    "what jumps and is to be moved": (
        {
            "model": {"family": "made"},
            "objective": {
                "kind": "distillation",
                "teacher": {"model": "spins", "version": 1},
                "gradient": "path_wise",
            },
        },
        422,
        "the teacher lives on spins, whose values jump; use 'score_function'",
    ),
    "data beside a teacher": (job(data={"builtin": "digits"}), 422, "does not use data"),
    "no teacher": ({"model": IAF, "objective": {"kind": "distillation"}}, 422, "teacher"),
    "weights of another model": (job(init_from={"model": "good", "version": 1}), 422, "its model is 'maf'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_taught_is_refused_and_nothing_is_queued(ask: Ask, case: str) -> None:
    document, status, why = REFUSED[case]
    answer = ask("POST", "/v1/jobs", json=document)
    assert (answer.status_code, why in answer.json()["detail"]) == (status, True), answer.text
    swept = {"kind": "sweep", "train": document, "grid": {"training.seed": [1, 2]}}
    assert ask("POST", "/v1/jobs", json=swept).status_code == status
    assert ask("GET", "/v1/jobs").json()["jobs"] == []


def test_the_field_is_named(ask: Ask) -> None:
    (error,) = ask("POST", "/v1/jobs", json=job("ranges")).json()["errors"]
    assert error["path"] == "objective.teacher"


def test_a_quarantined_teacher_is_refused(context: Context, ask: Ask) -> None:
    context.versions.quarantine(context.versions.get("good", 1).digest)
    answer = ask("POST", "/v1/jobs", json=job(version="best"))
    assert answer.status_code >= 400
    assert "quarantined" in answer.json()["detail"]
    assert ask("GET", "/v1/jobs").json()["jobs"] == []


def test_a_teacher_is_held_to_the_limits(context: Context, ask: Ask) -> None:
    large = FIELD | {"shape": [20, 20]}  # the fixture allows 300 sites
    publish(context.database, context.settings.data_dir / "artifacts", "large", MAF, large)
    answer = ask("POST", "/v1/jobs", json=job("large"))
    assert answer.json()["reason"] == "LIMIT_EXCEEDED"


def test_a_teacher_that_is_needed_is_not_deleted(ask: Ask) -> None:
    queued = ask("POST", "/v1/jobs", json=job(version=2)).json()["id"]
    assert ask("DELETE", "/v1/models/good/versions/2").json()["reason"] == "VERSION_IN_USE"
    assert queued in ask("DELETE", "/v1/models/good/versions/2").json()["detail"]
    ask("POST", f"/v1/jobs/{queued}:cancel")
    assert ask("DELETE", "/v1/models/good/versions/2").status_code in {200, 204}


def test_what_is_learnt_is_not_annealed_and_is_named_after_both() -> None:
    spec = TrainJobSpec.model_validate(job())
    assert spec.schedule.anneal_steps == 0
    assert spec.published_as.model == "iaf-good"
    long = TrainJobSpec.model_validate(job("m" * 63))
    assert len(long.published_as.model) == 63
    assert TrainJobSpec.model_validate(job(target=FIELD)).published_as.model == "iaf-phi4"
    asked = TrainJobSpec.model_validate(job(training={"max_steps": 10, "beta_anneal_steps": 4}))
    assert asked.schedule.anneal_steps == 4
