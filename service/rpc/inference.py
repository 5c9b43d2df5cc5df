"""The gRPC service Inference: the use cases of REST under another skin, with equal numbers for equal seeds."""

from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc

from service.context import Context
from service.rpc.status import statuses, statuses_streaming
from service.rpc.tensors import from_tensor, to_tensor
from service.rpc.v1 import inference_pb2 as pb
from service.rpc.v1 import inference_pb2_grpc
from service.use_cases.draw_samples import stream_samples
from service.use_cases.estimate_free_energy import FreeEnergyProgress, FreeEnergyResult, estimate_free_energy
from service.use_cases.evaluate_log_likelihood import Evaluation, evaluate_log_likelihood
from service.use_cases.specs import parse
from zoo.specs.requests import ConditionedRequest, FreeEnergyRequest, SampleRequest

Call: TypeAlias = grpc.aio.ServicerContext


class Inference(inference_pb2_grpc.InferenceServicer):  # type: ignore[misc]  # generated code has no types
    """Samples, log-likelihoods and free energies of trained models."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @statuses_streaming
    async def Sample(self, request: pb.SampleRequest, call: Call) -> AsyncIterator[pb.SampleChunk]:  # noqa: N802 - gRPC's name
        """Samples in chunks of rows, in order."""
        include = [n for n in ("log_prob", "energy") if getattr(request, f"include_{n}")]
        given = {"n": request.n, "seed": _optional(request, "seed"), "include": include} | _at(request)
        asked = parse(SampleRequest, given)
        stream = await stream_samples(self._context, *_model(request), asked, self._seconds(call))
        warnings = stream.condition.warnings
        async for part in stream.parts:
            yield pb.SampleChunk(
                samples=to_tensor(part["samples"]),
                log_prob=to_tensor(part.get("log_prob")),
                energy=to_tensor(part.get("energy")),
                log_weight=to_tensor(part.get("log_weight")),
                seed=stream.seed,
                model=stream.record.model,
                version=stream.record.version,
                last="compute_seconds" in part,
                warnings=warnings,
            )
            warnings = ()

    @statuses
    async def LogLikelihood(self, request: pb.LogLikelihoodRequest, call: Call) -> pb.LogLikelihoodReply:  # noqa: N802 - gRPC's name
        """Ln q of given configurations."""
        asked = parse(ConditionedRequest, _at(request)).asked
        evaluation = Evaluation(from_tensor(request.samples), asked)
        answer = await evaluate_log_likelihood(self._context, *_model(request), evaluation, self._seconds(call))
        return pb.LogLikelihoodReply(
            log_likelihood=to_tensor(answer.log_likelihood),
            kind=answer.kind,
            model=answer.record.model,
            version=answer.record.version,
            warnings=answer.condition.warnings,
        )

    @statuses_streaming
    async def FreeEnergy(self, request: pb.FreeEnergyRequest, call: Call) -> AsyncIterator[pb.FreeEnergyUpdate]:  # noqa: N802 - gRPC's name
        """Progress while samples are drawn, then the result."""
        given: dict[str, Any] = {"method": request.method or "auto", "seed": _optional(request, "seed"), **_at(request)}
        if request.HasField("n"):
            given["n"] = request.n
        asked = parse(FreeEnergyRequest, given)
        updates = estimate_free_energy(self._context, *_model(request), asked, self._seconds(call))
        async for update in updates:
            if isinstance(update, FreeEnergyProgress):
                progress = pb.Progress(num_samples=update.num_samples, fraction=update.fraction)
                yield pb.FreeEnergyUpdate(progress=progress)
            else:
                yield pb.FreeEnergyUpdate(result=_result(update))

    def _seconds(self, call: Call) -> float:
        """The time left to the client's deadline, at most the longest wait; the synchronous limit without one."""
        left = call.time_remaining()
        settings = self._context.settings
        return settings.sync_limit_seconds if left is None else min(left, settings.max_wait_seconds)


def _model(request: pb.SampleRequest | pb.LogLikelihoodRequest | pb.FreeEnergyRequest) -> tuple[str, str | None]:
    return request.model.model, request.model.ref or None


def _optional(request: pb.SampleRequest | pb.FreeEnergyRequest, name: str) -> int | None:
    return getattr(request, name) if request.HasField(name) else None


def _at(request: pb.SampleRequest | pb.LogLikelihoodRequest | pb.FreeEnergyRequest) -> dict[str, Any]:
    """The conditions that a request gives, as JSON has them."""
    given: dict[str, Any] = {"condition": dict(request.condition)}
    return given | {"beta": request.beta} if request.HasField("beta") else given


def _result(result: FreeEnergyResult) -> pb.FreeEnergyResult:
    estimate, bound = result.estimate, result.upper_bound
    exact = None
    if result.exact is not None:
        exact = pb.Exact(beta_f=result.exact.beta_f, method=result.exact.method, citation=result.exact.citation)
    return pb.FreeEnergyResult(
        beta_f=estimate.value,
        standard_error=estimate.standard_error,
        beta_f_per_site=estimate.value / result.num_sites,
        f=estimate.value / result.beta,
        method=estimate.method,
        upper_bound=None if bound is None else pb.Bound(beta_f=bound.value, standard_error=bound.standard_error),
        diagnostics=pb.Diagnostics(
            num_samples=estimate.num_samples,
            effective_sample_size=estimate.effective_sample_size,
            effective_sample_fraction=estimate.effective_sample_fraction,
            pareto_k=estimate.pareto_k,
            reliable=estimate.reliable,
            warnings=estimate.warnings,
            why=result.why,
        ),
        exact=exact,
        model=result.record.model,
        version=result.record.version,
        seed=result.seed,
        condition=result.condition.values,
    )
