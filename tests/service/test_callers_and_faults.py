"""Who is who, what a client prefers, and what is told of a fault of ours."""

import pytest

from service.context import Context
from service.rest.attribution import caller_of
from tests.service.conftest import Ask


def test_one_key_is_one_caller_however_it_is_sent() -> None:
    names = {caller_of(f"{scheme} secret") for scheme in ("Bearer", "bearer", "BEARER")}
    assert len(names) == 1
    assert caller_of("Bearer other") not in names
    assert caller_of(None) is None


@pytest.mark.parametrize(
    ("prefer", "status"), [("Wait=0", 422), ("wait=0", 422), ("foo-wait=0", 404), ("a, WAIT=0", 422)]
)
def test_preferences_have_names_in_any_case_and_whole_ones(ask: Ask, prefer: str, status: int) -> None:
    answer = ask("POST", "/v1/models/nothing:sample", json={"n": 1}, headers={"Prefer": prefer})
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("path", ["/v1/models/m:freeEnergyCurve", "/v1/targets:reference"])
def test_an_unknown_query_parameter_is_refused(ask: Ask, path: str) -> None:
    answer = ask("POST", path + "?n=5", json={})
    assert answer.status_code == 422
    assert "n" in answer.json()["detail"]


def test_a_fault_of_ours_has_the_name_of_its_request(
    ask: Ask, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        msg = "planted"
        raise RuntimeError(msg)

    monkeypatch.setattr("service.rest.inference.read_as", broken)
    answer = ask("POST", "/v1/models/m:sample", json={"n": 1}, headers={"X-Request-Id": "my-own-name"})
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "my-own-name"
    assert "planted" not in answer.text
