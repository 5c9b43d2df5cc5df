"""The gRPC service Registry: models, versions and aliases as REST has them."""

import json
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]

from models_registry.database import Database
from models_registry.migrate import migrate
from service.rest.app import build_app
from service.rpc import documents
from service.rpc.v1 import registry_pb2 as pb
from tests.service.conftest import NO_REDIS
from tests.service.rpc_stage import Stage, play, refusal
from tests.workers.tiny_models import TinyRegistry
from workers.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A registry with three versions of ``made``, which no gate tells apart, and one of ``pixelcnn``."""
    own = Settings(data_dir=tmp_path, redis_url=NO_REDIS, http_port=0, grpc_port=0)
    migrate(own.resolved_database_url)
    database = Database(own.resolved_database_url)
    registry = TinyRegistry(database, tmp_path / "artifacts")
    for seed in (1, 2, 3):
        registry.publish("made", seed=seed)
    registry.publish("pixelcnn")
    database.dispose()
    return own


def set_alias(version: int, **fields: Any) -> pb.SetAliasRequest:  # noqa: ANN401 - a message's own
    return pb.SetAliasRequest(model="made", alias="production", version=version, **fields)


def reason(error: grpc.aio.AioRpcError) -> str:
    return str(dict(error.trailing_metadata())["reason"])


def test_models_and_versions_are_listed_in_pages(settings: Settings) -> None:
    async def scene(stage: Stage) -> None:
        first = await stage.registry.ListModels(pb.ListModelsRequest(page_size=1))
        rest = await stage.registry.ListModels(pb.ListModelsRequest(page_token=first.next_page_token))
        assert [model.model for model in (*first.models, *rest.models)] == ["pixelcnn", "made"]
        assert rest.next_page_token == ""
        made = await stage.registry.GetModel(pb.GetModelRequest(model="made"))
        assert made == rest.models[0]
        assert (made.latest_version, made.num_versions) == (3, 3)
        page = await stage.registry.ListVersions(pb.ListVersionsRequest(model="made", page_size=2))
        last = await stage.registry.ListVersions(
            pb.ListVersionsRequest(model="made", page_size=2, page_token=page.next_page_token)
        )
        assert [version.version for version in (*page.versions, *last.versions)] == [3, 2, 1]

    play(settings, scene)


def test_a_version_is_what_rest_shows(settings: Settings) -> None:
    async def scene(stage: Stage) -> None:
        version = await stage.registry.GetVersion(pb.GetVersionRequest(model="made", ref="2"))
        transport = httpx.ASGITransport(build_app(stage.context))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            shown = (await client.get("/v1/models/made/versions/2")).json()
        for name, value in shown.items():
            if isinstance(value, dict) and name != "libraries":
                assert json.loads(getattr(version, f"{name}_json")) == value, name
            elif name == "created_at":
                assert version.created_at.ToDatetime().isoformat() + "+00:00" == value
            elif value is None:
                empty = getattr(version, f"{name}_json") if hasattr(version, f"{name}_json") else getattr(version, name)
                assert empty == "", name
            else:
                found = getattr(version, name)
                assert (dict(found) if name == "libraries" else list(found) if name == "aliases" else found) == value
        assert not version.omitted
        newest = await stage.registry.GetVersion(pb.GetVersionRequest(model="made", ref="latest"))
        assert newest.version == 3

    play(settings, scene)


def test_an_alias_moves_with_its_tag_and_back(settings: Settings) -> None:
    async def scene(stage: Stage) -> None:
        registry = stage.registry
        created = await registry.SetAlias(set_alias(1))
        blind = await refusal(registry.SetAlias(set_alias(2)))
        assert (blind.code(), reason(blind)) == (grpc.StatusCode.FAILED_PRECONDITION, "PRECONDITION_REQUIRED")
        wrong = await refusal(registry.SetAlias(set_alias(2, if_match='"77"')))
        assert (wrong.code(), reason(wrong)) == (grpc.StatusCode.ABORTED, "PRECONDITION_FAILED")
        moved = await registry.SetAlias(set_alias(2, if_match=created.etag, force=True))
        assert (moved.version, moved.etag != created.etag) == (2, True)
        back = await registry.RollbackAlias(pb.RollbackAliasRequest(model="made", alias="production"))
        assert back.version == 1
        assert await registry.GetAlias(pb.GetAliasRequest(model="made", alias="production")) == back
        assert list((await registry.ListAliases(pb.ListAliasesRequest(model="made"))).aliases) == [back]

        asked = pb.AliasHistoryRequest(model="made", alias="production")
        history = [move async for move in registry.AliasHistory(asked)]
        assert [(m.version, m.action, m.forced) for m in history] == [
            (1, "rollback", False),
            (2, "set", True),
            (1, "set", False),
        ]
        assert [m.previous_version if m.HasField("previous_version") else None for m in history] == [2, 1, None]
        for at, expected in ((history[0].at.seconds + 100, history[:1]), (1, [])):
            asked.at.CopyFrom(Timestamp(seconds=at))
            assert [move async for move in registry.AliasHistory(asked)] == expected

    play(settings, scene)


def test_deleting_refuses_what_an_alias_points_at(settings: Settings) -> None:
    async def scene(stage: Stage) -> None:
        registry = stage.registry
        await registry.SetAlias(set_alias(1))
        for call in (
            registry.DeleteVersion(pb.DeleteVersionRequest(model="made", ref="production")),
            registry.DeleteModel(pb.DeleteModelRequest(model="made")),
        ):
            error = await refusal(call)
            assert (error.code(), reason(error)) == (grpc.StatusCode.FAILED_PRECONDITION, "VERSION_ALIASED")
        await registry.DeleteVersion(pb.DeleteVersionRequest(model="made", ref="2"))
        gone = await refusal(registry.GetVersion(pb.GetVersionRequest(model="made", ref="2")))
        assert gone.code() is grpc.StatusCode.NOT_FOUND
        await registry.DeleteModel(pb.DeleteModelRequest(model="pixelcnn"))
        assert [m.model for m in (await registry.ListModels(pb.ListModelsRequest())).models] == ["made"]

    play(settings, scene)


BAD = [
    ("GetModel", pb.GetModelRequest(model="none"), grpc.StatusCode.NOT_FOUND),
    ("GetModel", pb.GetModelRequest(model="../etc"), grpc.StatusCode.INVALID_ARGUMENT),
    ("GetVersion", pb.GetVersionRequest(model="made", ref="9"), grpc.StatusCode.NOT_FOUND),
    ("GetVersion", pb.GetVersionRequest(model="made"), grpc.StatusCode.INVALID_ARGUMENT),
    ("ListVersions", pb.ListVersionsRequest(model="made", page_size=5000), grpc.StatusCode.INVALID_ARGUMENT),
    ("ListModels", pb.ListModelsRequest(page_token="x"), grpc.StatusCode.INVALID_ARGUMENT),  # noqa: S106 - none
    ("SetAlias", set_alias(0), grpc.StatusCode.INVALID_ARGUMENT),
    ("SetAlias", set_alias(2**62), grpc.StatusCode.NOT_FOUND),
    ("SetAlias", pb.SetAliasRequest(model="made", alias="latest", version=1), grpc.StatusCode.INVALID_ARGUMENT),
    ("RollbackAlias", pb.RollbackAliasRequest(model="made", alias="none"), grpc.StatusCode.NOT_FOUND),
    ("AliasHistory", pb.AliasHistoryRequest(model="made", alias="none"), grpc.StatusCode.NOT_FOUND),
    (
        "AliasHistory",
        pb.AliasHistoryRequest(model="made", alias="a", at=Timestamp(seconds=2**62)),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
]


@pytest.mark.parametrize(("method", "asked", "code"), BAD)
def test_what_cannot_be_is_refused(settings: Settings, method: str, asked: object, code: grpc.StatusCode) -> None:
    async def scene(stage: Stage) -> grpc.aio.AioRpcError:
        return await refusal(getattr(stage.registry, method)(asked))

    error = play(settings, scene)
    assert error.code() is code, error.details()
    assert error.details()


def test_what_is_too_large_for_a_message_is_left_out_and_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "LARGEST_DOCUMENT", 60)

    async def scene(stage: Stage) -> pb.Version:
        version: pb.Version = await stage.registry.GetVersion(pb.GetVersionRequest(model="made", ref="1"))
        return version

    version = play(settings, scene)
    assert "target_json" in version.omitted
    assert version.target_json == ""
    assert version.metrics_json == "{}"
