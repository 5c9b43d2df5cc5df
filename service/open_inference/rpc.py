"""The gRPC service inference.GRPCInferenceService: the questions of /v2 by another transport."""

from collections.abc import Mapping
from typing import TypeAlias

import grpc
import numpy as np

from service.context import Context
from service.open_inference.datatypes import (
    MAX_AXES,
    Array,
    Header,
    array_from_bytes,
    array_from_numbers,
    datatype_of,
    header_of,
    little_endian,
    refused,
)
from service.open_inference.questions import Answer, Question, answer, check_parameters, seconds_of
from service.open_inference.repository import (
    EXTENSIONS,
    NAME,
    cannot_unload,
    index,
    is_ready,
    load,
    model_is_ready,
    service_version,
    version_numbers,
)
from service.open_inference.v2 import open_inference_pb2 as pb
from service.open_inference.v2 import open_inference_pb2_grpc
from service.open_inference.vocabulary import PLATFORM, Slot, inputs_of, outputs_of
from service.rpc.status import statuses
from service.use_cases.off_the_loop import off_the_loop
from service.use_cases.resolve import resolve_version

Call: TypeAlias = grpc.aio.ServicerContext

SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
OPEN_METHODS = (f"/{SERVICE}/ServerLive", f"/{SERVICE}/ServerReady")
"""What is answered without an API key, as the health checks of REST are."""

_FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}
"""Where typed contents of each datatype are; FP16 travels as bytes alone."""
_TYPES = {
    "bool_contents": np.dtype(np.bool_),
    "int_contents": np.dtype(np.int32),
    "int64_contents": np.dtype(np.int64),
    "uint_contents": np.dtype(np.uint32),
    "uint64_contents": np.dtype(np.uint64),
    "fp32_contents": np.dtype(np.float32),
    "fp64_contents": np.dtype(np.float64),
}
_PART = 2**14  # numbers of a message that are looked at between two chances for other threads


class OpenInference(open_inference_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # no types
    """Samples and log-likelihoods for clients of KServe and Triton."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @statuses
    async def ServerLive(self, request: pb.ServerLiveRequest, call: Call) -> pb.ServerLiveResponse:  # noqa: N802 - gRPC's name
        """Answers while the gateway is alive."""
        return pb.ServerLiveResponse(live=True)

    @statuses
    async def ServerReady(self, request: pb.ServerReadyRequest, call: Call) -> pb.ServerReadyResponse:  # noqa: N802 - gRPC's name
        """Whether every dependency answers."""
        return pb.ServerReadyResponse(ready=await is_ready(self._context))

    @statuses
    async def ModelReady(self, request: pb.ModelReadyRequest, call: Call) -> pb.ModelReadyResponse:  # noqa: N802 - gRPC's name
        """Whether a version would answer now; false, too, when there is none."""
        ready = await model_is_ready(self._context, request.name, request.version or None)
        return pb.ModelReadyResponse(ready=ready)

    @statuses
    async def ServerMetadata(self, request: pb.ServerMetadataRequest, call: Call) -> pb.ServerMetadataResponse:  # noqa: N802 - gRPC's name
        """Name, version and the extensions of the protocol that are spoken here."""
        return pb.ServerMetadataResponse(name=NAME, version=service_version(), extensions=EXTENSIONS)

    @statuses
    async def ModelMetadata(self, request: pb.ModelMetadataRequest, call: Call) -> pb.ModelMetadataResponse:  # noqa: N802 - gRPC's name
        """The tensors that a version is given and that it answers."""
        record = await resolve_version(self._context, request.name, request.version or None)
        return pb.ModelMetadataResponse(
            name=record.model,
            versions=await version_numbers(self._context, record.model),
            platform=PLATFORM,
            inputs=map(_described, inputs_of(record)),
            outputs=map(_described, outputs_of(record)),
        )

    @statuses
    async def ModelConfig(self, request: pb.ModelConfigRequest, call: Call) -> pb.ModelConfigResponse:  # noqa: N802 - gRPC's name
        """The metadata in the words of Triton's model configuration; batching is the service's own affair."""
        record = await resolve_version(self._context, request.name, request.version or None)
        config = pb.ModelConfig(
            name=record.model,
            platform=PLATFORM,
            backend=PLATFORM,
            input=[
                pb.ModelInput(name=s.name, data_type=f"TYPE_{s.datatype}", dims=s.shape, optional=True)
                for s in inputs_of(record)
            ],
            output=[
                pb.ModelOutput(name=s.name, data_type=f"TYPE_{s.datatype}", dims=s.shape) for s in outputs_of(record)
            ],
        )
        return pb.ModelConfigResponse(config=config)

    @statuses
    async def ModelInfer(self, request: pb.ModelInferRequest, call: Call) -> pb.ModelInferResponse:  # noqa: N802 - gRPC's name
        """Samples where the input ``n`` came, log-likelihoods where ``samples`` came."""
        question = await off_the_loop(request.ByteSize(), question_of, request)
        seconds = seconds_of(_parameters(request.parameters), self._seconds(call), self._most(call))
        found = await answer(self._context, request.model_name, request.model_version or None, question, seconds)
        size = sum(array.nbytes for array in found.outputs.values())
        return await off_the_loop(size, _response, found, request.id)

    @statuses
    async def RepositoryIndex(self, request: pb.RepositoryIndexRequest, call: Call) -> pb.RepositoryIndexResponse:  # noqa: N802 - gRPC's name
        """Every version of every model with its state."""
        found = await index(self._context, ready_only=request.ready)
        entries = [
            pb.RepositoryIndexResponse.ModelIndex(name=e.name, version=e.version, state=e.state, reason=e.reason)
            for e in found
        ]
        return pb.RepositoryIndexResponse(models=entries)

    @statuses
    async def RepositoryModelLoad(  # noqa: N802 - gRPC's name
        self, request: pb.RepositoryModelLoadRequest, call: Call
    ) -> pb.RepositoryModelLoadResponse:
        """Makes the model ready to answer at once."""
        await load(self._context, request.model_name)
        return pb.RepositoryModelLoadResponse()

    @statuses
    async def RepositoryModelUnload(  # noqa: N802 - gRPC's name
        self, request: pb.RepositoryModelUnloadRequest, call: Call
    ) -> pb.RepositoryModelUnloadResponse:
        """Refused: models leave the memory by themselves."""
        error = cannot_unload(request.model_name)
        await call.abort(grpc.StatusCode.UNIMPLEMENTED, error.detail, (("reason", error.reason),))
        raise error

    def _seconds(self, call: Call) -> float:
        """The time left to the client's deadline, at most the longest wait; the synchronous limit without one."""
        return self._context.settings.sync_limit_seconds if call.time_remaining() is None else self._most(call)

    def _most(self, call: Call) -> float:
        """The longest that a request may give itself: to its deadline, and no longer than the longest wait."""
        left, longest = call.time_remaining(), self._context.settings.max_wait_seconds
        return longest if left is None else min(left, longest)


def question_of(request: pb.ModelInferRequest) -> Question:
    """The question in a message, its tensors views of the message's bytes where they came as bytes.

    Raises:
        InvalidValueError: a tensor that is not as it says, or one that travels in both ways.
    """
    check_parameters(request.parameters, "parameters")
    raw = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        raise refused("raw_input_contents", f"{len(raw)} tensors came for {len(request.inputs)} inputs")
    inputs: dict[str, Array] = {}
    for i, tensor in enumerate(request.inputs):
        header = header_of(tensor.name, tensor.datatype, list(tensor.shape[: MAX_AXES + 1]))
        check_parameters(tensor.parameters, header.name)
        if header.name in inputs:
            raise refused(header.name, "comes twice")
        inputs[header.name] = _from_raw(header, tensor, raw[i]) if raw else _from_contents(header, tensor)
    for output in request.outputs:
        check_parameters(output.parameters, "outputs")
    return Question(inputs, tuple(output.name for output in request.outputs))


def _from_raw(header: Header, tensor: pb.ModelInferRequest.InferInputTensor, data: bytes) -> Array:
    if tensor.contents.ListFields():
        raise refused(header.name, "has its numbers either in raw_input_contents or in contents, and both came")
    return array_from_bytes(header, data)


def _from_contents(header: Header, tensor: pb.ModelInferRequest.InferInputTensor) -> Array:
    if header.datatype not in _FIELDS:
        raise refused(header.name, f"{header.datatype} travels in raw_input_contents alone")
    expected = _FIELDS[header.datatype]
    stray = [field.name for field, _ in tensor.contents.ListFields() if field.name != expected]
    if stray:
        raise refused(header.name, f"{header.datatype} has its numbers in {expected}, and {stray[0]} came")
    values, dtype = getattr(tensor.contents, expected), _TYPES[expected]
    # some at a time: numpy lets no other thread run while it walks through them
    parts = [np.array(values[i : i + _PART], dtype) for i in range(0, len(values), _PART)]
    return array_from_numbers(header, np.concatenate(parts) if parts else np.empty(0, header.dtype))


def _parameters(given: Mapping[str, pb.InferParameter]) -> dict[str, object]:
    """Parameters as JSON has them."""
    return {name: getattr(value, str(value.WhichOneof("parameter_choice")), None) for name, value in given.items()}


def _response(found: Answer, identity: str) -> pb.ModelInferResponse:
    outputs, raw = [], []
    for name, array in found.outputs.items():
        outputs.append(
            pb.ModelInferResponse.InferOutputTensor(name=name, datatype=datatype_of(array), shape=array.shape)
        )
        raw.append(little_endian(array).tobytes())
    parameters = {
        name: pb.InferParameter(int64_param=value) if isinstance(value, int) else pb.InferParameter(string_param=value)
        for name, value in found.parameters.items()
    }
    return pb.ModelInferResponse(
        model_name=found.record.model,
        model_version=str(found.record.version),
        id=identity,
        parameters=parameters,
        outputs=outputs,
        raw_output_contents=raw,
    )


def _described(slot: Slot) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(name=slot.name, datatype=slot.datatype, shape=slot.shape)
