"""How good a trained model is, measured on what it was not trained on.

Held-out configurations may have chosen the weights, where a model learns from data alone: the metric
``held_out_chose_weights`` says so, and their likelihood is then a little too good.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray

from workers.jobs.specs import TrainJobSpec
from workers.kinds.class_evaluation import class_metrics
from workers.kinds.forward_check import ForwardSamples
from zoo.core.known_densities import KnownDensity
from zoo.core.models import ConditionalModel, Model, TargetedModel, Weighable
from zoo.core.random import RandomStream
from zoo.core.targets import States
from zoo.core.tiles import tile_plan
from zoo.estimators.free_energy import importance_beta_f, variational_beta_f
from zoo.specs.estimate import ForwardCheck
from zoo.training.problem import Trainable
from zoo.training.trainer import Trainer

EVALUATION_SAMPLES = 10_000
_EVALUATION_DOMAIN = 2**40  # the domains below are those of training steps


def evaluated(trainer: Trainer, model: Trainable, spec: TrainJobSpec) -> dict[str, Any]:
    """The metrics of a version: of its free energy where there is a target, of held-out data, of its teacher."""
    metrics: dict[str, Any] = {}
    problem = trainer.problem
    if problem.data is not None and len(problem.data.held_out):
        nll = trainer.held_out_nll(model)
        metrics |= {
            "held_out_nll": float(nll.mean()),
            "held_out_standard_error": float(nll.std() / len(nll) ** 0.5) if len(nll) > 1 else None,
            "num_held_out": len(nll),
            "held_out_chose_weights": trainer.judges_by_held_out,
        }
    if problem.teacher is not None and isinstance(model, Model):
        metrics |= distilled(model, problem.teacher, spec.training.seed)
    if problem.data is not None and isinstance(model, ConditionalModel):
        metrics |= class_metrics(model, problem.data, spec.condition_on.label or 0)
    if spec.target is None or problem.state_at is None:
        return metrics
    if isinstance(model, ConditionalModel) and not problem.condition_on.ranges:
        return metrics  # conditioned on a class: no one model of the target
    values = spec.target_conditions
    if values:
        metrics["condition"] = values
    checks: list[ForwardCheck] = []
    for at in _checked_conditions(spec):
        state = problem.state_at(at)
        there = at_values(model, at, state)
        log_weights = model_log_weights(there, state, spec.training.seed)
        if at == values:
            metrics |= estimates(log_weights)
        chains = ForwardSamples(spec.target.model_copy(update=at), state, spec.training.seed)
        if (check := chains.check(there, log_weights, at)) is not None:
            checks.append(check)
    return metrics | _shown(checks)


def distilled(model: Model, teacher: KnownDensity, seed: int) -> dict[str, Any]:
    """KL(model || teacher) in nats, and the effective sample fraction of its samples as those of the teacher."""
    log_weights = model_log_weights(model, teacher, seed)
    divergence = variational_beta_f(log_weights)
    return {
        "kl_to_teacher": divergence.value,
        "kl_to_teacher_standard_error": divergence.standard_error,
        "teacher_effective_sample_fraction": importance_beta_f(log_weights).effective_sample_fraction,
    }


def at_values(model: Trainable, values: Mapping[str, float], state: States) -> Weighable:
    """The model at a value of each condition, and of the target; itself where it has none."""
    if isinstance(model, Weighable):
        return model
    if isinstance(model, TargetedModel):
        return model.toward(state)
    row = torch.tensor(
        [[values[name] for name in model.conditions]], dtype=torch.float64, device=next(model.parameters()).device
    )
    return model.at(row)


def estimates(log_weights: Float64[np.ndarray, " sample"]) -> dict[str, Any]:
    """The variational bound and the importance-weighted estimate from samples of the model.

    Where the target has infinite energies and the model draws such configurations, the bound is infinite and left out;
    where it draws nothing else, so is the estimate.
    """
    impossible = np.isneginf(log_weights)
    if impossible.all():
        return {"effective_sample_fraction": 0.0, "num_samples": len(log_weights)}
    bound = None if impossible.any() else variational_beta_f(log_weights)
    estimate = importance_beta_f(log_weights)
    bounds = {} if bound is None else {"variational_beta_f": bound.value, "standard_error": bound.standard_error}
    return bounds | {
        "importance_beta_f": estimate.value,
        "importance_standard_error": estimate.standard_error,
        "effective_sample_fraction": estimate.effective_sample_fraction,
        "num_samples": estimate.num_samples,
    }


def model_log_weights(model: Weighable, state: States, seed: int) -> Float64[np.ndarray, " sample"]:
    """-beta E - log q, or - l, of 10,000 samples of the model; log p - log q where the state is a known density p."""
    rng = RandomStream(seed, _EVALUATION_DOMAIN)
    parts: list[NDArray[np.float64]] = []
    with torch.inference_mode():
        for tile in tile_plan(EVALUATION_SAMPLES):
            x, log_prob = model.sample_and_log_ratio(tile.rows, rng.at(tile.start))
            parts.append((state.unnormalized_log_prob(x) - log_prob)[: tile.used].cpu().numpy())
    return np.concatenate(parts)


def _checked_conditions(spec: TrainJobSpec) -> list[dict[str, float]]:
    """Where modes are looked for: at the evaluation's condition, and at the coldest end, where they are lost first."""
    values, ranges = spec.target_conditions, spec.condition_on.ranges
    coldest = values | {"beta": ranges["beta"][1]} if "beta" in ranges else values
    return [values] if coldest == values else [values, coldest]


def _shown(checks: list[ForwardCheck]) -> dict[str, Any]:
    """The metrics that the checks make: all of them, and the first one's numbers by their own names."""
    if not checks:
        return {}
    first = checks[0]
    return {
        "forward_effective_sample_fraction": first.forward_effective_sample_fraction,
        "num_forward_samples": first.num_forward_samples,
        "forward_sampler": first.sampler,
        "forward_checks": [check.model_dump(mode="json") for check in checks],
    }
