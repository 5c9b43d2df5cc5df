"""Curves and conditions as they travel, and how a person reads them."""

import io
import json
from collections.abc import Callable

import httpx
import numpy as np
import pytest
from rich.console import Console, RenderableType

from helmholtz import Client, FreeEnergyCurveResult, InvalidArgumentError, StoredCurve
from helmholtz.cli import display
from helmholtz.cli.inputs import assignments, grid

Scripted = Callable[..., tuple[Client, list[httpx.Request], list[float]]]

POINT = {
    "beta": 0.2,
    "condition": {"beta": 0.2},
    "beta_f": -11.77,
    "standard_error": 0.01,
    "upper_bound": {"beta_f": -11.7, "standard_error": 0.02},
    "energy": {"value": -7.2, "standard_error": 0.1},
    "heat_capacity": {"value": 1.91, "standard_error": 0.05},
    "per_site": {"energy": -0.45},
    "method": "importance",
    "diagnostics": {"num_samples": 5000, "effective_sample_fraction": 0.9, "reliable": False, "warnings": ["too cold"]},
    "exact": {"beta_f": -11.7715, "energy": -7.298, "method": "Kaufman 1949", "citation": "Kaufman"},
}
CURVE = {"points": [POINT], "num_sites": 16, "model": "m", "version": 2, "seed": 5}
STORED = {
    "model": "m",
    "points": [{"beta": 0.2, "beta_f": -11.77, "standard_error": 0.01, "energy": {"value": -7.2, "exact": -7.298}}],
}


def as_text(drawn: RenderableType) -> str:
    console = Console(width=200, file=io.StringIO())
    console.print(drawn)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_curve_is_asked_for_and_read(scripted: Scripted) -> None:
    client, requests, _ = scripted(httpx.Response(200, json=CURVE))
    found = client.free_energy_curve("m", np.array([0.2, 0.3]), n=100, seed=5, condition={"h": 0.1}, ref=2)
    assert requests[0].url.path == "/v1/models/m/versions/2:freeEnergyCurve"
    assert json.loads(requests[0].content) == {"beta": [0.2, 0.3], "n": 100, "seed": 5, "condition": {"h": 0.1}}
    assert found.points[0].energy.value == -7.2
    assert found.points[0].exact is not None
    assert found.points[0].exact.heat_capacity is None


def test_a_stored_curve_is_read(scripted: Scripted) -> None:
    client, requests, _ = scripted(httpx.Response(200, json=STORED), httpx.Response(200, json=STORED))
    client.stored_curve("m")
    assert client.stored_curve("m", version=3).points[0].beta_f == -11.77
    assert [str(r.url).partition("/v1")[2] for r in requests] == [
        "/free-energies:curve?model=m",
        "/free-energies:curve?model=m&version=3",
    ]


def test_conditions_travel_in_the_body_or_beside_bytes_in_the_query(scripted: Scripted) -> None:
    body = {"samples": [[1]], "log_prob": [-0.5]}
    client, requests, _ = scripted(
        httpx.Response(200, json=body), httpx.Response(200, json={"log_likelihood": [-0.5], "kind": "exact"})
    )
    client.sample("m", 1, include=("log_prob",), condition={"label": 3})
    client.log_likelihood("m", np.array([[1]], np.int8), condition={"label": 3})
    assert json.loads(requests[0].content)["condition"] == {"label": 3}
    assert dict(requests[1].url.params) == {"condition": '{"label":3}'}


def test_a_curve_is_a_table_with_its_doubts() -> None:
    text = as_text(display.curve_report(FreeEnergyCurveResult.read(CURVE)))
    for part in (
        "-11.770 ± 0.010",
        "-11.7715",
        "-7.20 ± 0.10",
        "1.910 ± 0.050",
        "NO",
        "beta 0.2: too cold",
        "version 2",
    ):
        assert part in text
    assert "-7.2" in as_text(display.stored_curve_table(StoredCurve.read(STORED)))
    assert "--beta" in as_text(display.stored_curve_table(StoredCurve(model="m", points=[])))


@pytest.mark.parametrize(
    ("text", "values"), [("0.2:1.0:5", [0.2, 0.4, 0.6, 0.8, 1.0]), ("0.2,0.5", [0.2, 0.5]), ("0.44", [0.44])]
)
def test_a_grid_is_a_range_or_a_list(text: str, values: list[float]) -> None:
    assert grid(text, "--beta") == pytest.approx(values)


@pytest.mark.parametrize("text", ["", "0.2:1.0", "0.2:1.0:0", "0.2:1.0:x", "a,b", "1:2:3:4"])
def test_what_is_no_grid_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"0\.2:1\.0:9"):
        grid(text, "--beta")


def test_assignments_are_names_and_numbers() -> None:
    assert assignments(["h=0.1", "label=3"], "--condition") == {"h": 0.1, "label": 3.0}
    for text in ("h", "h=", "=3", "h=x"):
        with pytest.raises(InvalidArgumentError, match="NAME=NUMBER"):
            assignments([text], "--condition")
