"""Aliases move in transactions, one at a time, past the physics gate, and remember where they were."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from models_registry import gate
from models_registry.aliases import Aliases, AliasRecord
from models_registry.database import Database
from models_registry.versions import VersionManifest, VersionRecord, Versions
from zoo.specs.errors import (
    InvalidValueError,
    NotFoundError,
    PreconditionFailedError,
    PreconditionRequiredError,
    StateConflictError,
)

Publish = Callable[..., VersionRecord]
TARGET = {"kind": "ising", "shape": [8, 8], "beta": 0.44}


def move(aliases: Aliases, version: int, if_match: str | None = "*", *, force: bool = False) -> AliasRecord:
    return aliases.set("m", "champion", version, if_match=if_match, force=force, caller="me")


def test_creating_needs_no_precondition(publish: Publish, aliases: Aliases) -> None:
    publish()
    record = move(aliases, 1, None)
    assert record == aliases.get("m", "champion")
    assert (record.model, record.alias, record.version) == ("m", "champion", 1)
    assert aliases.all("m") == (record,)


def test_a_star_creates_or_moves(publish: Publish, aliases: Aliases) -> None:
    publish()
    publish()
    assert move(aliases, 1, "*").version == 1
    assert move(aliases, 2, "*").version == 2


def test_moving_needs_the_present_tag(publish: Publish, aliases: Aliases) -> None:
    for _ in range(3):
        publish()
    first = move(aliases, 1, None)
    with pytest.raises(PreconditionRequiredError, match=f"now {first.etag}"):
        move(aliases, 2, None)
    with pytest.raises(PreconditionFailedError, match="it points at version 1"):
        move(aliases, 2, '"someone-elses"')
    second = move(aliases, 2, first.etag)
    assert second.version == 2
    with pytest.raises(PreconditionFailedError, match="it points at version 2"):
        move(aliases, 3, first.etag)
    assert aliases.get("m", "champion") == second


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', " {} "])
def test_a_tag_is_known_in_every_form_that_http_allows(publish: Publish, aliases: Aliases, form: str) -> None:
    publish()
    publish()
    etag = move(aliases, 1, None).etag
    assert etag.startswith('"')
    assert etag.endswith('"')
    assert move(aliases, 2, form.format(etag)).version == 2


def test_a_tag_never_comes_again(publish: Publish, aliases: Aliases) -> None:
    """An alias that went away and came back is not in the state that the first reader saw."""
    publish()
    publish()
    tags = [move(aliases, version).etag for version in (1, 2, 1, 2)]
    assert len(set(tags)) == 4
    with pytest.raises(PreconditionFailedError):
        move(aliases, 1, tags[1])


def test_a_tag_for_an_alias_that_is_not_there(publish: Publish, aliases: Aliases) -> None:
    publish()
    with pytest.raises(PreconditionFailedError, match="create it without If-Match"):
        move(aliases, 1, '"1"')


def test_setting_it_where_it_is_changes_nothing(publish: Publish, aliases: Aliases) -> None:
    publish()
    first = move(aliases, 1, None)
    assert move(aliases, 1, None) == move(aliases, 1, first.etag) == first
    assert len(aliases.history("m", "champion")) == 1
    with pytest.raises(PreconditionFailedError):
        move(aliases, 1, '"stale"')


def test_of_many_movers_with_one_tag_exactly_one_wins(publish: Publish, aliases: Aliases) -> None:
    for _ in range(9):
        publish()
    etag = move(aliases, 1, None).etag
    outcomes: Counter[str] = Counter()
    start = threading.Barrier(8)

    def compete(version: int) -> None:
        start.wait()
        try:
            move(aliases, version, etag)
            outcomes["moved"] += 1
        except PreconditionFailedError:
            outcomes["refused"] += 1

    threads = [threading.Thread(target=compete, args=(version,)) for version in range(2, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {"moved": 1, "refused": 7}
    assert len(aliases.history("m", "champion")) == 2
    assert aliases.history("m", "champion")[0].version == aliases.get("m", "champion").version


@pytest.mark.parametrize("alias", ["latest", "Prod", "1st", "", "a_b", "a" * 64])
def test_names_that_no_alias_has(publish: Publish, aliases: Aliases, alias: str) -> None:
    publish()
    calls: list[Callable[[], object]] = [
        lambda: aliases.set("m", alias, 1, if_match=None, force=False, caller="me"),
        lambda: aliases.get("m", alias),
        lambda: aliases.rollback("m", alias, "me"),
        lambda: aliases.history("m", alias),
    ]
    for call in calls:
        with pytest.raises(InvalidValueError):
            call()


def test_what_is_not_there(publish: Publish, aliases: Aliases) -> None:
    publish()
    with pytest.raises(NotFoundError, match="no version '2' of model 'm'; it has version 1"):
        move(aliases, 2, None)
    for call in (aliases.get, aliases.history):
        with pytest.raises(NotFoundError, match="no alias 'champion'; it has version 1 and no alias"):
            call("m", "champion")
        with pytest.raises(NotFoundError, match="no model 'x'"):
            call("x", "champion")
    with pytest.raises(NotFoundError, match="no model 'x'"):
        aliases.all("x")


def test_rollback_is_a_move_to_the_row_before(publish: Publish, aliases: Aliases) -> None:
    for beta_f in (-70.0, -71.0, -72.0):
        publish(beta_f=beta_f)
    for version in (1, 2, 3):
        move(aliases, version)
    assert aliases.rollback("m", "champion", "the operator").version == 2  # though worse: no gate on the way back
    assert aliases.rollback("m", "champion", "me").version == 3
    moves = aliases.history("m", "champion")
    assert [(m.version, m.previous_version, m.action) for m in moves] == [
        (3, 2, "rollback"), (2, 3, "rollback"), (3, 2, "set"), (2, 1, "set"), (1, None, "set"),
    ]  # fmt: skip
    assert [m.caller for m in moves][:2] == ["me", "the operator"]
    assert aliases.get("m", "champion").updated_at == moves[0].at


def test_rollback_needs_somewhere_to_go(publish: Publish, aliases: Aliases, versions: Versions) -> None:
    records = [publish(), publish(), publish()]
    move(aliases, 1, None)
    with pytest.raises(StateConflictError, match="version 1 from its creation") as caught:
        aliases.rollback("m", "champion", "me")
    assert caught.value.reason == "NO_PREVIOUS_VERSION"
    move(aliases, 2)
    versions.delete_version("m", 1)
    with pytest.raises(NotFoundError, match="it has versions 2 to 3"):
        aliases.rollback("m", "champion", "me")
    move(aliases, 3)
    versions.quarantine(records[1].digest)
    with pytest.raises(StateConflictError) as caught:
        aliases.rollback("m", "champion", "me")
    assert caught.value.reason == "QUARANTINED"
    assert aliases.get("m", "champion").version == 3


def test_history_travels_in_time(publish: Publish, aliases: Aliases, database: Database) -> None:
    for _ in range(3):
        publish()
    for version in (1, 2, 3):
        move(aliases, version)
    with database.transaction() as connection:
        connection.execute(text("UPDATE alias_history SET at = 1000.0 + 10.0 * version"))

    def in_force(at: float) -> list[int]:
        return [m.version for m in aliases.history("m", "champion", at)]

    assert [in_force(at) for at in (1009.99, 1010.0, 1019.99, 1020.0, 1029.99, 1030.0, 9e9)] == [
        [], [1], [1], [2], [2], [3], [3],
    ]  # fmt: skip
    assert [m.version for m in aliases.history("m", "champion")] == [3, 2, 1]


def test_aliases_of_a_model_do_not_mix(publish: Publish, aliases: Aliases) -> None:
    publish("m")
    publish("n")
    for model, alias in (("m", "b"), ("m", "a"), ("n", "a")):
        aliases.set(model, alias, 1, if_match=None, force=False, caller="me")
    assert [record.alias for record in aliases.all("m")] == ["a", "b"]
    assert [(m.model, m.alias) for m in aliases.history("n", "a")] == [("n", "a")]


def test_a_quarantined_version_is_refused_even_by_force(publish: Publish, aliases: Aliases, versions: Versions) -> None:
    publish()
    versions.quarantine(publish().digest)
    move(aliases, 1, None)
    with pytest.raises(StateConflictError) as caught:
        move(aliases, 2, force=True)
    assert caught.value.reason == "QUARANTINED"


def test_a_worse_version_needs_force_and_the_force_is_recorded(publish: Publish, aliases: Aliases) -> None:
    publish(beta_f=-72.5, sigma=0.03)
    publish(beta_f=-71.25, sigma=0.04)
    move(aliases, 1, None)
    with pytest.raises(StateConflictError, match=r"-71\.25 \+- 0\.04.*-72\.5 \+- 0\.03") as caught:
        move(aliases, 2)
    assert caught.value.reason == "PHYSICS_GATE"
    assert aliases.get("m", "champion").version == 1
    assert move(aliases, 2, force=True).version == 2
    assert [m.forced for m in aliases.history("m", "champion")] == [True, False]
    assert move(aliases, 1).version == 1


def test_another_target_needs_force(publish: Publish, aliases: Aliases) -> None:
    publish()
    publish(beta_f=-100.0, target=TARGET | {"beta": 0.3})
    move(aliases, 1, None)
    with pytest.raises(StateConflictError, match="another target") as caught:
        move(aliases, 2)
    assert caught.value.reason == "PHYSICS_GATE"
    assert move(aliases, 2, force=True).version == 2


@pytest.mark.parametrize(
    ("new", "old", "allowed"),
    [
        ((-69.0, 0.0), (-70.0, 0.0), False),
        ((-71.0, 0.0), (-70.0, 0.0), True),
        ((-70.0, 0.0), (-70.0, 0.0), True),
        ((-68.6, 0.3), (-70.0, 0.4), True),  # 1.4 = 2.8 sqrt(0.3^2 + 0.4^2)
        ((-68.4, 0.3), (-70.0, 0.4), False),  # 1.6 = 3.2 sigma
        ((-69.0, None), (-70.0, None), False),
        ((None, None), (-70.0, 0.1), False),
        ((-70.0, 0.1), (None, None), True),
        ((None, None), (None, None), True),
    ],
)
def test_the_gate_is_three_combined_sigma(
    publish: Publish,
    new: tuple[float | None, float | None],
    old: tuple[float | None, float | None],
    allowed: bool,  # noqa: FBT001
) -> None:
    current, candidate = publish("m", *old), publish("m", *new)
    assert (gate.refusal(candidate, current) is None) == allowed


def test_a_gate_of_the_wrong_sign_or_of_summed_errors_would_be_seen(publish: Publish) -> None:
    """The cases above tell the rule from its likely mistakes."""

    def wrong_sign(candidate: VersionRecord, current: VersionRecord) -> bool:
        return gate.refusal(current, candidate) is None

    def summed(candidate: VersionRecord, current: VersionRecord) -> bool:
        gap = candidate.metrics["variational_beta_f"] - current.metrics["variational_beta_f"]
        sigma = candidate.metrics["standard_error"] + current.metrics["standard_error"]
        return bool(gap <= 3 * sigma)

    current, better, worse = publish("m", -70.0, 0.4), publish("m", -72.0, 0.3), publish("m", -68.4, 0.3)
    assert gate.refusal(better, current) is None
    assert not wrong_sign(better, current)
    assert gate.refusal(worse, current) is not None
    assert summed(worse, current)


def learnt(publish: Publish, nll: float | None, sigma: float | None = 0.1, **options: Any) -> VersionRecord:  # noqa: ANN401
    """A version that was learnt from data alone; its other number would let every gate pass."""
    metrics = {"held_out_nll": nll, "held_out_standard_error": sigma, "num_held_out": 180, "variational_beta_f": 0.0}
    return publish("m", target=None, **{"source": {"dataset": "a" * 64}, "metrics": metrics} | options)


@pytest.mark.parametrize(
    ("new", "old", "allowed"),
    [
        ((20.0, 0.3), (20.0, 0.4), True),
        ((21.4, 0.3), (20.0, 0.4), True),  # 1.4 = 2.8 sqrt(0.3^2 + 0.4^2)
        ((21.6, 0.3), (20.0, 0.4), False),  # 1.6 = 3.2 sigma
        ((18.0, 0.0), (20.0, 0.0), True),
        ((20.1, None), (20.0, None), False),
    ],
)
def test_of_versions_learnt_from_data_the_held_out_likelihood_decides(
    publish: Publish,
    new: tuple[float, float | None],
    old: tuple[float, float | None],
    allowed: bool,  # noqa: FBT001
) -> None:
    current, candidate = learnt(publish, *old), learnt(publish, *new)
    refusal = gate.refusal(candidate, current)
    assert (refusal is None) == allowed
    assert refusal is None or "negative log-likelihood of held-out data" in refusal


def test_of_versions_with_one_teacher_the_nearer_one_is_the_better(publish: Publish) -> None:
    def taught(divergence: float, by: str = "a") -> VersionRecord:
        metrics = {"kl_to_teacher": divergence, "kl_to_teacher_standard_error": 0.001, "variational_beta_f": 0.0}
        return publish("m", target=None, source={"teacher": by * 64}, metrics=metrics)

    current = taught(0.02)
    assert gate.refusal(taught(0.01), current) is None
    assert gate.refusal(taught(0.024), current) is None  # 2.8 sigma
    assert "divergence from the teacher" in (gate.refusal(taught(0.03), current) or "")
    assert gate.refusal(taught(0.01, by="b"), current) is not None


def test_a_version_without_held_out_likelihood_does_not_replace_one_with_it(publish: Publish) -> None:
    judged, unjudged = learnt(publish, 20.0), learnt(publish, 20.0, metrics={})
    assert "has no negative log-likelihood of held-out data" in (gate.refusal(unjudged, judged) or "")
    assert gate.refusal(judged, unjudged) is None


def test_models_of_each_class_are_judged_without_being_told_the_class(publish: Publish) -> None:
    marginal = {"held_out_marginal_nll": 21.0, "held_out_marginal_standard_error": 0.1}
    told = learnt(publish, 20.0, metrics={"held_out_nll": 18.0, "held_out_standard_error": 0.1} | marginal)
    assert gate.refusal(told, learnt(publish, 20.0)) is not None
    assert gate.refusal(told, learnt(publish, 21.0)) is None


def test_other_data_and_another_kind_of_origin_are_refused(publish: Publish, aliases: Aliases) -> None:
    learnt(publish, 20.0)
    learnt(publish, 1.0, source={"dataset": "b" * 64})
    publish("m")
    move(aliases, 1, None)
    with pytest.raises(StateConflictError, match="version 2 was learnt from other data than version 1") as caught:
        move(aliases, 2)
    assert caught.value.reason == "PHYSICS_GATE"
    with pytest.raises(
        StateConflictError, match="version 3 was trained on a target and version 1 was learnt from data"
    ):
        move(aliases, 3)
    assert move(aliases, 3, force=True).version == 3
    with pytest.raises(
        StateConflictError, match="version 3 was trained on a target and version 1 was learnt from data"
    ):
        move(aliases, 1)


def test_a_version_and_its_alias_appear_together_or_not_at_all(
    publish: Publish, versions: Versions, aliases: Aliases, database: Database
) -> None:
    first = publish()
    fields = {name: getattr(first, name) for name in VersionManifest.model_fields}

    def commit(job_id: str, *, lose_the_fence: bool) -> None:
        with database.transaction() as connection:
            manifest = VersionManifest.model_validate(fields | {"job_id": job_id})
            version = versions.publish(connection, manifest, first.digest, first.size_bytes).version
            aliases.set_in(connection, "m", "candidate", version, if_match="*", force=False, caller="trainer")
            if lose_the_fence:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        commit("job-a", lose_the_fence=True)
    assert aliases.all("m") == ()
    commit("job-b", lose_the_fence=False)
    assert versions.get("m", "candidate").version == 2


def test_a_refused_alias_does_not_take_the_version_with_it(
    publish: Publish, versions: Versions, aliases: Aliases, database: Database
) -> None:
    publish(beta_f=-72.0)
    publish(beta_f=-60.0)
    move(aliases, 1, None)
    with database.transaction() as connection:
        with pytest.raises(StateConflictError):
            aliases.set_in(connection, "m", "champion", 2, if_match="*", force=False, caller="trainer")
        aliases.set_in(connection, "m", "other", 2, if_match=None, force=False, caller="trainer")
    assert versions.get("m", 2).aliases == ("other",)
    assert len(aliases.history("m", "champion")) == 1
