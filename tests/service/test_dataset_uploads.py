"""Uploads: what is in a space is kept and comes back; anything else is refused in words, and leaves nothing behind."""

import io
import json
import struct
import tracemalloc
import zipfile

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sqlalchemy import func, select, update

from models_registry.tables import datasets
from service.context import Context
from service.rest.formats.npy import array_from_npy
from service.rest.formats.npz import read as arrays_from_npz
from tests.service.conftest import LIMITS, Ask
from workers.jobs.table import jobs
from zoo.specs.errors import HelmholtzError

Array = NDArray[np.generic]

NPY, NPZ, JSON = "application/x-npy", "application/x-npz", "application/json"
KNOWN = frozenset({"samples", "labels"})
MANY = settings(deadline=None, max_examples=150, derandomize=True, database=None)
SPINS = np.where(np.arange(24).reshape(4, 2, 3) % 5 < 2, 1, -1).astype(np.int8)


def upload(ask: Ask, body: bytes, kind: str = NPY, space: object = "spins", **query: str) -> httpx.Response:
    text = space if isinstance(space, str) else json.dumps(space)
    return ask("POST", "/v1/datasets", content=body, headers={"Content-Type": kind}, params={"space": text} | query)


def npy(array: Array) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=True)
    return stream.getvalue()


def npz(compression: int = zipfile.ZIP_STORED, **arrays: Array) -> bytes:
    return zipped({f"{name}.npy": npy(array) for name, array in arrays.items()}, compression)


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def header(text: str, data: bytes = b"", version: int = 1) -> bytes:
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode("latin1") + data


def promising(shape: tuple[int, ...], data: bytes = b"", descr: str = "|i1") -> bytes:
    return header(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape!r}, }}", data)


def kept(context: Context) -> tuple[int, int]:
    """How many rows and how many blobs there are."""
    with context.database.read() as connection:
        rows = connection.execute(select(func.count()).select_from(datasets)).scalar_one()
    folder = context.settings.data_dir / "artifacts"
    return rows, sum(1 for file in folder.rglob("*") if file.is_file())


def assert_refused(answer: httpx.Response, status: int, reason: str, words: str) -> None:
    assert (answer.status_code, answer.json().get("reason")) == (status, reason), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.text, answer.text


GOOD: dict[str, tuple[object, Array, str]] = {
    "spins": ("spins", SPINS, "int8"),
    "spins as float64": ("spins", SPINS.astype(np.float64), "int8"),
    "bits as booleans": ("bits", SPINS > 0, "uint8"),
    "categories": ({"kind": "categorical", "num_values": 7}, np.arange(6).reshape(3, 2), "uint8"),
    "categories counted": ("categorical", np.array([[0, 4], [2, 1]]), "uint8"),
    "reals": ("reals", np.linspace(-9, 9, 8, dtype=np.float32).reshape(4, 2), "float32"),
    "reals in double": ("reals", np.linspace(-9, 9, 8).reshape(4, 2) / 3, "float64"),
    "phase space": ("phase_space", np.ones((3, 4)), "float64"),
    "angles": ("torus", np.linspace(-np.pi, 3, 6).reshape(3, 2), "float64"),
    "particles": ("particles", np.arange(12.0).reshape(2, 3, 2), "float64"),
    "particles in a box": ({"kind": "particles", "box": [4, 6]}, np.array([[[1.9, -3.0]]]), "float64"),
    "centred particles": ({"kind": "particles", "centered": True}, np.array([[[1.0, 2.0], [-1.0, -2.0]]]), "float64"),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_in_its_space_is_kept_and_comes_back(ask: Ask, context: Context, name: str) -> None:
    space, array, dtype = GOOD[name]
    answer = upload(ask, npy(array), space=space, name="mine")
    assert answer.status_code == 201, answer.text
    record = answer.json()
    assert answer.headers["location"] == f"/v1/datasets/{record['id']}"
    assert record["name"] == "mine"
    assert record["num_samples"] == len(array)
    assert record["space"]["event_shape"] == list(array.shape[1:])
    assert record["source"] == {"kind": "upload"}
    assert kept(context) == (1, 1)
    path = f"/v1/datasets/{record['id']}"
    assert ask("GET", path).json() == record
    back = ask("GET", path + "/samples", headers={"Accept": NPY})
    came = array_from_npy(back.content)
    np.testing.assert_array_equal(came, array)
    assert came.dtype == dtype
    assert back.headers["etag"] == f'"{record["digest"]}.npy"'


def test_the_number_of_categories_is_counted(ask: Ask) -> None:
    for top, number in ((0, 2), (1, 2), (4, 5), (255, 256)):
        record = upload(ask, npy(np.array([[0, top]])), space="categorical").json()
        assert record["space"]["num_values"] == number


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_labels_come_with_a_npz_file(ask: Ask, compression: int) -> None:
    labels = np.array([3, 1, -4, 2**40])
    record = upload(ask, npz(compression, samples=SPINS, labels=labels), NPZ).json()
    assert record["labels"] is True
    path = f"/v1/datasets/{record['id']}/samples"
    back = arrays_from_npz(ask("GET", path, headers={"Accept": NPZ}).content, KNOWN, LIMITS)
    np.testing.assert_array_equal(back["samples"], SPINS)
    np.testing.assert_array_equal(back["labels"], labels)
    assert back["labels"].dtype == np.int64
    assert ask("GET", path).json() == {"samples": SPINS.tolist(), "labels": labels.tolist()}
    plain = upload(ask, npz(samples=SPINS), NPZ).json()
    assert plain["labels"] is False
    assert set(ask("GET", f"/v1/datasets/{plain['id']}/samples").json()) == {"samples"}
    assert_refused(ask("GET", path, headers={"Accept": "application/x-pickle"}), 406, "NOT_ACCEPTABLE", NPZ)


def test_equal_data_is_one_blob_under_two_rows(ask: Ask, context: Context) -> None:
    first, second = (upload(ask, npy(SPINS), name=name).json() for name in ("one", "two"))
    assert first["digest"] == second["digest"]
    assert first["id"] != second["id"]
    assert kept(context) == (2, 1)
    assert ask("DELETE", f"/v1/datasets/{first['id']}").status_code == 204
    assert_refused(ask("GET", f"/v1/datasets/{first['id']}"), 404, "DATASET_NOT_FOUND", second["id"])
    assert ask("GET", f"/v1/datasets/{second['id']}/samples").json()["samples"] == SPINS.tolist()


OBJECTS = npy(np.array([[None, {}]], dtype=object))
BOMB = zipped({"samples.npy": npy(np.zeros((2000, 1000), np.uint8))}, zipfile.ZIP_DEFLATED)


def encrypted() -> bytes:
    """An archive whose entries say that they are encrypted."""
    body = bytearray(npz(samples=SPINS))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        body[body.index(signature) + offset] |= 1
    return bytes(body)


def announcing(size: int) -> bytes:
    """An archive whose directory says that a member is ``size`` bytes long when inflated."""
    body = bytearray(npz(zipfile.ZIP_DEFLATED, samples=SPINS))
    start = body.index(b"PK\x01\x02") + 24
    body[start : start + 4] = struct.pack("<I", size)
    return bytes(body)


def twice() -> bytes:
    """An archive in which a name comes twice."""
    body = npz(samples=SPINS, xamples=SPINS)
    return body.replace(b"xamples", b"samples")


def flipped() -> bytes:
    """An archive in which one spin was changed after its checksum was taken."""
    body = bytearray(npz(samples=SPINS))
    body[body.index(SPINS.tobytes())] ^= 0xFE
    return bytes(body)


def crowded() -> bytes:
    """An archive with very many small entries."""
    return zipped({f"{i}.npy": b"" for i in range(200)})


BAD: dict[str, tuple[bytes, str, object, int, str, str]] = {
    "a spin of 0": (npy(SPINS * [[0, 1, 1], [1, 1, 1]]), NPY, "spins", 422, "INVALID_VALUE", "samples[0][0][0] is 0"),
    "a bit of 2": (npy(np.array([[0, 1], [1, 2]])), NPY, "bits", 422, "INVALID_VALUE", "samples[1][1] is 2"),
    "NaN": (npy(np.array([[0.0, np.nan]])), NPY, "reals", 422, "INVALID_VALUE", "samples[0][1] is nan"),
    "infinity": (npy(np.array([[0.0], [np.inf]])), NPY, "torus", 422, "INVALID_VALUE", "samples[1][0] is inf"),
    "an angle of 4": (npy(np.array([[4.0]])), NPY, "torus", 422, "INVALID_VALUE", "samples[0][0] is 4.0"),
    "a category of 7": (
        npy(np.array([[0, 7]])), NPY, {"kind": "categorical", "num_values": 3}, 422, "INVALID_VALUE", "samples[0][1]",
    ),
    "a category of -1": (npy(np.array([[0, -1]])), NPY, "categorical", 422, "INVALID_VALUE", "samples[0][1] is -1"),
    "a category of 1/2": (npy(np.array([[0, 0.5]])), NPY, "categorical", 422, "INVALID_VALUE", "samples[0][1] is 0.5"),
    "257 categories": (npy(np.array([[0, 256]])), NPY, "categorical", 422, "INVALID_VALUE", "is 256"),
    "a category of NaN": (npy(np.array([[np.nan]])), NPY, "categorical", 422, "INVALID_VALUE", "samples[0][0] is nan"),
    "outside the box": (
        npy(np.array([[[9.0]]])), NPY, {"kind": "particles", "box": [4]}, 422, "INVALID_VALUE", "half the box",
    ),
    "off centre": (
        npy(np.array([[[9.0]]])), NPY, {"kind": "particles", "centered": True}, 422, "INVALID_VALUE", "centre of mass",
    ),
    "particles without axes": (npy(np.ones((3, 4))), NPY, "particles", 422, "INVALID_VALUE", "(n, particle, axis)"),
    "odd phase space": (npy(np.ones((3, 3))), NPY, "phase_space", 422, "INVALID_VALUE", "(n, 2 m)"),
    "no configuration": (npy(np.ones((0, 4), np.int8)), NPY, "spins", 422, "INVALID_VALUE", "n >= 1"),
    "no variable": (npy(np.ones((4, 0), np.int8)), NPY, "spins", 422, "INVALID_VALUE", "at least one variable"),
    "one axis": (npy(np.ones(4, np.int8)), NPY, "spins", 422, "INVALID_VALUE", "at least one variable"),
    "no axis": (npy(np.array(1)), NPY, "spins", 422, "INVALID_VALUE", "at least one variable"),
    "complex": (npy(np.ones((2, 2), complex)), NPY, "reals", 422, "INVALID_VALUE", "numbers were expected"),
    "long double": (npy(np.ones((2, 2), "g")), NPY, "reals", 422, "INVALID_VALUE", "numbers were expected"),
    "texts": (npy(np.array([["a"]])), NPY, "reals", 422, "INVALID_VALUE", "numbers were expected"),
    "records": (npy(np.zeros(2, [("a", "i4")])), NPY, "reals", 422, "INVALID_VALUE", "numbers were expected"),
    "pickled": (OBJECTS, NPY, "reals", 400, "MALFORMED", "pickled objects are not read"),
    "a pickle alone": (b"\x80\x04]\x94.", NPY, "reals", 400, "MALFORMED", "does not begin as one"),
    "booleans of 7": (promising((2, 2), b"\0\1\7\1", "|b1"), NPY, "bits", 400, "MALFORMED", "booleans"),
    "empty": (b"", NPY, "spins", 400, "MALFORMED", "does not begin as one"),
    "cut short": (npy(SPINS)[:-1], NPY, "spins", 400, "MALFORMED", "promises"),
    "trailing": (npy(SPINS) + b"\0", NPY, "spins", 400, "MALFORMED", "1 bytes follow it"),
    "a lying header": (promising((10, 4), b"\1" * 8), NPY, "spins", 400, "MALFORMED", "promises 40 numbers"),
    "10^18 numbers": (promising((10**9, 10**9), b"\1"), NPY, "spins", 422, "LIMIT_EXCEEDED", "MAX_SAMPLE_VALUES"),
    "10^30 numbers": (promising((10**30, 1), b"\1"), NPY, "spins", 400, "MALFORMED", "shape"),
    "none of 10^27": (promising((0, 10**9, 10**9, 10**9)), NPY, "spins", 400, "MALFORMED", "larger than any array"),
    "a negative length": (promising((-1, -4), b"\1" * 4), NPY, "spins", 400, "MALFORMED", "shape"),
    "100 axes": (promising((1,) * 100, b"\1"), NPY, "spins", 400, "MALFORMED", "shape"),
    "too many sites": (npy(np.ones((2, 301), np.int8)), NPY, "spins", 422, "LIMIT_EXCEEDED", "MAX_SITES"),
    "too many numbers": (npy(np.ones((21, 200), np.int8)), NPY, "spins", 422, "LIMIT_EXCEEDED", "MAX_SAMPLE_VALUES"),
    "too many bytes": (b"\0" * 20_001, NPY, "spins", 413, "PAYLOAD_TOO_LARGE", "20000"),
    "npz without samples": (npz(labels=np.arange(3)), NPZ, "spins", 422, "INVALID_VALUE", "no array 'samples'"),
    "another array": (npz(samples=SPINS, mask=SPINS), NPZ, "spins", 422, "INVALID_VALUE", "mask.npy"),
    "a path": (zipped({"../samples.npy": npy(SPINS)}), NPZ, "spins", 422, "INVALID_VALUE", "../samples.npy"),
    "an absolute path": (zipped({"/samples.npy": npy(SPINS)}), NPZ, "spins", 422, "INVALID_VALUE", "member"),
    "a folder": (zipped({"samples.npy/": b""}), NPZ, "spins", 422, "INVALID_VALUE", "member"),
    "twice": (twice(), NPZ, "spins", 422, "INVALID_VALUE", "twice"),
    "encrypted": (encrypted(), NPZ, "spins", 400, "MALFORMED", "encrypted"),
    "bzip2": (npz(zipfile.ZIP_BZIP2, samples=SPINS), NPZ, "spins", 400, "MALFORMED", "neither none nor deflate"),
    "a bomb": (BOMB, NPZ, "bits", 422, "LIMIT_EXCEEDED", "MAX_BODY_BYTES"),
    "a bomb in two parts": (
        zipped({"samples.npy": b"\0" * 11_000, "labels.npy": b"\0" * 11_000}, zipfile.ZIP_DEFLATED),
        NPZ, "bits", 422, "LIMIT_EXCEEDED", "MAX_BODY_BYTES",
    ),
    "announced short": (announcing(20), NPZ, "spins", 400, "MALFORMED", "npz"),
    "announced long": (announcing(15_000), NPZ, "spins", 400, "MALFORMED", "announces 15000"),
    "announced huge": (announcing(2**32 - 2), NPZ, "spins", 422, "LIMIT_EXCEEDED", "MAX_BODY_BYTES"),
    "crowded": (crowded(), NPZ, "spins", 400, "MALFORMED", "too many entries"),
    "a broken member": (flipped(), NPZ, "spins", 400, "MALFORMED", "CRC"),
    "npz trailing": (npz(samples=SPINS) + b"tail", NPZ, "spins", 400, "MALFORMED", "first to its last byte"),
    "npz behind something": (b"#!/bin/sh\n" + npz(samples=SPINS), NPZ, "spins", 400, "MALFORMED", "first to its last"),
    "npz cut short": (npz(samples=SPINS)[:-30], NPZ, "spins", 400, "MALFORMED", "npz"),
    "npz empty": (b"", NPZ, "spins", 400, "MALFORMED", "npz"),
    "npz of nothing": (zipped({}), NPZ, "spins", 400, "MALFORMED", "npz"),
    "npy as npz": (npy(SPINS), NPZ, "spins", 400, "MALFORMED", "npz"),
    "npz as npy": (npz(samples=SPINS), NPY, "spins", 400, "MALFORMED", "does not begin as one"),
    "a pickle in npz": (zipped({"samples.npy": OBJECTS}), NPZ, "spins", 400, "MALFORMED", "pickled"),
    "no npy in npz": (zipped({"samples.npy": b"hello"}), NPZ, "spins", 400, "MALFORMED", "'samples' of the npz file"),
    "labels of a half": (npz(samples=SPINS, labels=np.ones(4) / 2), NPZ, "spins", 422, "INVALID_VALUE", "labels"),
    "too few labels": (npz(samples=SPINS, labels=np.arange(3)), NPZ, "spins", 422, "INVALID_VALUE", "(4,)"),
    "two axes of labels": (npz(samples=SPINS, labels=np.ones((4, 1), int)), NPZ, "spins", 422, "INVALID_VALUE", "(4,)"),
    "a label of 2^63": (
        npz(samples=SPINS, labels=np.full(4, 2**63, np.uint64)), NPZ, "spins", 422, "INVALID_VALUE", "below 2^63",
    ),
    "an unknown space": (npy(SPINS), NPY, "quaternions", 422, "INVALID_VALUE", "spins"),
    "broken JSON": (npy(SPINS), NPY, "{kind", 422, "INVALID_VALUE", "space is not JSON"),
    "an event shape": (npy(SPINS), NPY, {"kind": "spins", "event_shape": [2, 3]}, 422, "INVALID_VALUE", "event_shape"),
    "values for spins": (npy(SPINS), NPY, {"kind": "spins", "num_values": 2}, 422, "INVALID_VALUE", "num_values"),
    "too long a box": (
        npy(np.zeros((1, 2, 3))), NPY, {"kind": "particles", "box": [1, 1]}, 422, "INVALID_VALUE", "box",
    ),
    "text": (b"1 2 3", "text/csv", "reals", 415, "UNSUPPORTED_MEDIA_TYPE", "text/csv"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_refused_and_nothing_is_kept(ask: Ask, context: Context, name: str) -> None:
    body, kind, space, status, reason, words = BAD[name]
    assert_refused(upload(ask, body, kind, space), status, reason, words)
    assert kept(context) == (0, 0)


def test_a_bad_name_and_a_missing_space_are_refused(ask: Ask, context: Context) -> None:
    for name in ("", "../etc", "Upper", "a" * 64, "a/b", "a\n"):
        assert_refused(upload(ask, npy(SPINS), name=name or "-"), 422, "INVALID_VALUE", "name")
    answer = ask("POST", "/v1/datasets?space=bits", json={"builtin": "digits"})
    assert_refused(answer, 422, "INVALID_VALUE", "spaces of their own")
    answer = ask("POST", "/v1/datasets", content=npy(SPINS), headers={"Content-Type": NPY})
    assert_refused(answer, 422, "INVALID_VALUE", "?space=")
    assert kept(context) == (0, 0)


@pytest.mark.parametrize("body", [BAD["10^18 numbers"][0], BOMB, announcing(2**32 - 2), promising((10**5, 39), b"")])
def test_what_is_only_promised_takes_no_memory(body: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(HelmholtzError):
        arrays_from_npz(body, KNOWN, LIMITS) if body[:2] == b"PK" else array_from_npy(body, LIMITS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500_000


JSON_BAD: list[tuple[object, int, str, str]] = [
    ({}, 422, "INVALID_VALUE", "neither 'builtin' nor 'target'"),
    ([], 422, "INVALID_VALUE", "object"),
    ({"builtin": "mnist"}, 422, "INVALID_VALUE", "digits"),
    ({"builtin": "digits", "threshold": 99}, 422, "INVALID_VALUE", "threshold"),
    ({"builtin": "bitstrings", "qubits": 20, "depth": 900, "n": 1}, 422, "INVALID_VALUE", "at most 31"),
    ({"builtin": "bars_and_stripes", "shape": [4, 4], "n": 10**7}, 422, "LIMIT_EXCEEDED", "MAX_SAMPLE_VALUES"),
    ({"builtin": "bars_and_stripes", "shape": [32, 32], "n": 1}, 422, "LIMIT_EXCEEDED", "MAX_SITES"),
    ({"builtin": "bars_and_stripes", "shape": [2, 2], "n": 1, "name": "../x"}, 422, "INVALID_VALUE", "name"),
    ({"target": {"kind": "ising", "shape": [4, 4]}}, 422, "INVALID_VALUE", "n: field required"),
    ({"target": {"kind": "ising", "shape": [4, 4]}, "n": 10**7}, 422, "LIMIT_EXCEEDED",
     "at most 250 are allowed here, 4000 numbers in all (setting HELMHOLTZ_MAX_SAMPLE_VALUES)"),
    ({"target": {"kind": "ising", "shape": [4, 4]}, "n": 1, "kind": "train"}, 422, "INVALID_VALUE",
     "here it is 'dataset', or left out"),
    ({"target": {"kind": "ising", "shape": [4, 4]}, "n": 1, "kind": None}, 422, "INVALID_VALUE", "kind is null"),
    ({"target": {"kind": "ising", "shape": [4, 4]}, "n": 1, "name": "A b"}, 422, "INVALID_VALUE",
     "'A b' is not the name of a dataset"),
    ({"builtin": "digits", "name": "A b"}, 422, "INVALID_VALUE", "'A b' is not the name of a dataset"),
    ({"builtin": "digits", "kind": "train"}, 422, "INVALID_VALUE", "no field of this name"),
    ({"target": {"kind": "ising", "shape": [4, 4]}, "n": 1, "sampler": "magic"}, 422, "INVALID_VALUE", "sampler"),
    ({"target": {"kind": "bitstrings", "qubits": 3, "depth": 1}, "n": 1, "sampler": "metropolis"}, 422,
     "INVALID_VALUE", "works on"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "reason", "words"), JSON_BAD)
def test_bad_json_is_refused_and_nothing_is_kept(
    ask: Ask, context: Context, body: object, status: int, reason: str, words: str
) -> None:
    assert_refused(ask("POST", "/v1/datasets", json=body), status, reason, words)
    assert kept(context) == (0, 0)
    assert ask("GET", "/v1/jobs").json()["jobs"] == []


def test_builtins_are_kept_with_their_origin(ask: Ask) -> None:
    spec = {"builtin": "bars_and_stripes", "shape": [3, 3], "n": 20, "seed": 5}
    record = ask("POST", "/v1/datasets?name=bars", json=spec).json()
    assert record["name"] == "bars"
    assert record["source"] == {"kind": "builtin", **spec, "target": record["source"]["target"]}
    assert record["source"]["target"]["kind"] == "bars_and_stripes"
    again = ask("POST", "/v1/datasets", json=spec).json()
    assert (again["name"], again["digest"]) == ("bars_and_stripes", record["digest"])
    rows = ask("GET", f"/v1/datasets/{record['id']}/samples").json()["samples"]
    assert np.array(rows).shape == (20, 3, 3)
    digits = ask("POST", "/v1/datasets", json={"builtin": "digits", "split": "test", "name": "held-out"}).json()
    assert (digits["num_samples"], digits["labels"], digits["name"]) == (360, True, "held-out")


def test_the_list_has_pages(ask: Ask) -> None:
    made = [upload(ask, npy(SPINS[:1]), name=f"n{i}").json()["id"] for i in range(5)]
    found: list[str] = []
    token = ""
    while True:
        page = ask("GET", f"/v1/datasets?page_size=2{token}").json()
        found += [d["id"] for d in page["datasets"]]
        if page["next_page_token"] is None:
            break
        token = f"&page_token={page['next_page_token']}"
    assert found == made[::-1]
    assert_refused(ask("GET", "/v1/datasets?page_token=abc"), 422, "INVALID_VALUE", "page_token")
    assert_refused(ask("GET", "/v1/datasets?page_size=0"), 422, "INVALID_VALUE", "page_size")


def test_a_dataset_that_a_job_needs_is_not_deleted(ask: Ask, context: Context) -> None:
    dataset, other = (upload(ask, npy(SPINS)).json()["id"] for _ in range(2))
    body = {"target": {"kind": "ising", "shape": [2, 2]}, "n": 3, "sampler": "metropolis"}
    job = ask("POST", "/v1/jobs", json=body | {"kind": "dataset"}).json()["id"]
    for state, status in (("queued", 409), ("running", 409), ("failed", 204)):
        with context.database.transaction() as connection:
            spec = {"kind": "train", "data": {"dataset": dataset}}
            connection.execute(update(jobs).where(jobs.c.id == job).values(spec=spec, state=state))
        answer = ask("DELETE", f"/v1/datasets/{dataset}")
        assert answer.status_code == status
        if status == 409:
            assert_refused(answer, 409, "DATASET_IN_USE", job)
            assert ask("DELETE", f"/v1/datasets/{other}").status_code in {204, 404}
    assert_refused(ask("DELETE", f"/v1/datasets/{dataset}"), 404, "DATASET_NOT_FOUND", dataset)


def test_a_target_becomes_a_job_once_for_each_key(ask: Ask) -> None:
    body = {"target": {"kind": "ising", "shape": [2, 2]}, "n": 3, "sampler": "metropolis", "name": "mine"}
    first = ask("POST", "/v1/datasets", json=body, headers={"Idempotency-Key": "k"})
    assert first.status_code == 202
    job = first.json()
    assert first.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["kind"], job["state"]) == ("dataset", "queued")
    assert ask("POST", "/v1/datasets", json=body, headers={"Idempotency-Key": "k"}).json()["id"] == job["id"]
    whole = body | {"kind": "dataset"}
    assert ask("POST", "/v1/jobs", json=whole, headers={"Idempotency-Key": "k"}).json()["id"] == job["id"]
    other = ask("POST", "/v1/datasets", json=body | {"n": 4}, headers={"Idempotency-Key": "k"})
    assert_refused(other, 422, "IDEMPOTENCY_MISMATCH", "'k'")


def test_changed_bytes_are_never_served(ask: Ask, context: Context) -> None:
    record = upload(ask, npy(SPINS)).json()
    (blob,) = (file for file in (context.settings.data_dir / "artifacts").rglob("*") if file.is_file())
    blob.write_bytes(blob.read_bytes()[:-1] + b"\x07")
    path = f"/v1/datasets/{record['id']}/samples"
    assert_refused(ask("GET", path), 409, "CORRUPT_ARTIFACT", record["digest"])
    blob.unlink()
    assert_refused(ask("GET", path), 409, "CORRUPT_ARTIFACT", "missing")


MEMBERS = st.dictionaries(
    st.sampled_from(["samples.npy", "labels.npy", "mask.npy", "samples", "../samples.npy"]),
    st.sampled_from([npy(SPINS), npy(np.arange(4)), OBJECTS, b"", promising((10**6, 10**6))])
    | st.binary(max_size=60).map(lambda rest: b"\x93NUMPY\x01\x00" + rest),
    max_size=3,
)


@MANY
@given(members=MEMBERS, compression=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]), data=st.data())
@pytest.mark.filterwarnings("ignore")
def test_any_archive_is_arrays_or_an_error_of_ours(
    members: dict[str, bytes], compression: int, data: st.DataObject
) -> None:
    body = bytearray(zipped(members, compression))
    for _ in range(data.draw(st.integers(0, 3), label="changes")):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    body = body[: data.draw(st.integers(0, len(body)) | st.just(len(body)), label="length")]
    try:
        arrays = arrays_from_npz(bytes(body), KNOWN, LIMITS)
    except HelmholtzError as error:
        assert error.detail  # noqa: PT017 - either outcome is right
    else:
        assert set(arrays) <= KNOWN
        assert sum(array.nbytes for array in arrays.values()) <= LIMITS.max_body_bytes


@MANY
@given(body=st.binary(max_size=300))
def test_any_bytes_are_arrays_or_an_error_of_ours(body: bytes) -> None:
    with pytest.raises(HelmholtzError):
        arrays_from_npz(b"PK\x03\x04" + body, KNOWN, LIMITS)
