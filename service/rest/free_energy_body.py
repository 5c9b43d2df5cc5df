"""A free energy as the API shows it."""

from typing import Any

from service.rest.answers import at
from service.use_cases.estimate_free_energy import FreeEnergyResult
from zoo.specs.estimate import Estimate


def free_energy_body(result: FreeEnergyResult) -> dict[str, Any]:
    """The result as the API shows it."""
    estimate = result.estimate
    accuracy: dict[str, Any] = {}
    if result.target_standard_error is not None:
        accuracy = {"target_standard_error": result.target_standard_error, "target_reached": result.target_reached}
    body: dict[str, Any] = {
        "beta_f": estimate.value,
        "standard_error": estimate.standard_error,
        "beta_f_per_site": estimate.value / result.num_sites,
        "f": estimate.value / result.beta,
        "method": estimate.method,
        "diagnostics": {
            "num_samples": estimate.num_samples,
            "effective_sample_size": estimate.effective_sample_size,
            "effective_sample_fraction": estimate.effective_sample_fraction,
            "pareto_k": estimate.pareto_k,
            "reliable": estimate.reliable,
            "warnings": list(estimate.warnings),
            "why": result.why,
            **accuracy,
        },
        "model": result.record.model,
        "version": result.record.version,
        "seed": result.seed,
    }
    if result.upper_bound is not None:
        body["upper_bound"] = _bound(result.upper_bound)
    if result.exact is not None:
        exact = result.exact
        body["exact"] = {"beta_f": exact.beta_f, "method": exact.method, "citation": exact.citation}
    return body | at(result.condition)


def _bound(estimate: Estimate) -> dict[str, Any]:
    return {"beta_f": estimate.value, "standard_error": estimate.standard_error}
