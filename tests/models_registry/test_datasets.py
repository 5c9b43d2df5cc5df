"""Datasets: kept under the digest of their bytes, verified when read, and deleted only when nobody needs them."""

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Connection

from models_registry.blobs import BlobStore
from models_registry.database import Database
from models_registry.datasets import DatasetManifest, DatasetRecord, Datasets, pack_samples
from zoo.specs.datasets import LabelledSamples
from zoo.specs.errors import CorruptArtifactError, InvalidValueError, NotFoundError, StateConflictError
from zoo.specs.spaces import SpaceSpec

BOX = SpaceSpec(kind="particles", event_shape=(2, 1), box=(3.0,))
SPINS = SpaceSpec(kind="spins", event_shape=(3,))
ROWS = np.array([[1, -1, 1], [1, 1, 1]], dtype=np.int8)
SOURCE = {"kind": "sampler", "target": {"kind": "ising", "shape": [3]}, "diagnostics": {"r_hat": 1.0}}


@pytest.fixture
def datasets(database: Database, blobs: BlobStore) -> Datasets:
    return Datasets(database, blobs)


def spins(rows: np.ndarray = ROWS, labels: list[int] | None = None) -> LabelledSamples:
    return LabelledSamples(SPINS, rows, None if labels is None else np.array(labels, dtype=np.int64))


def nobody(connection: Connection, dataset_id: str) -> list[str]:
    return []


def manifest(job_id: str | None, name: str = "mine") -> DatasetManifest:
    return DatasetManifest(name=name, space=SPINS, num_samples=2, labels=False, source=SOURCE, job_id=job_id)


@pytest.mark.parametrize("labels", [None, [3, -(2**40)]])
def test_data_comes_back_as_it_went_in(datasets: Datasets, labels: list[int] | None) -> None:
    stored = datasets.store("mine", spins(labels=labels), SOURCE)
    record = datasets.get(stored.id)
    assert record == stored
    assert (record.name, record.num_samples, record.space, record.source) == ("mine", 2, SPINS, SOURCE)
    assert record.labels == (labels is not None)
    data = datasets.read(record)
    np.testing.assert_array_equal(data.samples, ROWS)
    assert data.samples.dtype == np.int8
    assert (None if data.labels is None else data.labels.tolist()) == labels
    assert len(record.id) >= 16


def test_every_field_of_a_space_is_kept(datasets: Datasets) -> None:
    x = np.array([[[0.5], [-1.5]]])
    record = datasets.store("mine", LabelledSamples(BOX, x), {"kind": "upload"})
    assert datasets.get(record.id).space == BOX
    assert datasets.read(record).samples.dtype == np.float64


def test_equal_data_has_one_digest_and_other_data_another(datasets: Datasets) -> None:
    digests = [datasets.store("a", spins(), SOURCE).digest, datasets.store("b", spins(), {"kind": "upload"}).digest]
    assert digests[0] == digests[1]
    others = [spins(-ROWS), spins(labels=[0, 1]), LabelledSamples(SPINS, ROWS.astype(np.float64))]
    assert len({pack_samples(data) for data in (spins(), *others)}) == 4


@pytest.mark.parametrize("name", ["", "A", "a b", "../a", "a" * 64, "-a", "a\n"])
def test_a_bad_name_is_refused_before_anything_is_kept(datasets: Datasets, blob_root: Path, name: str) -> None:
    with pytest.raises(InvalidValueError, match="is not the name of a dataset") as caught:
        datasets.store(name, spins(), SOURCE)
    assert [error.path for error in caught.value.errors] == ["name"]
    assert [file for file in blob_root.rglob("*") if file.is_file()] == []


def test_pages_are_newest_first_and_stay_still(datasets: Datasets) -> None:
    made = [datasets.store(f"n{i}", spins(), SOURCE).id for i in range(5)]
    first = datasets.list(2)
    datasets.store("late", spins(), SOURCE)
    second = datasets.list(2, first.next_page_token)
    third = datasets.list(2, second.next_page_token)
    assert [record.id for page in (first, second, third) for record in page.items] == made[::-1]
    assert third.next_page_token is None
    with pytest.raises(InvalidValueError, match="page_token"):
        datasets.list(2, "abc")


def test_an_unknown_id_is_answered_with_the_newest(datasets: Datasets) -> None:
    with pytest.raises(NotFoundError, match="there is none yet"):
        datasets.get("nothing")
    known = datasets.store("mine", spins(), SOURCE)
    with pytest.raises(NotFoundError, match=rf"no dataset 'nothing'; the newest are {known.id} \(mine\)"):
        datasets.get("nothing")


def test_a_flipped_bit_is_never_read(datasets: Datasets, blob_root: Path) -> None:
    record = datasets.store("mine", spins(), SOURCE)
    (blob,) = (file for file in blob_root.rglob("*") if file.is_file())
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    with pytest.raises(CorruptArtifactError, match=record.digest):
        datasets.read(record)
    blob.unlink()
    with pytest.raises(CorruptArtifactError, match="missing"):
        datasets.read(record)


def test_what_is_used_is_not_deleted(datasets: Datasets) -> None:
    record, other = (datasets.store(name, spins(), SOURCE) for name in ("mine", "other"))
    asked: list[str] = []

    def used(connection: Connection, dataset_id: str) -> list[str]:
        asked.append(dataset_id)
        return ["job 7", "job 8"]

    with pytest.raises(StateConflictError, match="in use by job 7, job 8") as caught:
        datasets.delete(record.id, used)
    assert caught.value.reason == "DATASET_IN_USE"
    assert asked == [record.id]
    assert datasets.get(record.id) == record
    datasets.delete(record.id, nobody)
    with pytest.raises(NotFoundError):
        datasets.delete(record.id, nobody)
    np.testing.assert_array_equal(datasets.read(other).samples, ROWS)  # its blob was shared


def insert(datasets: Datasets, database: Database, made: DatasetManifest, *, fails: bool = False) -> DatasetRecord:
    """One dataset in a transaction of its own, which may fail after it."""
    with database.transaction() as connection:
        record = datasets.insert(connection, made, "0" * 64, 10)
        if fails:
            msg = "after it"
            raise ValueError(msg)
        return record


def test_a_job_makes_one_dataset(datasets: Datasets, database: Database) -> None:
    insert(datasets, database, manifest("j1"))
    with pytest.raises(StateConflictError, match="'j1' has made a dataset already"):
        insert(datasets, database, manifest("j1", "again"))
    insert(datasets, database, manifest("j2"))
    insert(datasets, database, manifest(None))
    insert(datasets, database, manifest(None))
    assert [record.name for record in datasets.list().items] == ["mine"] * 4


def test_what_is_rolled_back_was_never_there(datasets: Datasets, database: Database) -> None:
    with pytest.raises(ValueError, match="after it"):
        insert(datasets, database, manifest("j1"), fails=True)
    assert datasets.list().items == ()
