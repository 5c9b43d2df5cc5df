"""The gRPC service Inference: the use cases of REST under another skin, with equal numbers for equal seeds."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc

from service.context import Context
from service.rpc.answers import (
    completion_chunk,
    curve_reply,
    free_energy_update,
    likelihood_arrays,
    likelihood_reply,
    marginal_arrays,
    sample_diagnostics,
)
from service.rpc.chunks import chunks_of, in_chunks
from service.rpc.gathering import GatheredQuestion
from service.rpc.status import statuses, statuses_streaming
from service.rpc.tensors import from_tensor, mask_from_tensor, refused, to_tensor
from service.rpc.v1 import inference_pb2 as pb
from service.rpc.v1 import inference_pb2_grpc
from service.use_cases.complete import PartlyKnown, complete
from service.use_cases.draw_samples import stream_samples
from service.use_cases.estimate_curve import estimate_curve
from service.use_cases.estimate_free_energy import estimate_free_energy
from service.use_cases.evaluate_log_likelihood import Evaluation, LogLikelihoods, evaluate_log_likelihood
from service.use_cases.specs import parse
from zoo.specs.arrays import Array
from zoo.specs.errors import DeadlineExceededError, FieldError, InvalidValueError, LimitExceededError
from zoo.specs.masks import Mask
from zoo.specs.requests import (
    CompletionOptions,
    FreeEnergyCurveRequest,
    FreeEnergyRequest,
    LogLikelihoodOptions,
    SampleRequest,
)

Call: TypeAlias = grpc.aio.ServicerContext
Question: TypeAlias = (
    pb.SampleRequest | pb.LogLikelihoodRequest | pb.CompletionRequest | pb.FreeEnergyRequest | pb.FreeEnergyCurveRequest
)

LARGEST_REPLY = 4 * 2**20 - 2**16
"""Bytes of arrays in a reply that is one message: clients refuse messages of more than 4 MiB by default."""
_FINISHING_SECONDS = 2.0


class Inference(inference_pb2_grpc.InferenceServicer):  # type: ignore[misc]  # generated code has no types
    """Samples, log-likelihoods, completions and free energies of trained models."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @statuses_streaming
    async def Sample(self, request: pb.SampleRequest, call: Call) -> AsyncGenerator[pb.SampleChunk, None]:  # noqa: N802 - gRPC's name
        """Samples in chunks of rows, in order."""
        include = [n for n in ("log_prob", "energy") if getattr(request, f"include_{n}")]
        given = {"n": request.n, "include": include, "correction": request.correction or "none"}
        given |= _set(request, "seed") | _at(request)
        asked = parse(SampleRequest, given)
        stream = await stream_samples(self._context, *_model(request), asked, self._seconds(call))
        async with aclosing(in_chunks(stream.parts)) as chunks:
            async for chunk in chunks:
                yield pb.SampleChunk(
                    **{name: to_tensor(array) for name, array in chunk.arrays.items()},
                    seed=stream.seed,
                    model=stream.record.model,
                    version=stream.record.version,
                    last=chunk.last,
                    warnings=stream.condition.warnings if chunk.first else (),
                    diagnostics=sample_diagnostics(stream.diagnostics) if chunk.last else None,
                )

    @statuses
    async def LogLikelihood(self, request: pb.LogLikelihoodRequest, call: Call) -> pb.LogLikelihoodReply:  # noqa: N802 - gRPC's name
        """Ln q of given configurations, or of what is known of them."""
        samples, mask = from_tensor(request.samples), _mask(request)
        _check_reply(8 * len(samples) if samples.ndim else 0)
        answer = await self._evaluated(request, samples, mask, call)
        arrays = likelihood_arrays(answer)
        _check_reply(sum(array.nbytes for array in arrays.values()))
        return likelihood_reply(answer, arrays, warn=True)

    @statuses_streaming
    async def LogLikelihoodStream(  # noqa: N802 - gRPC's name
        self, requests: AsyncIterator[pb.LogLikelihoodRequest], call: Call
    ) -> AsyncGenerator[pb.LogLikelihoodReply, None]:
        """The same of rows that come in several messages: one question, whose answer is told in chunks."""
        question = await self._gathered(requests, call)
        answer = await self._evaluated(question.asked, question.samples, question.mask, call)
        async for chunk in chunks_of(likelihood_arrays(answer)):
            yield likelihood_reply(answer, chunk.arrays, warn=chunk.first)

    @statuses_streaming
    async def Complete(self, request: pb.CompletionRequest, call: Call) -> AsyncGenerator[pb.CompletionChunk, None]:  # noqa: N802 - gRPC's name
        """What is known of each configuration, then the completions."""
        asked = parse(CompletionOptions, _set(request, "n", "proposals", "seed") | _at(request))
        mask = _mask(request)
        if mask is None:
            raise refused("mask", "is missing: it says which sites are known, true where one is")
        known = PartlyKnown(from_tensor(request.samples), mask)
        found = await complete(self._context, *_model(request), known, asked, self._seconds(call))
        async for chunk in chunks_of(marginal_arrays(found)):
            yield completion_chunk(found, chunk.arrays, first=chunk.first, last=False)
        samples = found.samples.reshape(-1, *found.samples.shape[2:])
        async for chunk in chunks_of({"samples": samples}):
            yield completion_chunk(found, chunk.arrays, first=False, last=chunk.last)

    @statuses_streaming
    async def FreeEnergy(self, request: pb.FreeEnergyRequest, call: Call) -> AsyncGenerator[pb.FreeEnergyUpdate, None]:  # noqa: N802 - gRPC's name
        """Progress while samples are drawn, then the result."""
        wishes = _set(request, "n", "seed", "target_standard_error", "max_seconds")
        given = {"method": request.method or "auto"} | wishes | _at(request)
        asked = parse(FreeEnergyRequest, given)
        estimating = estimate_free_energy(self._context, *_model(request), asked, self._seconds(call))
        async with aclosing(estimating) as updates:
            async for update in updates:
                yield free_energy_update(update)

    @statuses
    async def FreeEnergyCurve(self, request: pb.FreeEnergyCurveRequest, call: Call) -> pb.FreeEnergyCurveReply:  # noqa: N802 - gRPC's name
        """Free energy, energy and heat capacity at several inverse temperatures."""
        given = {"beta": list(request.beta), "condition": dict(request.condition)} | _set(request, "n", "seed")
        asked = parse(FreeEnergyCurveRequest, given)
        return curve_reply(await estimate_curve(self._context, *_model(request), asked, self._seconds(call)))

    async def _evaluated(
        self, request: pb.LogLikelihoodRequest, samples: Array, mask: Mask | None, call: Call
    ) -> LogLikelihoods:
        include = ["label_posterior"] if request.include_label_posterior else []
        options = parse(LogLikelihoodOptions, {"include": include} | _set(request, "proposals", "seed") | _at(request))
        evaluation = Evaluation(samples, options.asked, mask, options)
        return await evaluate_log_likelihood(self._context, *_model(request), evaluation, self._seconds(call))

    async def _gathered(self, requests: AsyncIterator[pb.LogLikelihoodRequest], call: Call) -> GatheredQuestion:
        """The whole question; a client that sends slowly has as long as the longest wait."""
        question, longest = GatheredQuestion(self._context.settings), self._context.settings.max_wait_seconds
        try:
            async with asyncio.timeout(longest):
                async for request in requests:
                    question.add(request)
        except InvalidValueError:
            await _let_it_finish(requests)
            raise
        except TimeoutError:
            msg = f"the rows did not come within {longest:g} s; send them faster, or ask for fewer at a time"
            raise DeadlineExceededError(msg) from None
        return question

    def _seconds(self, call: Call) -> float:
        """The time left to the client's deadline, at most the longest wait; the synchronous limit without one."""
        left = call.time_remaining()
        settings = self._context.settings
        return settings.sync_limit_seconds if left is None else min(left, settings.max_wait_seconds)


def _model(request: Question) -> tuple[str, str | None]:
    return request.model.model, request.model.ref or None


def _set(request: Question, *names: str) -> dict[str, Any]:
    """Those of the optional fields that came."""
    return {name: getattr(request, name) for name in names if request.HasField(name)}


def _at(request: Question) -> dict[str, Any]:
    """The conditions that a request gives, as JSON has them."""
    return {"condition": dict(request.condition)} | _set(request, "beta")


def _mask(request: pb.LogLikelihoodRequest | pb.CompletionRequest) -> Mask | None:
    return mask_from_tensor(request.mask) if request.HasField("mask") else None


async def _let_it_finish(requests: AsyncIterator[pb.LogLikelihoodRequest]) -> None:
    """Read on for a moment: clients that are still sending would not see why they are refused."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FINISHING_SECONDS):
            async for _ in requests:
                pass


def _check_reply(size: int) -> None:
    """Nothing, when ``size`` bytes of arrays fit into one reply.

    Raises:
        LimitExceededError: clients would refuse it.
    """
    if size > LARGEST_REPLY:
        msg = (
            f"the answer has at least {size} bytes and one message at most {LARGEST_REPLY}, or clients refuse it; "
            "ask LogLikelihoodStream, which takes and answers rows in several messages, or send fewer rows"
        )
        raise LimitExceededError(f"samples: {msg}", errors=(FieldError("samples", msg),))
