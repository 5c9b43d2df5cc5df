"""What is generated and committed equals what would be generated now: ``make generate`` leaves no diff."""

import json
from pathlib import Path

import pytest
from grpc_tools import protoc

from service.rest.export_openapi import export_openapi
from tests.architecture.sources import GENERATED, ROOT

PROTO = ROOT / "proto" / "helmholtz" / "v1"
MAPPING = ("service/rpc/v1", "proto/helmholtz/v1")


def generate(proto_folder: Path, out: Path) -> dict[str, str]:
    """The stubs of every proto file, by name."""
    arguments = ["protoc", f"-I{MAPPING[0]}={proto_folder}"]
    arguments += [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
    assert protoc.main([*arguments, *map(str, sorted(proto_folder.glob("*.proto")))]) == 0
    return {path.name: path.read_text() for path in (out / MAPPING[0]).iterdir()}


def test_the_stubs_are_those_of_the_proto_files(tmp_path: Path) -> None:
    committed = {p.name: p.read_text() for p in GENERATED.iterdir() if p.is_file() and p.name != "__init__.py"}
    assert len(committed) >= 3
    fresh = generate(PROTO, tmp_path)
    assert fresh.keys() == committed.keys()
    assert [name for name in fresh if fresh[name] != committed[name]] == [], "run `make generate`"


def test_a_changed_proto_file_is_noticed(tmp_path: Path) -> None:
    changed = tmp_path / "proto"
    changed.mkdir()
    text = (PROTO / "inference.proto").read_text()
    (changed / "inference.proto").write_text(text + "\nmessage Planted { int32 fault = 1; }\n")
    (tmp_path / "out").mkdir()
    assert generate(changed, tmp_path / "out")["inference_pb2.py"] != (GENERATED / "inference_pb2.py").read_text()


def test_the_makefile_generates_as_this_test_does() -> None:
    assert f"-I {MAPPING[0]}={MAPPING[1]}" in (ROOT / "Makefile").read_text()


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
