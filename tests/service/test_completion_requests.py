"""Partly known configurations at the door: masks that fit, values that are known, and families that can."""

import io
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from models_registry.digests import canonical_digest
from models_registry.versions import VersionManifest
from service.context import Context
from tests.service.conftest import Ask
from zoo.specs.errors import InvalidValueError
from zoo.specs.masks import as_partly_known
from zoo.specs.spaces import SpaceSpec

Array = NDArray[Any]
SPINS = [[1, -1], [1, 1]]
MASK = [[True, True], [False, False]]
BOTH = {"samples": [SPINS], "mask": MASK}
VERBS = ("complete", "logLikelihood")


def publish(context: Context, name: str, model: dict[str, Any], **changed: Any) -> None:  # noqa: ANN401
    """A version whose weights nobody will read."""
    target = {"kind": "ising", "shape": [2, 2], "beta": 0.4}
    fields: dict[str, Any] = {
        "model": name,
        "job_id": f"job-{name}",
        "target": target,
        "space": {"kind": "spins", "event_shape": [2, 2]},
        "model_spec": model,
        "objective": {"kind": "reverse_kl"},
        "training": {},
        "seed": 1,
        "metrics": {},
        "target_digest": canonical_digest(target),
        "libraries": {},
    }
    manifest = VersionManifest.model_validate(fields | changed)
    with context.database.transaction() as connection:
        context.versions.publish(connection, manifest, "0" * 64, 1)


@pytest.fixture(autouse=True)
def _published(context: Context) -> None:
    classes = {"family": "made", "condition_on": {"label": 3}}
    publish(context, "made", {"family": "made"})
    publish(context, "bethe", {"family": "bethe"})
    publish(context, "unlabelled", classes, target=None)
    publish(context, "labelled", classes, target=None, metrics={"label_counts": [1, 2, 3]})


def npz(**arrays: Array) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def asks_engine(answer: httpx.Response) -> bool:
    """Whether the door let it through: there is no Redis here."""
    return answer.status_code == 503 and answer.json()["reason"] == "REDIS_UNAVAILABLE"


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "body",
    [
        BOTH,
        {"samples": [SPINS], "mask": [MASK]},
        {"samples": [[[1, -1], [None, None]]], "mask": MASK},
        {"samples": [[[1, -1], [0, 7.5]]], "mask": MASK},
        {"samples": [SPINS], "mask": MASK, "proposals": 2, "seed": 2**53 - 1},
    ],
)
def test_what_is_allowed_passes(ask: Ask, verb: str, body: dict[str, Any]) -> None:
    assert asks_engine(ask("POST", f"/v1/models/made:{verb}", json=body))
    assert asks_engine(ask("POST", f"/v1/models/made/versions/1:{verb}", json=body))


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"samples": [[[1, 0], [1, 1]]]}, "samples[0][0][1]"),
        ({"samples": [[[1, None], [None, None]]]}, "samples[0][0][1]"),
        ({"samples": [[1, 1, 1]]}, "samples"),
        ({"samples": [[["x", 1], [1, 1]]]}, "samples"),
        ({"mask": [[1, 1], [0, 0]]}, "mask[0][0]"),
        ({"mask": [[True, "yes"], [False, False]]}, "mask[0][1]"),
        ({"mask": [[True, None], [False, False]]}, "mask[0][1]"),
        ({"mask": [True, False]}, "mask"),
        ({"mask": [MASK, MASK]}, "mask"),
        ({"mask": [[True], [False, False]]}, "mask"),
        ({"mask": []}, "mask"),
        ({"proposals": 1}, "proposals"),
        ({"proposals": 10**9}, "proposals"),
        ({"seed": -1}, "seed"),
        ({"masc": MASK}, "masc"),
    ],
)
def test_what_is_not_allowed_is_named(ask: Ask, verb: str, changed: dict[str, Any], path: str) -> None:
    answer = ask("POST", f"/v1/models/made:{verb}", json=BOTH | changed)
    assert answer.status_code == 422, answer.text
    assert [error["path"] for error in answer.json()["errors"]] == [path]


def test_completions_have_a_number_and_a_mask(ask: Ask) -> None:
    for body, path in ((BOTH | {"n": 0}, "n"), ({"samples": [SPINS]}, "mask"), ({"mask": MASK}, "samples")):
        answer = ask("POST", "/v1/models/made:complete", json=body)
        assert answer.status_code == 422
        assert [error["path"] for error in answer.json()["errors"]] == [path]
    assert ask("POST", "/v1/models/made:complete", json=BOTH | {"n": 10**6}).json()["reason"] == "LIMIT_EXCEEDED"


@pytest.mark.parametrize("verb", VERBS)
def test_arrays_travel_as_npz_with_the_other_fields_in_the_query(ask: Ask, verb: str) -> None:
    samples, mask = np.array([SPINS], dtype=np.int8), np.array(MASK)
    headers = {"Content-Type": "application/x-npz"}
    path = f"/v1/models/made:{verb}?seed=3&proposals=10&beta=0.4"
    assert asks_engine(ask("POST", path, content=npz(samples=samples, mask=mask), headers=headers))
    for arrays, offender in (
        ({"samples": samples, "mask": mask.astype(np.uint8)}, "mask"),
        ({"samples": samples * 0, "mask": mask}, "samples[0][0][0]"),
        ({"mask": mask}, "samples"),
    ):
        answer = ask("POST", path, content=npz(**arrays), headers=headers)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["path"] == offender
    answer = ask("POST", path + "&seed=x", content=npz(samples=samples, mask=mask), headers=headers)
    assert answer.status_code == 422


def test_bytes_without_a_mask_are_whole_configurations(ask: Ask) -> None:
    samples, headers = np.array([SPINS], dtype=np.int8), {"Content-Type": "application/x-npz"}
    assert asks_engine(ask("POST", "/v1/models/made:logLikelihood", content=npz(samples=samples), headers=headers))
    answer = ask("POST", "/v1/models/made:complete", content=npz(samples=samples), headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "mask"
    headers = {"Content-Type": "application/x-npy"}
    assert ask("POST", "/v1/models/made:complete", content=b"", headers=headers).status_code == 415


def test_families_that_cannot_say_so(ask: Ask) -> None:
    for verb in VERBS:
        answer = ask("POST", f"/v1/models/bethe:{verb}", json=BOTH)
        assert answer.status_code == 409
        assert answer.json()["reason"] == "CAPABILITY_MISSING"


def test_a_posterior_needs_classes_and_their_frequencies(ask: Ask) -> None:
    def asked(model: str, **body: object) -> httpx.Response:
        return ask("POST", f"/v1/models/{model}:logLikelihood", json={"samples": [SPINS]} | body)

    include = ["label_posterior"]
    assert asks_engine(asked("labelled"))
    assert asks_engine(asked("labelled", include=include))
    assert asks_engine(asked("unlabelled", condition={"label": 2}))
    assert asked("unlabelled").json()["reason"] == "CAPABILITY_MISSING"
    assert asked("made", include=include).json()["reason"] == "CAPABILITY_MISSING"
    assert asked("labelled", include=include, condition={"label": 2}).json()["errors"][0]["path"] == "include"
    assert asked("labelled", include=include, mask=MASK).json()["errors"][0]["path"] == "include"
    assert asked("labelled", mask=MASK).json()["errors"][0]["path"] == "condition.label"


def test_what_is_not_known_is_not_looked_at_and_becomes_something_of_the_space() -> None:
    samples, mask = np.array([[1.0, np.nan], [-1.0, 9.0]]), np.array([True, False])
    for kind, filler in (("spins", 1), ("reals", 0)):
        space = SpaceSpec.model_validate({"kind": kind, "event_shape": [2]})
        known, masks = as_partly_known(samples, mask, space)
        assert known.tolist() == [[1, filler], [-1, filler]]
        assert masks.tolist() == [[True, False]] * 2
    assert np.isnan(samples[0, 1])
    with pytest.raises(InvalidValueError, match="booleans were expected"):
        as_partly_known(samples, np.array([1, 0]), space)
    with pytest.raises(InvalidValueError, match=r"samples\[0\]\[1\] is missing"):
        as_partly_known(samples, np.array([True, True]), space)
