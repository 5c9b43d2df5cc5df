"""What every call goes through: a name, a caller, the key of the installation."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import structlog

from service.keys import check_authorization
from service.rest.attribution import caller_of
from service.rpc.status import TRACE_KEY, abort
from service.wishes import WISHES, Wishes, trace_or_new
from workers.settings import Settings
from zoo.specs.errors import UnauthenticatedError

Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]


class Attributed(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Names every call, by its x-request-id where it has one; each call has a task, and so a context, of its own."""

    def __init__(self, settings: Settings) -> None:
        self._has_keys = settings.api_key is not None

    async def intercept_service(self, continuation: Continuation, details: grpc.HandlerCallDetails) -> object:
        """The handler of the call, whose wishes are set."""
        metadata = dict(details.invocation_metadata)
        trace = trace_or_new(metadata.get(TRACE_KEY))
        caller = caller_of(metadata.get("authorization")) if self._has_keys else None
        use_cache = "no-store" not in str(metadata.get("cache-control", "")).lower()
        WISHES.set(Wishes(trace, caller, use_cache))
        structlog.contextvars.bind_contextvars(request=trace)
        return await continuation(details)


class Authorised(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Refuses calls without the key of the installation, but for those of ``open_methods``."""

    def __init__(self, settings: Settings, open_methods: tuple[str, ...]) -> None:
        self._settings = settings
        self._open_methods = open_methods

    async def intercept_service(self, continuation: Continuation, details: grpc.HandlerCallDetails) -> object:
        """The handler of the call, or one that refuses it."""
        handler = await continuation(details)
        if handler is None or details.method.startswith(self._open_methods):
            return handler
        header = dict(details.invocation_metadata).get("authorization")
        try:
            check_authorization(header, self._settings)
        except UnauthenticatedError as error:
            return _refusing(handler, error)
        return handler


def _refusing(handler: grpc.RpcMethodHandler, error: UnauthenticatedError) -> grpc.RpcMethodHandler:
    """A handler of the same arity that ends every call as unauthenticated."""

    async def refuse(request: object, call: grpc.aio.ServicerContext) -> None:
        await abort(call, error)

    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    make = kinds[handler.request_streaming, handler.response_streaming]
    return make(refuse, handler.request_deserializer, handler.response_serializer)
