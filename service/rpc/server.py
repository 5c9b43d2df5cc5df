"""The gRPC server: Inference, the Open Inference Protocol, health and reflection on one port."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from service.context import Context
from service.keys import check_authorization
from service.open_inference import rpc as open_inference
from service.open_inference.v2 import open_inference_pb2_grpc
from service.rpc.inference import Inference
from service.rpc.v1 import inference_pb2, inference_pb2_grpc
from workers.settings import PREFIX, Settings
from zoo.specs.errors import InvalidValueError, UnauthenticatedError

INFERENCE = inference_pb2.DESCRIPTOR.services_by_name["Inference"].full_name
_OPEN_METHODS = (f"/{health.SERVICE_NAME}/", *open_inference.OPEN_METHODS)
_FRAME_BYTES = 1024  # beside the arrays themselves


class RpcServer:
    """The server of one gateway; ``port`` is the one it listens on.

    Raises:
        InvalidValueError: the port is in use.
    """

    def __init__(self, context: Context) -> None:
        settings = context.settings
        limit = settings.max_body_bytes + _FRAME_BYTES
        self._server = grpc.aio.server(
            interceptors=(_Authorised(settings),),
            options=(
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 1),
            ),
        )
        self._health = health.aio.HealthServicer()
        inference_pb2_grpc.add_InferenceServicer_to_server(Inference(context), self._server)
        open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(
            open_inference.OpenInference(context), self._server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (INFERENCE, open_inference.SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        try:
            self.port = self._server.add_insecure_port(f"{settings.host}:{settings.grpc_port}")
        except RuntimeError:
            msg = f"cannot listen on {settings.host}:{settings.grpc_port}; is {PREFIX}GRPC_PORT in use?"
            raise InvalidValueError(msg) from None

    async def start(self) -> None:
        """Listen, and say so on the health service."""
        await self._server.start()
        for name in ("", INFERENCE, open_inference.SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace_seconds: float) -> None:
        """Not serving first; then let calls in flight finish."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_seconds)


class _Authorised(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Refuses calls without the key of the installation; health checks carry none."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> object:
        """The handler of the call, or one that refuses it."""
        handler = await continuation(details)
        if handler is None or details.method.startswith(_OPEN_METHODS):
            return handler
        header = dict(details.invocation_metadata).get("authorization")
        try:
            check_authorization(header, self._settings)
        except UnauthenticatedError as error:
            return _refusing(handler, error.detail)
        return handler


def _refusing(handler: grpc.RpcMethodHandler, detail: str) -> grpc.RpcMethodHandler:
    """A handler of the same arity that ends every call as unauthenticated."""

    async def unary(request: object, call: grpc.aio.ServicerContext) -> None:
        await call.abort(grpc.StatusCode.UNAUTHENTICATED, detail)

    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    make = kinds[handler.request_streaming, handler.response_streaming]
    return make(unary, handler.request_deserializer, handler.response_serializer)
