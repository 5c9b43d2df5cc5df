"""Refused specs: one error for each fault, at its path in what the user sent, with what would be accepted."""

from typing import Any

import pytest

from service.use_cases.spec_errors import in_json_words
from service.use_cases.specs import parse, parse_job
from zoo.specs.errors import InvalidValueError
from zoo.specs.requests import SampleRequest
from zoo.specs.spaces import SpaceSpec

Told = list[tuple[str, str | None]]


def told(call: Any, *given: object) -> tuple[str, Told]:  # noqa: ANN401 - a parser
    """The message, and path and allowed values of each error."""
    with pytest.raises(InvalidValueError) as caught:
        call(*given)
    return caught.value.detail, [(error.path, error.allowed) for error in caught.value.errors]


def job(**target: object) -> dict[str, Any]:
    return {"kind": "train", "target": {"kind": "ising", "shape": [4]} | target, "model": {"family": "made"}}


def mixture(**fields: object) -> dict[str, Any]:
    return {"kind": "train", "target": {"kind": "gaussian_mixture"} | fields, "model": {"family": "made"}}


MEANS, SCALES = "target.means", "target.scales"
CASES: dict[str, tuple[dict[str, Any], Told, str]] = {
    "a bound": (job(shape=[4, 0]), [("target.shape.1", "at least 1")], "at least 1; 0 came"),
    "too many": (job(shape=[2] * 4), [("target.shape", "a list of at most 3 values")], "[2, 2, 2, 2] came"),
    "too few": (job(shape=[]), [("target.shape", "a list of at least 1 value")], "[] came"),
    "an element alone": (job(shape=["4"]), [("target.shape.0", "a whole number")], 'a whole number; "4" came'),
    "a choice": (job(lattice="k"), [("target.lattice", "'square' or 'triangular'")], '"k" came'),
    "true": (job(beta=True), [("target.beta", "a number")], "true came"),
    "null": (job(beta=None), [("target.beta", "a number")], "null came"),
    "no truth value": (job(periodic="yes"), [("target.periodic", "true or false")], '"yes" came'),
    "an object": (job(beta={"a": 1}), [("target.beta", "a number")], "an object came"),
    "a missing field": ({"kind": "train", "target": {"kind": "ising"}, "model": {"family": "made"}},
                        [("target.shape", None)], "field required"),
    "several fields": (job(lattice="triangular"), [("target", None)], "triangular lattice"),
    "parts of a job": (job(shape=[4, 4], h=1.0) | {"model": {"family": "made", "symmetry": "z2"}},
                       [("body", None)], "model.symmetry"),
    "no means": (mixture(means=[]), [(MEANS, "a list of at least 1 value")], "[] came"),
    "a mean that is text": (mixture(means=[[0], ["a"]]), [(MEANS + ".1.0", "a number")], '"a" came'),
    "only a mean that is text": (mixture(means=[["a"]]), [(MEANS + ".0.0", "a number")], '"a" came'),
    "an empty mean": (mixture(means=[[]]), [(MEANS + ".0", "a list of at least 1 value")], "[] came"),
    "means that are a number": (mixture(means=5), [(MEANS, "an object or a list")], "an object or a list; 5 came"),
    "means of no kind": (mixture(means={"kind": "circl"}), [(MEANS + ".kind", "'circle' or 'grid'")], '"circl" came'),
    "a kind with a fault": (mixture(means={"kind": "circle", "modes": 0}),
                            [(MEANS + ".modes", "at least 1")], "0 came"),
    "another kind's field": (mixture(means={"kind": "grid", "modes": 3}), [(MEANS + ".modes", None)], "no field"),
    "scales of text": (mixture(scales="w"), [(SCALES, "a number or a list")], '"w" came'),
    "scales below 0": (mixture(scales=[1, -1]), [(SCALES + ".1", "at least 1e-09")], "-1 came"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_fault_is_told_once_in_the_users_words(name: str) -> None:
    data, expected, words = CASES[name]
    detail, errors = told(parse_job, data)
    assert errors == expected
    assert words in detail
    for ours in ("Means", "tuple", "constrained", "after validation", "None"):
        assert ours not in detail


def test_what_stands_in_the_query_has_its_name_before_it() -> None:
    fields = {"kind": "particles", "event_shape": (2, 2), "box": [0, 1]}
    assert told(parse, SpaceSpec, fields, "space") == (
        "space.box.0: input should be greater than 0; 0 came", [("space.box.0", "greater than 0")]
    )  # fmt: skip
    assert told(parse, SpaceSpec, fields | {"box": [1]}, "space")[1] == [("space", None)]


def test_bounds_are_whole_where_they_are() -> None:
    _, errors = told(parse, SampleRequest, {"n": 1, "seed": 2**53})
    assert errors == [("seed", "at most 9007199254740991")]


def test_an_object_with_too_many_fields_is_not_called_a_list() -> None:
    _, errors = told(parse, SampleRequest, {"n": 1, "condition": {f"x{k}": 1.0 for k in range(17)}})
    assert errors == [("condition", "an object of at most 16 fields")]


def test_errors_are_few_however_many_there_are() -> None:
    _, errors = told(parse, SampleRequest, {"n": 1} | {f"a{i}": i for i in range(1000)})
    assert len(errors) == 20


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ("a", '"a"'),
        ([1, None, "b"], '[1, null, "b"]'),
        ([[1]], "a list of 1 value"),
        ([1] * 100, "a list of 100 values"),
        ({"a": 1}, "an object"),
        ({}, "an empty object"),
        ("x" * 10**6, '"' + "x" * 77 + '..."'),
    ],
)
def test_what_came_is_said_in_the_words_of_json(value: object, words: str) -> None:
    assert in_json_words(value) == words
