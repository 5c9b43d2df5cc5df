"""What is generated and committed equals what would be generated now: ``make generate`` leaves no diff."""

import json
from pathlib import Path

import pytest
from grpc_tools import protoc

from service.rest.export_openapi import export_openapi
from tests.architecture.sources import GENERATED, ROOT

MAPPINGS = {"service/rpc/v1": "proto/helmholtz/v1", "service/open_inference/v2": "proto/inference/v2"}
"""Folder of stubs: folder of the proto files that they are made of."""


def generate(stubs: str, proto_folder: Path, out: Path) -> dict[str, str]:
    """The stubs of every proto file, by name."""
    # protoc's own types, which `python -m grpc_tools.protoc` finds by itself
    arguments = ["protoc", f"-I{stubs}={proto_folder}", f"-I{Path(protoc.__file__).parent / '_proto'}"]
    arguments += [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
    assert protoc.main([*arguments, *map(str, sorted(proto_folder.glob("*.proto")))]) == 0
    return {path.name: path.read_text() for path in (out / stubs).iterdir()}


def test_every_folder_of_stubs_is_looked_at() -> None:
    assert {ROOT / stubs for stubs in MAPPINGS} == set(GENERATED)
    assert {path.parent for path in (ROOT / "proto").rglob("*.proto")} == {ROOT / p for p in MAPPINGS.values()}


@pytest.mark.parametrize("stubs", MAPPINGS)
def test_the_stubs_are_those_of_the_proto_files(stubs: str, tmp_path: Path) -> None:
    files = (ROOT / stubs).iterdir()
    committed = {p.name: p.read_text() for p in files if p.is_file() and p.name != "__init__.py"}
    assert len(committed) >= 3
    fresh = generate(stubs, ROOT / MAPPINGS[stubs], tmp_path)
    assert fresh.keys() == committed.keys()
    assert [name for name in fresh if fresh[name] != committed[name]] == [], "run `make generate`"


def test_a_changed_proto_file_is_noticed(tmp_path: Path) -> None:
    changed = tmp_path / "proto"
    changed.mkdir()
    stubs = "service/rpc/v1"
    text = (ROOT / MAPPINGS[stubs] / "inference.proto").read_text()
    (changed / "inference.proto").write_text(text + "\nmessage Planted { int32 fault = 1; }\n")
    (tmp_path / "out").mkdir()
    fresh = generate(stubs, changed, tmp_path / "out")
    assert fresh["inference_pb2.py"] != (ROOT / stubs / "inference_pb2.py").read_text()


@pytest.mark.parametrize("stubs", MAPPINGS)
def test_the_makefile_generates_as_this_test_does(stubs: str) -> None:
    assert f"-I {stubs}={MAPPINGS[stubs]}" in (ROOT / "Makefile").read_text()


def test_the_openapi_document_is_the_one_of_the_application(tmp_path: Path) -> None:
    export_openapi(tmp_path / "openapi.json")
    fresh = json.loads((tmp_path / "openapi.json").read_text())
    committed = json.loads((ROOT / "docs" / "openapi.json").read_text())
    assert fresh.keys() == committed.keys()
    for part in fresh:
        assert fresh[part] == committed[part], f"{part} differs: run `make generate`"


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/models/{model}:sample", "/v1/targets:energy", "/healthz"])
def test_the_openapi_document_has_the_contracts_paths(path: str) -> None:
    assert path in json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]
