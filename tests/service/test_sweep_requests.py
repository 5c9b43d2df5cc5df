"""What a sweep may ask for, what its jobs are called, and what is said of one that cannot be."""

import time
from typing import Any

import pytest

from service.context import Context
from service.use_cases.expand_sweep import expand_sweep
from service.use_cases.specs import parse
from tests.service.conftest import Ask
from tests.workers.sweep_cases import child_ids
from workers.jobs.lease import claim_next, finish
from workers.jobs.specs import TrainJobSpec
from workers.jobs.states import JobState
from workers.jobs.sweeps import Child, SweepJobSpec
from workers.settings import Settings
from zoo.specs.errors import LimitExceededError

TRAIN: dict[str, Any] = {
    "target": {"kind": "ising", "shape": [4, 4], "beta": 0.4},
    "model": {"family": "made", "width": 8},
    "training": {"max_steps": 5},
}
BETAS = {"target.beta": [0.3, 0.4, 0.44]}


def children(train: dict[str, Any] = TRAIN, **swept: object) -> tuple[Child, ...]:
    """The jobs of a sweep."""
    return expand_sweep(parse(SweepJobSpec, {"kind": "sweep", "train": train} | swept), Settings())


def names(*made: Child) -> list[str]:
    """What the jobs publish under."""
    return [child.spec.published_as.model for child in made]


def test_a_grid_is_every_combination_the_last_field_fastest() -> None:
    made = children(grid={"target.beta": [0.3, 0.4], "training.seed": [7, 8, 9]})
    assert [tuple(child.values.values()) for child in made] == [(b, s) for b in (0.3, 0.4) for s in (7, 8, 9)]
    for child in made:
        beta, seed = child.values.values()
        own = {"target": TRAIN["target"] | {"beta": beta}, "training": TRAIN["training"] | {"seed": seed}}
        alone = TrainJobSpec.model_validate(TRAIN | own)
        assert child.spec.model_copy(update={"publish": None}) == alone


def test_a_list_is_its_points_and_each_may_sweep_other_fields() -> None:
    made = children(list=[{"target.beta": 0.3, "model.width": 64}, {"target.shape": [2, 2]}])
    documents = [child.spec.model_dump() for child in made]
    found = [(d["target"]["beta"], d["model"]["width"], d["target"]["shape"]) for d in documents]
    assert found == [(0.3, 64, (4, 4)), (0.4, 8, (2, 2))]


def test_values_may_be_missing_in_the_train_job_and_may_be_objects() -> None:
    train = {"target": {"kind": "ising", "shape": [4, 4]}}
    made = children(train, grid={"target.beta": [0.3], "model": [{"family": "made"}, {"family": "pixelcnn"}]})
    assert [child.spec.model.family for child in made] == ["made", "pixelcnn"]


def test_a_whole_part_is_set_before_a_field_in_it_whatever_their_order() -> None:
    target = {"kind": "ising", "shape": [2, 2], "beta": 0.1}
    for order in (["target", "target.beta"], ["target.beta", "target"]):
        values = {"target": [target], "target.beta": [0.3, 0.4]}
        made = children(grid={path: values[path] for path in order})
        targets = [child.spec.model_dump()["target"] for child in made]
        assert [(target["shape"], target["beta"]) for target in targets] == [((2, 2), 0.3), ((2, 2), 0.4)]


def test_expanding_leaves_the_sweep_as_it_was() -> None:
    spec = parse(SweepJobSpec, {"train": TRAIN, "grid": {"training.stop_when.effective_sample_fraction_above": [0.5]}})
    before = spec.model_dump_json()
    expand_sweep(spec, Settings())
    assert spec.model_dump_json() == before


LONG = {"publish": {"model": "x" * 58, "alias": "candidate"}}


@pytest.mark.parametrize(
    ("train", "swept", "expected"),
    [
        ({}, {"grid": BETAS}, ["made-ising-beta-0.3", "made-ising-beta-0.4", "made-ising-beta-0.44"]),
        (
            {"publish": {"model": "mine"}},
            {"grid": {"target.shape": [[2, 2], [4, 4]]}},
            ["mine-shape-2x2", "mine-shape-4x4"],
        ),
        (
            {},
            {"grid": {"target.beta": [0.3], "training.learning_rate": [0.001, 1e-5]}},
            ["made-ising-beta-0.3-learning_rate-0.001", "made-ising-beta-0.3-learning_rate-1e-05"],
        ),
        ({}, {"grid": {"target.periodic": [True, False]}}, ["made-ising-periodic-true", "made-ising-periodic-false"]),
        ({}, {"grid": {"target": [TRAIN["target"]]}}, ["made-ising-0"]),
        ({}, {"grid": {"target.beta": [0.1 + 0.2, 0.4]}}, ["made-ising-0", "made-ising-beta-0.4"]),
        (LONG, {"grid": {"target.beta": [0.3, 0.4]}}, ["x" * 58 + "-0", "x" * 58 + "-1"]),
        ({"publish": {"model": "x" * 63}}, {"grid": {"target.beta": [0.3]}}, ["x" * 61 + "-0"]),
    ],
)
def test_names_tell_the_values_or_the_number(train: dict[str, Any], swept: dict[str, Any], expected: list[str]) -> None:
    assert names(*children(TRAIN | train, **swept)) == expected


def test_names_of_two_points_never_collide() -> None:
    points = [{"target.beta": 0.3}, {"target.beta": 0.3, "target.h": 0.5}, {"training.seed": 1}]
    made = names(*children(list=points))
    assert len(set(made)) == 3
    # the same path and value as words, of different fields
    twice = names(*children(list=[{"target.J": 2}, {"training.seed": 2, "target.J": 2}]))
    assert len(set(twice)) == 2


def test_an_alias_goes_to_every_model() -> None:
    made = children(TRAIN | {"publish": {"model": "m", "alias": "candidate"}}, grid=BETAS)
    assert {child.spec.published_as.alias for child in made} == {"candidate"}


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "nothing": ({}, "body", "a sweep has a grid or a list; none came"),
    "both": ({"grid": BETAS, "list": [{"target.beta": 1}]}, "body", "both came"),
    "no fields": ({"grid": {}}, "body", "grid has 0 fields; it needs one, such as target.beta"),
    "no values": ({"grid": {"target.beta": []}}, "grid.target.beta", "at least 1 value; [] came"),
    "no points": ({"list": []}, "list", "at least 1 value; [] came"),
    "an empty point": ({"list": [{"target.beta": 0.3}, {}]}, "list.1", "0 fields are set"),
    "a bare value": ({"grid": {"target.beta": 0.3}}, "grid.target.beta", "a list; 0.3 came"),
    "no object": ({"grid": [0.3]}, "grid", "an object; [0.3] came"),
    "a wrong type": ({"grid": {"target.beta": [0.3, 0.4, "hot"]}}, "grid.target.beta.2", 'a number; "hot" came'),
    "out of range": ({"grid": {"model.width": [8, 0]}}, "grid.model.width.1", "at least 1; 0 came"),
    "a wrong type in a list": ({"list": [BETAS]}, "list.0.target.beta", "a number; [0.3, 0.4, 0.44] came"),
    "in an object": ({"grid": {"model": [{"family": "nope"}]}}, "grid.model.0.family", "the known ones are"),
    "two dots": ({"grid": {"target..beta": [0.3]}}, "grid.target..beta", "has an empty name"),
    "an empty path": ({"grid": {"": [0.3]}}, "grid.", "has an empty name"),
    "a long path": ({"grid": {".".join("a" * 13): [1]}}, "grid." + ".".join("a" * 13), "at most 12 names"),
    "kind": ({"grid": {"kind": ["dataset"]}}, "grid.kind", "their kind cannot be swept"),
    "names": ({"grid": {"publish.model": ["a"]}}, "grid.publish.model", "names the models of its jobs itself"),
    "another kind": ({"train": TRAIN | {"kind": "sweep"}, "grid": BETAS}, "train.kind", 'train jobs; "sweep" came'),
    "no train job": ({"train": "made", "grid": BETAS}, "train", 'an object; "made" came'),
    "a fault of the train job": (
        {"train": {"model": {"family": "made"}, "x": 1}, "grid": {"training.seed": [1]}},
        "train.x",
        "no field",
    ),
    "no such field": ({"grid": {"target.betta": [0.3]}}, "grid.target.betta.0", "the fields are kind, beta, "),
    "unicode": ({"grid": {"target.β": [0.3]}}, "grid.target.β.0", "the fields are kind, beta, "),
    "no such part": (
        {"grid": {"optimizer.lr": [1]}},
        "grid.optimizer.lr.0",
        "optimizer: there is no field of this name here; the fields are kind, ",
    ),
    "through a number": (
        {"grid": {"target.beta.x": [1]}},
        "grid.target.beta.x.0",
        "beta is 0.4 in the train job, which has no fields",
    ),
    "a part of a missing part": (
        {"train": {"target": TRAIN["target"]}, "grid": {"model.width": [3]}},
        "grid.model.width.0",
        "model: the field 'family' is missing",
    ),
    "the same job twice": (
        {"grid": {"target.h": [0, 1, 1.0]}},
        "grid",
        "number 2 (target.h = 1.0) is the same job as number 1",
    ),
    "what does not fit together": (
        {"train": TRAIN | {"model": {"family": "made", "symmetry": "z2"}}, "grid": {"target.h": [0, 0.5]}},
        "grid",
        "number 1 (target.h = 0.5): model.symmetry is 'z2' and the target does not have it",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_where_it_was_written(ask: Ask, case: str) -> None:
    swept, path, message = REFUSED[case]
    answer = ask("POST", "/v1/jobs", json={"kind": "sweep", "train": TRAIN} | swept)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert path in {error["path"] for error in problem["errors"]}
    assert message in problem["detail"]
    assert ask("GET", "/v1/jobs").json()["jobs"] == []


@pytest.mark.parametrize(
    ("swept", "message"),
    [
        (
            {"grid": {"target.beta": [n / 1e6 for n in range(1, 101)], "training.seed": list(range(10_000))}},
            "1000000 jobs",
        ),
        ({"grid": {f"target.x{n}": list(range(10)) for n in range(16)}}, f"{10**16} jobs"),
        ({"list": [{"target.beta": 0.3}] * 100_000}, "100000 jobs"),
        (
            {"train": TRAIN | {"x": "y" * 100_000}, "grid": {"training.seed": list(range(1000))}},
            "bytes in all its jobs",
        ),
    ],
)
def test_sweeps_beyond_the_limits_are_refused_before_they_are_made(swept: dict[str, Any], message: str) -> None:
    start = time.process_time()
    with pytest.raises(LimitExceededError, match=message):
        children(**{"train": TRAIN} | swept)
    assert time.process_time() - start < 1


def test_a_grid_of_very_many_fields_is_refused_without_counting(ask: Ask) -> None:
    answer = ask("POST", "/v1/jobs", json={"kind": "sweep", "train": {}, "grid": {str(n): [1, 2] for n in range(1500)}})
    assert (answer.status_code, answer.json()["reason"]) == (422, "INVALID_VALUE")
    assert "grid has 1500 fields" in answer.json()["detail"]


def test_every_job_of_a_sweep_is_within_the_limits(ask: Ask) -> None:
    body = {"kind": "sweep", "train": TRAIN, "grid": {"target.shape": [[4, 4], [20, 20]]}}
    problem = ask("POST", "/v1/jobs", json=body).json()
    assert (problem["status"], problem["reason"]) == (422, "LIMIT_EXCEEDED")
    assert problem["errors"][0]["path"] == "grid.target.shape.1"


def test_a_sweep_is_shown_with_its_children_and_they_with_it(ask: Ask) -> None:
    body = {"kind": "sweep", "train": TRAIN, "grid": BETAS}
    answer = ask("POST", "/v1/jobs", json=body, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 202
    parent = answer.json()
    assert answer.headers["Location"] == f"/v1/jobs/{parent['id']}"
    assert (parent["kind"], parent["state"], parent["parent"]) == ("sweep", "queued", None)
    assert [(c["state"], c["values"], c["model"]) for c in parent["children"]] == [
        ("queued", {"target.beta": beta}, f"made-ising-beta-{beta}") for beta in BETAS["target.beta"]
    ]
    assert ask("GET", f"/v1/jobs/{parent['id']}").json() == parent
    assert ask("POST", "/v1/jobs", json=body, headers={"Idempotency-Key": "k"}).json() == parent
    child = ask("GET", f"/v1/jobs/{parent['children'][1]['id']}").json()
    assert (child["kind"], child["parent"], child["spec"]["target"]["beta"]) == ("train", parent["id"], 0.4)
    assert "children" not in child
    listed = ask("GET", f"/v1/jobs?parent={parent['id']}&page_size=2").json()
    rest = ask("GET", f"/v1/jobs?parent={parent['id']}&page_token={listed['next_page_token']}").json()
    found = {job["id"] for job in (*listed["jobs"], *rest["jobs"])}
    assert found == {c["id"] for c in parent["children"]}
    assert [job["id"] for job in ask("GET", "/v1/jobs?kind=sweep").json()["jobs"]] == [parent["id"]]
    assert ask("GET", "/v1/jobs?parent=none").json()["reason"] == "JOB_NOT_FOUND"


def test_cancelling_and_retrying_a_sweep(ask: Ask, context: Context) -> None:
    parent = ask("POST", "/v1/jobs", json={"kind": "sweep", "train": TRAIN, "grid": BETAS}).json()
    owner = claim_next(context.database, 60, frozenset({"train"}))
    assert owner is not None
    assert ask("POST", f"/v1/jobs/{parent['id']}:retry").json()["reason"] == "JOB_NOT_RETRYABLE"
    first = ask("POST", f"/v1/jobs/{parent['id']}:cancel")
    assert (first.status_code, first.json()["state"], first.json()["cancel_requested"]) == (202, "running", True)
    assert [c["state"] for c in first.json()["children"]] == ["running", "cancelled", "cancelled"]
    assert ask("POST", f"/v1/jobs/{parent['id']}:cancel").status_code == 200
    with context.database.transaction() as connection:
        finish(connection, owner, JobState.CANCELLED)
    over = ask("POST", f"/v1/jobs/{parent['id']}:cancel")
    assert (over.status_code, over.json()["reason"]) == (409, "JOB_FINISHED")
    again = ask("POST", f"/v1/jobs/{parent['id']}:retry").json()
    assert (again["retry_of"], again["state"]) == (parent["id"], "queued")
    assert [c["model"] for c in again["children"]] == [c["model"] for c in parent["children"]]
    assert not set(child_ids(context.database, again["id"])) & set(child_ids(context.database, parent["id"]))
    alone = ask("POST", f"/v1/jobs/{parent['children'][2]['id']}:retry").json()
    assert (alone["kind"], alone["parent"], alone["spec"]["target"]["beta"]) == ("train", None, 0.44)


def test_the_document_of_the_api_knows_the_kind(ask: Ask) -> None:
    document = ask("GET", "/openapi.json").json()
    body = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["discriminator"]["mapping"]["sweep"] == "#/components/schemas/SweepJobSpec"
    assert set(document["components"]["schemas"]["SweepJobSpec"]["properties"]) == {"kind", "train", "grid", "list"}
