"""The gRPC service Registry: models, versions and aliases."""

from collections.abc import AsyncGenerator
from datetime import UTC
from typing import TypeAlias

import grpc
from anyio.to_thread import run_sync
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]

from models_registry.aliases import AliasMove, AliasRecord
from models_registry.records import ModelRecord, VersionRecord
from service.context import Context
from service.rpc.documents import documents, fitting_page, page_size, timestamp
from service.rpc.jobs import CALLER
from service.rpc.status import statuses, statuses_streaming
from service.rpc.tensors import refused
from service.rpc.v1 import registry_pb2 as pb
from service.rpc.v1 import registry_pb2_grpc
from service.use_cases import delete_versions
from service.use_cases.move_alias import Move, move_alias

Call: TypeAlias = grpc.aio.ServicerContext

_OBJECTS = ("target", "space", "model_spec", "objective", "training", "parent", "metrics")


class Registry(registry_pb2_grpc.RegistryServicer):  # type: ignore[misc]  # generated code has no types
    """The registry, by the stores that REST asks."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._versions = context.versions
        self._aliases = context.aliases

    @statuses
    async def ListModels(self, request: pb.ListModelsRequest, call: Call) -> pb.ListModelsReply:  # noqa: N802 - gRPC's name
        """The models, newest first."""

        async def page(size: int) -> pb.ListModelsReply:
            found = await run_sync(self._versions.models, size, request.page_token or None)
            return pb.ListModelsReply(models=map(_model, found.items), next_page_token=found.next_page_token)

        return await fitting_page(page, page_size(request.page_size))

    @statuses
    async def GetModel(self, request: pb.GetModelRequest, call: Call) -> pb.Model:  # noqa: N802 - gRPC's name
        """One model."""
        return _model(await run_sync(self._versions.model, request.model))

    @statuses
    async def DeleteModel(self, request: pb.DeleteModelRequest, call: Call) -> Empty:  # noqa: N802 - gRPC's name
        """Deletes a model and its versions."""
        await delete_versions.delete_model(self._context, request.model)
        return Empty()

    @statuses
    async def ListVersions(self, request: pb.ListVersionsRequest, call: Call) -> pb.ListVersionsReply:  # noqa: N802 - gRPC's name
        """The versions of a model, newest first."""

        async def page(size: int) -> pb.ListVersionsReply:
            found = await run_sync(self._versions.versions, request.model, size, request.page_token or None)
            return pb.ListVersionsReply(versions=map(_version, found.items), next_page_token=found.next_page_token)

        return await fitting_page(page, page_size(request.page_size))

    @statuses
    async def GetVersion(self, request: pb.GetVersionRequest, call: Call) -> pb.Version:  # noqa: N802 - gRPC's name
        """One version, by number or alias."""
        return _version(await run_sync(self._versions.get, request.model, request.ref))

    @statuses
    async def DeleteVersion(self, request: pb.DeleteVersionRequest, call: Call) -> Empty:  # noqa: N802 - gRPC's name
        """Deletes a version that no alias points at and no job needs."""
        await delete_versions.delete_version(self._context, request.model, request.ref)
        return Empty()

    @statuses
    async def ListAliases(self, request: pb.ListAliasesRequest, call: Call) -> pb.ListAliasesReply:  # noqa: N802 - gRPC's name
        """The aliases of a model."""
        return pb.ListAliasesReply(aliases=map(_alias, await run_sync(self._aliases.all, request.model)))

    @statuses
    async def GetAlias(self, request: pb.GetAliasRequest, call: Call) -> pb.Alias:  # noqa: N802 - gRPC's name
        """One alias with its entity tag."""
        return _alias(await run_sync(self._aliases.get, request.model, request.alias))

    @statuses
    async def SetAlias(self, request: pb.SetAliasRequest, call: Call) -> pb.Alias:  # noqa: N802 - gRPC's name
        """Creates an alias, or moves it."""
        if request.version < 1:
            raise refused("version", f"{request.version} came; the number of a version was expected, at least 1")
        move = Move(request.model, request.alias, request.version, request.if_match or None, force=request.force)
        return _alias(await move_alias(self._context, move, CALLER))

    @statuses
    async def RollbackAlias(self, request: pb.RollbackAliasRequest, call: Call) -> pb.Alias:  # noqa: N802 - gRPC's name
        """Points the alias where it pointed before its last move."""
        return _alias(await run_sync(self._aliases.rollback, request.model, request.alias, CALLER))

    @statuses_streaming
    async def AliasHistory(self, request: pb.AliasHistoryRequest, call: Call) -> AsyncGenerator[pb.AliasMove, None]:  # noqa: N802 - gRPC's name
        """Every move of an alias, newest first; with ``at`` the one in force at that time."""
        for move in await run_sync(self._aliases.history, request.model, request.alias, _at(request)):
            yield _move(move)


def _at(request: pb.AliasHistoryRequest) -> float | None:
    """The time that is asked for, in seconds since 1970.

    Raises:
        InvalidValueError: a time that no calendar has.
    """
    if not request.HasField("at"):
        return None
    try:
        return float(request.at.ToDatetime(UTC).timestamp())
    except (ValueError, OverflowError):
        raise refused("at", f"{request.at.seconds} seconds and {request.at.nanos} ns are no time") from None


def _model(record: ModelRecord) -> pb.Model:
    return pb.Model(
        model=record.model,
        created_at=timestamp(record.created_at),
        latest_version=record.latest_version,
        num_versions=record.num_versions,
        aliases=record.aliases,
    )


def _version(record: VersionRecord) -> pb.Version:
    return pb.Version(
        **documents({name: getattr(record, name) for name in _OBJECTS}),
        model=record.model,
        version=record.version,
        job_id=record.job_id,
        seed=record.seed,
        dataset=record.dataset,
        digest=record.digest,
        target_digest=record.target_digest,
        size_bytes=record.size_bytes,
        libraries=record.libraries,
        created_at=timestamp(record.created_at),
        state=record.state,
        aliases=record.aliases,
    )


def _alias(record: AliasRecord) -> pb.Alias:
    return pb.Alias(
        model=record.model,
        alias=record.alias,
        version=record.version,
        etag=record.etag,
        updated_at=timestamp(record.updated_at),
    )


def _move(move: AliasMove) -> pb.AliasMove:
    return pb.AliasMove(
        model=move.model,
        alias=move.alias,
        version=move.version,
        previous_version=move.previous_version,
        action=move.action,
        forced=move.forced,
        caller=move.caller,
        at=timestamp(move.at),
    )
