"""Stored estimates come back as they went in, filtered and in order; and models rank by their variational bound."""

import time
from collections.abc import Callable

import pytest
from sqlalchemy.exc import IntegrityError

from models_registry.digests import canonical_digest
from models_registry.estimates import EstimateRecord, Estimates
from models_registry.versions import VersionRecord, Versions

Publish = Callable[..., VersionRecord]
TARGET = {"kind": "ising", "shape": [8, 8], "beta": 0.44}

DIGEST = canonical_digest(TARGET)


def estimate(**changes: object) -> EstimateRecord:
    fields: dict[str, object] = {
        "model": "m",
        "version": 1,
        "target_kind": "ising",
        "target_digest": DIGEST,
        "beta": 0.44,
        "beta_f": -59.5,
        "standard_error": 0.01,
        "num_samples": 10_000,
        "effective_sample_size": 9000.5,
        "pareto_k": 0.2,
        "method": "importance",
        "reliable": True,
        "exact_beta_f": -59.49,
        "seed": 2**53 - 1,
    }
    return EstimateRecord.model_validate(fields | changes)


def test_an_estimate_comes_back_with_its_time(estimates: Estimates) -> None:
    sent = estimate()
    stored = estimates.store(sent)
    assert stored.created_at == pytest.approx(time.time(), abs=5)
    assert stored == sent.model_copy(update={"created_at": stored.created_at})
    assert estimates.list().items == (stored,)


def test_what_could_not_be_estimated_is_kept_as_such(estimates: Estimates) -> None:
    fields = ("beta_f", "standard_error", "effective_sample_size", "pareto_k", "exact_beta_f", "seed")
    stored = estimates.store(estimate(reliable=False, **dict.fromkeys(fields)))
    assert [getattr(stored, name) for name in fields] == [None] * 6
    assert not stored.reliable


def test_filters_narrow_the_list(estimates: Estimates) -> None:
    changes: list[dict[str, object]] = [{}, {"model": "n"}, {"version": 2}, {"target_kind": "phi4"}]
    for i, change in enumerate(changes):
        estimates.store(estimate(id=f"e{i}", created_at=float(i), **change))

    def found(**filters: object) -> list[str]:
        return [record.id for record in estimates.list(**filters).items]  # type: ignore[arg-type]

    assert found() == ["e3", "e2", "e1", "e0"]
    assert found(model="m") == ["e3", "e2", "e0"]
    assert found(version=2) == ["e2"]
    assert found(target_kind="phi4") == ["e3"]
    assert found(since=2.0) == ["e3", "e2"]
    assert found(model="m", version=1, since=0.5) == ["e3"]
    assert found(model="nobody") == []


def test_pages_of_estimates_of_one_instant(estimates: Estimates) -> None:
    for i in range(7):
        estimates.store(estimate(id=f"e{i}", created_at=1000.125))
    first = estimates.list(page_size=3)
    estimates.store(estimate(id="z-late", created_at=1000.125))
    second = estimates.list(page_size=3, page_token=first.next_page_token)
    third = estimates.list(page_size=3, page_token=second.next_page_token)
    assert [e.id for page in (first, second, third) for e in page.items] == [f"e{i}" for i in range(6, -1, -1)]
    assert third.next_page_token is None


def test_the_lowest_variational_free_energy_leads(publish: Publish, versions: Versions, estimates: Estimates) -> None:
    publish("a", -59.0)
    publish("b", -59.4)
    publish("b", -100.0, target=TARGET | {"beta": 1.0})
    versions.quarantine(publish("c", -70.0).digest)
    publish("d", None)
    publish("e", -9.5)
    board = estimates.leaderboard(DIGEST)
    assert [(s.rank, s.model, s.version, s.variational_beta_f) for s in board] == [
        (1, "b", 1, -59.4), (2, "a", 1, -59.0), (3, "e", 1, -9.5),
    ]  # fmt: skip
    assert (board[0].standard_error, board[0].effective_sample_fraction) == (0.01, 0.9)
    assert estimates.leaderboard("0" * 64) == ()


def test_a_curve_has_the_newest_estimate_of_each_condition_the_lowest_beta_first(estimates: Estimates) -> None:
    def at(beta: float, time: float, **changes: object) -> EstimateRecord:
        return estimate(beta=beta, condition={"beta": beta}, created_at=time, **changes)

    energy = {"value": -7.0, "standard_error": 0.1, "exact": None}
    estimates.store_all([at(0.5, 1.0), at(0.2, 1.0), at(0.3, 1.0)])
    newer = estimates.store_all([at(0.3, 2.0, observables={"energy": energy}, version=2), at(0.5, 3.0)])
    estimates.store(at(0.4, 9.0, model="another"))
    in_a_field = estimates.store(estimate(beta=0.5, condition={"beta": 0.5, "h": 0.1}, created_at=4.0))
    found = estimates.curve("m")
    assert [(record.beta, record.created_at) for record in found] == [(0.2, 1.0), (0.3, 2.0), (0.5, 3.0), (0.5, 4.0)]
    assert found[1] == newer[0]
    assert found[1].observables == {"energy": energy}
    assert found[3] == in_a_field
    assert [record.beta for record in estimates.curve("m", version=2)] == [0.3]
    assert estimates.curve("nobody") == ()


def test_estimates_without_conditions_make_a_curve_over_versions(estimates: Estimates) -> None:
    estimates.store_all(
        [estimate(beta=beta, version=k, created_at=float(k)) for k, beta in enumerate((0.6, 0.4, 0.6), 1)]
    )
    assert [(record.beta, record.version) for record in estimates.curve("m")] == [(0.4, 2), (0.6, 3)]


def test_estimates_are_stored_all_or_none(estimates: Estimates) -> None:
    twice = estimate(id="same")
    with pytest.raises(IntegrityError):
        estimates.store_all([estimate(), twice, twice])
    assert estimates.list().items == ()
