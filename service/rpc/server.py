"""The gRPC server: our services, the Open Inference Protocol, health and reflection on one port."""

from collections.abc import Callable
from dataclasses import dataclass

import grpc
from google.protobuf.descriptor import FileDescriptor  # type: ignore[import-untyped]
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from service.context import Context
from service.open_inference import rpc as open_inference
from service.open_inference.v2 import open_inference_pb2, open_inference_pb2_grpc
from service.rpc.health import DATABASE, EVERYTHING, HealthReport, Needs
from service.rpc.inference import Inference
from service.rpc.interceptors import Attributed, Authorised
from service.rpc.jobs import Jobs
from service.rpc.registry import Registry
from service.rpc.v1 import (
    inference_pb2,
    inference_pb2_grpc,
    jobs_pb2,
    jobs_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
)
from workers.settings import PREFIX
from zoo.specs.errors import InvalidValueError

_OPEN_METHODS = (f"/{health.SERVICE_NAME}/", *open_inference.OPEN_METHODS)
_FRAME_BYTES = 1024  # beside the arrays themselves


@dataclass(frozen=True)
class Service:
    """One service of the server: where it is described, who answers, and what it cannot do without."""

    file: FileDescriptor
    make: Callable[[Context], object]
    add: Callable[[object, grpc.aio.Server], None]
    needs: Needs

    @property
    def name(self) -> str:
        """The full name, as reflection and health tell it."""
        (descriptor,) = self.file.services_by_name.values()
        return str(descriptor.full_name)


SERVICES = (
    Service(inference_pb2.DESCRIPTOR, Inference, inference_pb2_grpc.add_InferenceServicer_to_server, EVERYTHING),
    Service(jobs_pb2.DESCRIPTOR, Jobs, jobs_pb2_grpc.add_JobsServicer_to_server, DATABASE),
    Service(registry_pb2.DESCRIPTOR, Registry, registry_pb2_grpc.add_RegistryServicer_to_server, DATABASE),
    Service(
        open_inference_pb2.DESCRIPTOR,
        open_inference.OpenInference,
        open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server,
        EVERYTHING,
    ),
)


class RpcServer:
    """The server of one gateway; ``port`` is the one it listens on.

    Raises:
        InvalidValueError: the port is in use.
    """

    def __init__(self, context: Context) -> None:
        settings = context.settings
        limit = settings.max_body_bytes + _FRAME_BYTES  # also of a message that was compressed
        self._server = grpc.aio.server(
            interceptors=(Attributed(settings), Authorised(settings, _OPEN_METHODS)),
            options=(
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 1),
            ),
        )
        for service in SERVICES:
            service.add(service.make(context), self._server)
        self._health = HealthReport(context, {service.name: service.needs for service in SERVICES})
        health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, self._server)
        names = (*(service.name for service in SERVICES), health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        try:
            self.port = self._server.add_insecure_port(f"{settings.host}:{settings.grpc_port}")
        except RuntimeError:
            msg = f"cannot listen on {settings.host}:{settings.grpc_port}; is {PREFIX}GRPC_PORT in use?"
            raise InvalidValueError(msg) from None

    async def start(self) -> None:
        """Listen, and tell on the health service which services serve."""
        await self._health.start()
        await self._server.start()

    async def stop(self, grace_seconds: float) -> None:
        """Not serving first; then let calls in flight finish."""
        await self._health.stop()
        await self._server.stop(grace_seconds)
