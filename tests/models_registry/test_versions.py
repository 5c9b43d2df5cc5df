"""Versions are published once, never change, and damaged ones are never served."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from models_registry.aliases import Aliases
from models_registry.blobs import BlobStore
from models_registry.database import Database
from models_registry.digests import canonical_digest
from models_registry.records import spoken
from models_registry.versions import VersionManifest, VersionRecord, Versions
from zoo.specs.errors import CorruptArtifactError, InvalidValueError, NotFoundError, StateConflictError

Publish = Callable[..., VersionRecord]
TARGET = {"kind": "ising", "shape": [8, 8], "beta": 0.44}


def manifest_of(record: VersionRecord, **changes: object) -> VersionManifest:
    fields = {name: getattr(record, name) for name in VersionManifest.model_fields}
    return VersionManifest.model_validate(fields | changes)


def damage(blob_root: Path, digest: str) -> None:
    file = blob_root / "blobs" / digest[:2] / digest
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0b100
    file.write_bytes(data)


def test_a_published_version_says_where_it_came_from(publish: Publish, versions: Versions) -> None:
    record = publish(beta_f=-71.25, sigma=0.5, weights=b"abc", job_id="job-x")
    assert record == versions.get("m", 1)
    assert (record.model, record.version, record.job_id, record.size_bytes, record.state) == (
        "m",
        1,
        "job-x",
        3,
        "ready",
    )
    assert record.target == TARGET
    assert record.target_digest == canonical_digest(TARGET)
    assert record.seed == 2**53 - 1
    assert record.metrics["variational_beta_f"] == -71.25
    assert (record.dataset, record.parent, record.aliases) == (None, None, ())
    assert versions.read_weights(record) == b"abc"


def test_numbers_count_up_in_each_model(publish: Publish) -> None:
    assert [publish(name).version for name in ("a", "b", "a", "a", "b")] == [1, 1, 2, 3, 2]


def test_a_number_is_never_given_twice(publish: Publish, versions: Versions) -> None:
    for _ in range(3):
        publish()
    versions.delete_version("m", 3)
    assert publish().version == 4
    versions.delete_model("m")
    assert publish().version == 5


def test_a_job_publishes_once(publish: Publish, versions: Versions) -> None:
    publish(job_id="job-1")
    with pytest.raises(StateConflictError, match="version 1 of model 'm'") as caught:
        publish("other", job_id="job-1")
    assert caught.value.reason == "ALREADY_PUBLISHED"
    assert [record.model for record in versions.models().items] == ["m"]


def test_after_a_refused_publication_the_callers_transaction_goes_on(
    publish: Publish, versions: Versions, database: Database
) -> None:
    first = publish()
    with database.transaction() as connection:
        with pytest.raises(StateConflictError):
            versions.publish(connection, manifest_of(first), first.digest, first.size_bytes)
        second = versions.publish(connection, manifest_of(first, job_id="another"), first.digest, first.size_bytes)
    assert (second.version, versions.get("m", "latest").version) == (2, 2)


def test_a_transaction_that_fails_publishes_nothing(publish: Publish, versions: Versions, database: Database) -> None:
    first = publish()

    def commit() -> None:
        with database.transaction() as connection:
            versions.publish(connection, manifest_of(first, job_id="another"), first.digest, first.size_bytes)
            raise ZeroDivisionError  # the fence was lost, say

    with pytest.raises(ZeroDivisionError):
        commit()
    assert versions.model("m").num_versions == 1
    assert publish().version == 2


def test_one_job_committed_by_many_threads_has_one_version(
    publish: Publish, versions: Versions, database: Database
) -> None:
    first = publish()
    outcomes: list[str] = []

    def commit() -> None:
        try:
            with database.transaction() as connection:
                versions.publish(connection, manifest_of(first, job_id="same"), first.digest, first.size_bytes)
            outcomes.append("published")
        except StateConflictError as error:
            outcomes.append(error.reason)

    run_together([commit] * 8)
    assert sorted(outcomes) == ["ALREADY_PUBLISHED"] * 7 + ["published"]
    assert versions.model("m").num_versions == 2


def test_many_threads_publish_under_distinct_numbers(publish: Publish, versions: Versions) -> None:
    found: list[int] = []
    run_together([lambda: found.append(publish().version)] * 20)
    assert sorted(found) == list(range(1, 21))
    assert versions.model("m").latest_version == 20


@pytest.mark.parametrize(("field", "value"), [("seed", -1), ("seed", 2**53), ("target_digest", "x"), ("surprise", 1)])
def test_a_manifest_is_checked(publish: Publish, field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        manifest_of(publish(), **{field: value})


@pytest.mark.parametrize("name", ["", "Ising", "a/b", "../x", "a b", "x" * 64])
def test_a_model_has_a_proper_name(publish: Publish, name: str) -> None:
    with pytest.raises(InvalidValueError, match="not a model name"):
        publish(name)


def test_references(publish: Publish, versions: Versions, aliases: Aliases) -> None:
    for _ in range(3):
        publish()
    aliases.set("m", "champion", 2, if_match=None, force=False, caller="me")
    assert [versions.get("m", ref).version for ref in (1, "1", "003", "champion", "latest")] == [1, 1, 3, 2, 3]
    assert versions.get("m", 2).aliases == ("champion",)
    assert [record.aliases for record in versions.versions("m").items] == [(), ("champion",), ()]


def test_without_a_reference_production_is_meant_else_the_newest_ready(
    publish: Publish, versions: Versions, aliases: Aliases
) -> None:
    records = [publish() for _ in range(3)]
    assert versions.resolve("m").version == 3
    versions.quarantine(records[2].digest)
    assert versions.resolve("m").version == 2
    assert versions.resolve("m", 3).version == 3
    aliases.set("m", "production", 1, if_match=None, force=False, caller="me")
    assert versions.resolve("m", None).version == 1
    assert versions.resolve("m", "latest").version == 2


@pytest.mark.parametrize(
    ("model", "ref", "message"),
    [
        ("x", "latest", r"no model 'x'; the newest are 'm'"),
        ("m", "7", r"no version '7' of model 'm'; it has versions 1 to 2, 4"),
        ("m", "0", r"it has versions 1 to 2, 4"),
        ("m", 3, r"it has versions 1 to 2, 4"),
        ("m", -1, r"it has versions 1 to 2, 4"),
        ("m", "9" * 18, r"it has versions 1 to 2, 4"),
        ("m", "best", r"no alias 'best'; it has versions 1 to 2, 4 and the aliases good"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(
    publish: Publish, versions: Versions, aliases: Aliases, model: str, ref: str | int, message: str
) -> None:
    for _ in range(4):
        publish()
    versions.delete_version("m", 3)
    aliases.set("m", "good", 1, if_match=None, force=False, caller="me")
    with pytest.raises(NotFoundError, match=message):
        versions.get(model, ref)


def test_an_empty_registry_says_so(versions: Versions) -> None:
    assert versions.models().items == ()
    for look in (versions.model, versions.versions, versions.resolve, versions.delete_model):
        with pytest.raises(NotFoundError, match="no model 'm'; none has been published yet"):
            look("m")


@pytest.mark.parametrize("ref", ["UPPER", "", "a b", "x" * 64, "\x00"])
def test_a_reference_that_cannot_be_one(publish: Publish, versions: Versions, ref: str) -> None:
    publish()
    with pytest.raises(InvalidValueError, match="not an alias"):
        versions.get("m", ref)


def test_numbers_in_words() -> None:
    assert spoken([1]) == "version 1"
    assert spoken([1, 2, 3]) == "versions 1 to 3"
    assert spoken([2, 4, 5, 9]) == "versions 2, 4 to 5, 9"
    assert spoken(list(range(1, 61, 2))) == "versions ..., 41, 43, 45, 47, 49, 51, 53, 55, 57, 59"


def test_a_flipped_bit_quarantines_every_version_with_these_weights(
    publish: Publish, versions: Versions, blob_root: Path, blobs: BlobStore
) -> None:
    hit, twin, other = publish(weights=b"same"), publish("twin", weights=b"same"), publish(weights=b"different")
    assert versions.read_weights(hit) == b"same"
    damage(blob_root, hit.digest)
    with pytest.raises(CorruptArtifactError, match="version 1 of model 'm' is quarantined from now on"):
        versions.read_weights(hit)
    assert versions.get("m", 1).state == versions.get("twin", 1).state == "quarantined"
    for record in (hit, twin, versions.get("m", 1)):  # also with a record that was read before
        with pytest.raises(CorruptArtifactError, match="is quarantined: its stored weights were found damaged"):
            versions.read_weights(record)
    assert versions.read_weights(other) == b"different"
    blobs.put(b"same")  # even when the bytes are whole again, for someone has to look at it first
    with pytest.raises(CorruptArtifactError, match="quarantined"):
        versions.read_weights(hit)


def test_missing_weights_are_reported_and_can_be_restored(
    publish: Publish, versions: Versions, blobs: BlobStore
) -> None:
    record = publish(weights=b"abc")
    blobs.delete(record.digest)
    with pytest.raises(CorruptArtifactError, match=f"restore blob {record.digest}"):
        versions.read_weights(record)
    blobs.put(b"abc")
    assert versions.read_weights(record) == b"abc"


def test_what_an_alias_points_at_is_not_deleted(publish: Publish, versions: Versions, aliases: Aliases) -> None:
    records = [publish(), publish()]
    aliases.set("m", "champion", 1, if_match=None, force=False, caller="me")
    attempts: list[Callable[[], object]] = [
        lambda: versions.delete_version("m", 1),
        lambda: versions.delete_model("m"),
    ]
    for attempt in attempts:
        with pytest.raises(StateConflictError, match="champion") as caught:
            attempt()
        assert caught.value.reason == "VERSION_ALIASED"
    versions.delete_version("m", 2)
    assert versions.model("m").num_versions == 1
    assert versions.read_weights(records[0])
    with pytest.raises(NotFoundError, match="it has version 1"):
        versions.read_weights(records[1])


def test_models_say_what_they_hold(publish: Publish, versions: Versions, aliases: Aliases) -> None:
    for name in ("a", "b", "a"):
        publish(name)
    aliases.set("a", "champion", 1, if_match=None, force=False, caller="me")
    first, second = versions.models().items
    assert (first.model, first.num_versions, first.latest_version, first.aliases) == ("b", 1, 1, {})
    assert (second.model, second.num_versions, second.latest_version, second.aliases) == ("a", 2, 2, {"champion": 1})
    assert versions.model("a") == second


def run_together(tasks: Sequence[Callable[[], object]]) -> None:
    """Run each in a thread of its own; raise the first failure."""
    failures: list[BaseException] = []
    start = threading.Barrier(len(tasks))

    def run(task: Callable[[], object]) -> None:
        start.wait()
        try:
            task()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
