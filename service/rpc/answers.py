"""What the use cases of inference answer, as messages."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from service.rpc.chunks import Arrays
from service.rpc.tensors import to_tensor
from service.rpc.v1 import inference_pb2 as pb
from service.use_cases.complete import Completions
from service.use_cases.estimate_curve import CurvePoint, FreeEnergyCurve, exact_observables
from service.use_cases.estimate_free_energy import FreeEnergyProgress, FreeEnergyResult
from service.use_cases.evaluate_log_likelihood import LogLikelihoods
from zoo.specs.estimate import Estimate


def sample_diagnostics(found: Mapping[str, Any]) -> pb.SampleDiagnostics | None:
    """What corrected samples say about themselves; None of plain ones.  Numbers that are not known are left out."""
    if "correction" not in found:
        return None
    known = {name: value for name, value in found.items() if value is not None}
    for name in ("autocorrelation_time", "r_hat"):
        if name in known:
            known[name] = {of: value for of, value in known[name].items() if value is not None}
    return pb.SampleDiagnostics(**known)


def likelihood_arrays(answer: LogLikelihoods) -> Arrays:
    """Everything that has a row for each configuration."""
    arrays = {"log_likelihood": answer.log_likelihood}
    if answer.label_posterior is not None:
        arrays["label_posterior"] = answer.label_posterior
    if answer.marginal is not None and not answer.marginal.exact:
        arrays["standard_error"] = answer.marginal.standard_error
        arrays["effective_sample_size"] = answer.marginal.effective_sample_size
    return arrays


def likelihood_reply(answer: LogLikelihoods, rows: Arrays, *, warn: bool) -> pb.LogLikelihoodReply:
    """A reply with some rows of the answer."""
    marginal = answer.marginal
    diagnostics: dict[str, Any] = {"warnings": answer.condition.warnings} if marginal is None else marginal.diagnostics
    return pb.LogLikelihoodReply(
        **{name: to_tensor(array) for name, array in rows.items()},
        kind=answer.kind,
        model=answer.record.model,
        version=answer.record.version,
        warnings=diagnostics["warnings"] if warn else (),
        num_proposals=diagnostics.get("num_proposals"),
        seed=marginal.seed if marginal is not None and not marginal.exact else None,
        condition=answer.condition.values,
    )


def marginal_arrays(found: Completions) -> Arrays:
    """What is known of each configuration."""
    arrays: Arrays = {"log_marginal": found.log_marginal, "standard_error": found.standard_error}
    return arrays if found.exact else arrays | {"effective_sample_size": found.effective_sample_size}


def completion_chunk(found: Completions, rows: Arrays, *, first: bool, last: bool) -> pb.CompletionChunk:
    """A chunk with some rows of the answer."""
    diagnostics = found.diagnostics
    return pb.CompletionChunk(
        **{name: to_tensor(array) for name, array in rows.items()},
        exact=found.exact,
        seed=found.seed,
        model=found.record.model,
        version=found.record.version,
        condition=found.condition.values,
        num_proposals=diagnostics.get("num_proposals"),
        warnings=diagnostics["warnings"] if first else (),
        last=last,
    )


def free_energy_update(update: FreeEnergyProgress | FreeEnergyResult) -> pb.FreeEnergyUpdate:
    """Progress, or the result."""
    if isinstance(update, FreeEnergyProgress):
        return pb.FreeEnergyUpdate(progress=pb.Progress(**asdict(update)))
    return pb.FreeEnergyUpdate(result=_result(update))


def curve_reply(curve: FreeEnergyCurve) -> pb.FreeEnergyCurveReply:
    """The curve, all numbers extensive."""
    return pb.FreeEnergyCurveReply(
        points=[_point(point, curve.num_sites) for point in curve.points],
        num_sites=curve.num_sites,
        model=curve.record.model,
        version=curve.record.version,
        seed=curve.seed,
    )


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
        diagnostics=_accurate(_diagnostics(estimate, result.why), result),
        exact=exact,
        model=result.record.model,
        version=result.record.version,
        seed=result.seed,
        condition=result.condition.values,
    )


def _point(point: CurvePoint, num_sites: int) -> pb.CurvePoint:
    bound, exact = point.upper_bound, point.exact
    return pb.CurvePoint(
        beta=point.beta,
        condition=point.condition.values,
        beta_f=point.beta_f.value,
        standard_error=point.beta_f.standard_error,
        upper_bound=pb.Bound(beta_f=bound.value, standard_error=bound.standard_error),
        energy=_measured(point.energy),
        heat_capacity=_measured(point.heat_capacity),
        method=point.beta_f.method,
        diagnostics=_diagnostics(point.beta_f),
        exact=None
        if exact is None
        else pb.ExactPoint(
            beta_f=exact.beta_f, method=exact.method, citation=exact.citation, **exact_observables(point, num_sites)
        ),
    )


def _measured(estimate: Estimate) -> pb.Measured:
    return pb.Measured(value=estimate.value, standard_error=estimate.standard_error)


def _accurate(diagnostics: pb.Diagnostics, result: FreeEnergyResult) -> pb.Diagnostics:
    """``diagnostics`` with the error that was asked for, where one was."""
    if result.target_standard_error is not None and result.target_reached is not None:
        diagnostics.target_standard_error = result.target_standard_error
        diagnostics.target_reached = result.target_reached
    return diagnostics


def _diagnostics(estimate: Estimate, why: str = "") -> pb.Diagnostics:
    return pb.Diagnostics(
        num_samples=estimate.num_samples,
        effective_sample_size=estimate.effective_sample_size,
        effective_sample_fraction=estimate.effective_sample_fraction,
        pareto_k=estimate.pareto_k,
        reliable=estimate.reliable,
        warnings=estimate.warnings,
        why=why,
    )
