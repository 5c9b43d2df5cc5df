"""What surrounds an upload: names, spaces, query parameters, the ends of intervals, and tags of answers."""

from typing import Any

import numpy as np
import pytest

from service.context import Context
from service.rest.formats.npy import array_from_npy
from tests.service.conftest import Ask
from tests.service.test_dataset_uploads import JSON, NPY, NPZ, SPINS, assert_refused, kept, npy, upload


def test_an_answer_has_a_tag_of_its_own_in_each_type(ask: Ask) -> None:
    record = upload(ask, npy(SPINS)).json()
    path = f"/v1/datasets/{record['id']}/samples"
    tags = {kind: ask("GET", path, headers={"Accept": kind}).headers["etag"] for kind in (JSON, NPY, NPZ)}
    assert len(set(tags.values())) == 3
    for kind, tag in tags.items():
        for named in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            same = ask("GET", path, headers={"Accept": kind, "If-None-Match": named})
            assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
        others = ", ".join(set(tags.values()) - {tag})
        assert ask("GET", path, headers={"Accept": kind, "If-None-Match": others}).status_code == 200
    assert ask("GET", path).headers["vary"] == "Accept"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_upper_end_of_an_interval_is_kept_as_the_lower_one(ask: Ask, dtype: type[np.floating[Any]]) -> None:
    for space, half in (("torus", np.pi), ({"kind": "particles", "box": [3.3]}, 1.65)):
        ends = np.array([[[half]], [[-half]], [[1.0]]], dtype=dtype)
        record = upload(ask, npy(ends), space=space).json()
        back = ask("GET", f"/v1/datasets/{record['id']}/samples", headers={"Accept": NPY})
        came = array_from_npy(back.content)
        assert came.dtype == dtype
        exact = came.astype(np.float64).ravel()
        assert ((exact >= -half) & (exact < half)).all()
        turns = (exact - ends.ravel().astype(np.float64)) / (2 * half)
        np.testing.assert_allclose(turns, np.round(turns), atol=1e-6)
        assert exact[2] == 1


BAD_SPACES: list[tuple[object, tuple[int, ...], str, str]] = [
    ({"kind": "particles", "box": [4]}, (2, 3, 2), "space", "box has 1 side (4)"),
    ({"kind": "particles", "box": [4, 4, 4]}, (2, 3, 2), "space", "one side for each of 2 axes"),
    ({"kind": "particles", "box": []}, (2, 3, 2), "space", "box has 0 sides"),
    ({"kind": "particles", "box": [-2, 2]}, (2, 3, 2), "space.box.0", "greater than 0; -2 came"),
    ({"kind": "particles", "box": [2, 0]}, (2, 3, 2), "space.box.1", "greater than 0; 0 came"),
    ({"kind": "particles", "box": [4, 4], "centered": True}, (2, 3, 2), "space", "in free space alone"),
    ({"kind": "particles", "centered": "yes"}, (2, 3, 2), "space.centered", "true or false"),
    ({"kind": "spins", "box": [4, 4]}, (2, 3, 2), "space", "belong to particles"),
    ({"kind": "spins", "box": []}, (2, 3, 2), "space", "belong to particles"),
    ({"kind": "bits", "num_values": 2}, (2, 3), "space", "num_values is 2; categorical spaces have one"),
    ({"kind": "categorical", "num_values": "2"}, (2, 3), "space.num_values", "a whole number"),
    ("phase_space", (2, 3), "samples", "has shape (2, 3); phase_space has (n, 2 m)"),
    ("quaternions", (2, 3), "space.kind", "'phase_space'"),
]


@pytest.mark.parametrize(("space", "shape", "path", "words"), BAD_SPACES)
def test_a_space_that_does_not_fit_is_named(
    ask: Ask, space: object, shape: tuple[int, ...], path: str, words: str
) -> None:
    answer = upload(ask, npy(np.zeros(shape)), space=space)
    assert_refused(answer, 422, "INVALID_VALUE", words)
    assert [error["path"] for error in answer.json()["errors"]] == [path]


def test_a_refused_name_is_at_the_path_name(ask: Ask) -> None:
    body = {"target": {"kind": "ising", "shape": [4, 4]}, "n": 1, "name": "A b"}
    for answer in (upload(ask, npy(SPINS), name="A b"), ask("POST", "/v1/datasets", json=body)):
        assert [error["path"] for error in answer.json()["errors"]] == ["name"]
        assert "1 to 63" in answer.json()["errors"][0]["allowed"]


def test_a_misspelt_query_parameter_is_refused(ask: Ask, context: Context) -> None:
    assert_refused(upload(ask, npy(SPINS), nmae="mine"), 422, "INVALID_VALUE", "the known ones are name and space")
    answer = ask("POST", "/v1/datasets?seed=3", json={"builtin": "digits"})
    assert_refused(answer, 422, "INVALID_VALUE", "no query parameter 'seed'")
    assert kept(context) == (0, 0)
