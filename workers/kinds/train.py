"""The job kind ``train``: train a model against a target, resume from checkpoints, publish a version."""

import json
import time
from dataclasses import dataclass
from importlib.metadata import version
from math import isfinite
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models_registry.artifacts import pack, unpack
from models_registry.digests import canonical_digest
from models_registry.records import VersionManifest
from workers.compute import choose_device, prepare_thread
from workers.jobs.lease import Report
from workers.jobs.specs import TrainJobSpec
from workers.kinds.base import JobContext, Kind, Outcome, StoppedError
from zoo.catalog import build_model, build_objective, build_target
from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.targets import HasExactFreeEnergy, ThermodynamicState
from zoo.core.tiles import tile_plan
from zoo.estimators.free_energy import importance_beta_f, variational_beta_f
from zoo.specs.errors import NoExactReferenceError
from zoo.specs.estimate import ExactReference
from zoo.training.state import StepInfo, TrainState, state_metadata, state_tensors
from zoo.training.trainer import Trainer, train

EVALUATION_SAMPLES = 10_000
_EVALUATION_DOMAIN = 2**40  # the domains below are those of training steps
_LIBRARIES = ("helmholtz", "torch", "numpy")


class Train(Kind):
    """Train, and leave a version behind."""

    def run(self, context: JobContext) -> Outcome:
        """The published version's manifest; see ``Kind.run``."""
        spec = TrainJobSpec.model_validate(context.spec)
        prepare_thread(context.settings.train_threads)
        device = choose_device(spec.training.device)
        target = build_target(spec.target)
        thermodynamic = ThermodynamicState(target, spec.target.state_beta)
        model = build_model(spec.model, target.space, spec.training.seed).to(device)
        trainer = Trainer(build_objective(spec.objective), thermodynamic, spec.training)
        start = _resumed(context, trainer, model) or trainer.init(model)
        exact = _exact_reference(thermodynamic)
        reporter = _Reporter(context, spec, None if exact is None else exact.beta_f, start)
        final = _train(context, trainer, start, reporter)
        metrics = evaluate(model, thermodynamic, spec.training.seed)
        reporter.say(f"finished at step {final.step} ({final.stop_reason}); evaluation: {json.dumps(metrics)}")
        metrics |= {"steps": final.step, "seconds": final.seconds}
        if exact is not None:
            metrics["exact"] = exact.model_dump(mode="json")
        return _publish(context, spec, model, metrics)


def evaluate(model: Model, state: ThermodynamicState, seed: int) -> dict[str, Any]:
    """How good a trained model is, on 10,000 samples that it was not trained on."""
    rng = RandomStream(seed, _EVALUATION_DOMAIN)
    parts: list[NDArray[np.float64]] = []
    with torch.inference_mode():
        for tile in tile_plan(EVALUATION_SAMPLES):
            x, log_prob = model.sample_and_log_prob(tile.rows, rng.at(tile.start))
            parts.append((state.unnormalized_log_prob(x) - log_prob)[: tile.used].cpu().numpy())
    log_weights = np.concatenate(parts)
    bound, estimate = variational_beta_f(log_weights), importance_beta_f(log_weights)
    return {
        "variational_beta_f": bound.value,
        "standard_error": bound.standard_error,
        "importance_beta_f": estimate.value,
        "importance_standard_error": estimate.standard_error,
        "effective_sample_fraction": estimate.effective_sample_fraction,
        "num_samples": estimate.num_samples,
    }


def _train(context: JobContext, trainer: Trainer, start: TrainState, reporter: "_Reporter") -> TrainState:
    """The state after the last step; a stop request leaves a checkpoint."""
    state, written_at = start, time.monotonic()
    for state, info in train(trainer, start):
        reporter.step(info)
        if context.stop_requested():
            _write_checkpoint(context, state)
            raise StoppedError
        if time.monotonic() - written_at >= trainer.spec.checkpoint_every_seconds:
            _write_checkpoint(context, state)
            written_at = time.monotonic()
    return state


def _write_checkpoint(context: JobContext, state: TrainState) -> None:
    context.checkpoints.write(state.step, pack(_on_host(state_tensors(state)), state_metadata(state)))


def _resumed(context: JobContext, trainer: Trainer, model: Model) -> TrainState | None:
    """The state in the newest good checkpoint; None when there is none."""
    data = context.checkpoints.read_latest()
    if data is None:
        return None
    arrays, metadata = unpack(data)
    state = trainer.restore(model, {name: torch.tensor(array) for name, array in arrays.items()}, metadata)
    context.report(Report(lines=(f"resumed from the checkpoint at step {state.step}",)))
    return state


@dataclass
class _Reporter:
    """Turns steps into progress, metrics and series."""

    context: JobContext
    spec: TrainJobSpec
    exact_beta_f: float | None
    start: TrainState

    def step(self, info: StepInfo) -> None:
        """Report one step."""
        metrics = {
            "step": info.step,
            "loss": info.loss,
            "beta": info.beta,
            "variational_beta_f": info.variational_beta_f,
            "standard_error": info.standard_error,
            "effective_sample_fraction": info.effective_sample_fraction,
            "num_samples": info.num_log_weights,
            "learning_rate": info.learning_rate,
            "gradient_norm": info.gradient_norm,
            "num_sites": self.spec.target.space.num_sites,
        }
        if self.exact_beta_f is not None and info.beta == self.spec.target.state_beta:  # it is the value at that beta
            metrics["exact_beta_f"] = self.exact_beta_f
        series = ("loss", "effective_sample_fraction", "gradient_norm", "learning_rate", "beta")
        points = tuple((name, info.step, metrics[name]) for name in series if isfinite(metrics[name]))
        self.context.report(Report(progress=self._progress(info), metrics=metrics, points=points))

    def say(self, line: str) -> None:
        """One line for the job's log."""
        self.context.report(Report(lines=(line,)))

    def _progress(self, info: StepInfo) -> dict[str, Any]:
        max_steps = self.spec.training.max_steps
        steps_here = max(1, info.step - self.start.step)
        per_step = (info.seconds - self.start.seconds) / steps_here
        left = (max_steps - info.step) * per_step
        if self.spec.training.max_seconds is not None:
            left = min(left, max(0.0, self.spec.training.max_seconds - info.seconds))
        ended = info.stop_reason is not None
        return {
            "step": info.step,
            "max_steps": max_steps,
            "fraction": 1.0 if ended else info.step / max_steps,
            "eta_seconds": 0.0 if ended else left,
        }


def _exact_reference(state: ThermodynamicState) -> ExactReference | None:
    """The exact value, to be shown beside progress and estimates; training never sees it."""
    if not isinstance(state.target, HasExactFreeEnergy):
        return None
    try:
        return state.target.exact_reference(state.beta)
    except NoExactReferenceError:
        return None


def _publish(context: JobContext, spec: TrainJobSpec, model: Model, metrics: dict[str, Any]) -> Outcome:
    """The artifact, stored under its digest, and the manifest of the version that will point at it."""
    target = spec.target.model_dump(mode="json")
    manifest = VersionManifest(
        model=spec.published_as.model,
        job_id=context.job_id,
        target=target,
        model_spec=spec.model.model_dump(mode="json"),
        objective=spec.objective.model_dump(mode="json"),
        training=spec.training.model_dump(mode="json"),
        seed=spec.training.seed,
        metrics=metrics,
        target_digest=canonical_digest(target),
        libraries={name: version(name) for name in _LIBRARIES},
    ).model_dump(mode="json")
    data = pack(_on_host(model.state_dict()), manifest)
    return Outcome(
        result={"metrics": metrics},
        manifest=manifest,
        digest=context.blobs.put(data),
        size_bytes=len(data),
        alias=spec.published_as.alias,
    )


def _on_host(tensors: dict[str, Tensor]) -> dict[str, NDArray[np.generic]]:
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
