"""The job kind ``train``: train a model against a target, resume from checkpoints, publish a version."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite, nan
from typing import Any

import torch

from models_registry.artifacts import pack, unpack
from workers.compute import choose_device, prepare_thread
from workers.jobs.lease import Report
from workers.jobs.specs import TrainJobSpec
from workers.kinds.base import JobContext, Kind, Outcome, StoppedError
from workers.kinds.beginning import take_first_weights
from workers.kinds.evaluation import evaluated
from workers.kinds.lesson import prepared_lesson
from workers.kinds.publication import exact_reference, on_host, published
from workers.kinds.solution import solved_version
from zoo.catalog import build_objective, build_trainable
from zoo.core.spaces import Space
from zoo.specs.errors import NumericalError
from zoo.training.gradient_choice import GradientChoice
from zoo.training.problem import Trainable
from zoo.training.state import StepInfo, TrainState, state_metadata, state_tensors
from zoo.training.trainer import Trainer, take_best_weights, train

LOWERED = 0.1
"""What the learning rate is multiplied by after a divergence, once."""

_VARIANCE = "gradient_variance_"
_SERIES = ("loss", "effective_sample_fraction", "held_out_nll", "gradient_norm", "learning_rate", "beta")


class Train(Kind):
    """Train, or solve what is solved instead, and leave a version behind."""

    def run(self, context: JobContext) -> Outcome:
        """The published version's manifest; see ``Kind.run``."""
        spec = TrainJobSpec.model_validate(context.spec)
        if spec.is_solved:
            return solved_version(context, spec)
        prepare_thread(context.settings.train_threads)
        device = choose_device(spec.training.device)
        lesson = prepared_lesson(context, spec, device)
        trainer = Trainer(build_objective(spec.principle), lesson.problem, spec.schedule)

        def last_good() -> TrainState:
            model = build_trainable(spec.model, lesson.space, spec.training.seed).to(device)
            take_first_weights(context, spec, model)
            return _resumed(context, trainer, model) or trainer.init(model)

        exact = None if lesson.problem.state is None else exact_reference(lesson.problem.state)
        reporter = _Reporter(context, spec, lesson.space, None if exact is None else exact.beta_f)
        final = _trained(context, trainer, last_good, reporter)
        take_best_weights(final)
        metrics = evaluated(trainer, final.model, spec)
        reporter.say(f"finished at step {final.step} ({final.stop_reason}); evaluation: {json.dumps(metrics)}")
        metrics |= {"steps": final.step, "seconds": final.seconds} | _gradient_facts(final.gradient)
        if exact is not None:
            metrics["exact"] = exact.model_dump(mode="json")
        return published(context, spec, final.model.state_dict(), lesson, metrics)


def _trained(
    context: JobContext, trainer: Trainer, last_good: Callable[[], TrainState], reporter: "_Reporter"
) -> TrainState:
    """The state after the last step; after a divergence training goes on from the last good one, slower, once."""
    state = last_good()
    while True:
        try:
            return _train(context, trainer, state, reporter)
        except NumericalError as error:
            state = _slowed(context, last_good(), error)


def _train(context: JobContext, trainer: Trainer, start: TrainState, reporter: "_Reporter") -> TrainState:
    """The state after the last step; a stop request leaves a checkpoint."""
    state, written_at = start, time.monotonic()
    reporter.start = start
    for state, info in train(trainer, start):
        reporter.step(info)
        if context.stop_requested():
            _write_checkpoint(context, state)
            raise StoppedError
        if time.monotonic() - written_at >= trainer.spec.checkpoint_every_seconds:
            _write_checkpoint(context, state)
            written_at = time.monotonic()
    return state


def _slowed(context: JobContext, good: TrainState, error: NumericalError) -> TrainState:
    """The state before a divergence with a lower learning rate, written down so that it stays lower.

    Raises:
        NumericalError: the rate was lowered already.
    """
    if good.learning_rate_factor < 1:
        msg = f"{error.detail}; it diverged at {good.learning_rate_factor:g} times the learning rate too"
        raise NumericalError(msg) from error
    slowed = replace(good, learning_rate_factor=LOWERED)
    _write_checkpoint(context, slowed)
    line = f"{error.detail}; going on from step {good.step} with {LOWERED:g} times the learning rate"
    context.report(Report(lines=(line,)))
    return slowed


def _gradient_facts(choice: GradientChoice | None) -> dict[str, Any]:
    """The gradient that is taken and the variances it was chosen by, in squared nats per squared unit of a weight."""
    return {} if choice is None else choice.facts


def _chosen(choice: GradientChoice) -> str:
    """A line for the log: which gradient was taken, and why."""
    seen = ", ".join(
        f"{value:.3g} by {name!r} at {choice.costs[name]:.2f} times the work"
        for name, value in choice.variances.items()
    )
    return f"step {choice.measured_at}: the variance of a step's gradient is {seen}; {choice.name!r} is taken"


def _write_checkpoint(context: JobContext, state: TrainState) -> None:
    context.checkpoints.write(state.step, pack(on_host(state_tensors(state)), state_metadata(state)))


def _resumed(context: JobContext, trainer: Trainer, model: Trainable) -> TrainState | None:
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
    space: Space
    exact_beta_f: float | None
    start: TrainState | None = None
    """Where training began or went on."""

    def step(self, info: StepInfo) -> None:
        """Report one step."""
        metrics: dict[str, Any] = {
            "step": info.step,
            "loss": info.loss,
            "learning_rate": info.learning_rate,
            "gradient_norm": info.gradient_norm,
            "num_sites": self.space.num_sites,
            **_gradient_facts(info.gradient),
        } | info.parts
        if self.spec.target is not None and self.spec.teacher is None:
            metrics["beta"] = info.beta
        if info.effective_sample_fraction is not None:
            metrics |= {
                "effective_sample_fraction": info.effective_sample_fraction,
                "num_samples": info.num_log_weights,
            }
        if info.held_out_nll is not None:
            metrics["held_out_nll"] = info.held_out_nll
        if self._is_at_target(info.beta):
            metrics["exact_beta_f"] = self.exact_beta_f
        points = tuple((name, info.step, metrics[name]) for name in _SERIES if isfinite(metrics.get(name, nan)))
        if info.gradient is not None and info.gradient.measured_at == info.step - 1:
            points += tuple((name, info.step, metrics[name]) for name in metrics if name.startswith(_VARIANCE))
            self.say(_chosen(info.gradient))
        self.context.report(Report(progress=self._progress(info), metrics=metrics, points=points))

    def say(self, line: str) -> None:
        """One line for the job's log."""
        self.context.report(Report(lines=(line,)))

    def _is_at_target(self, beta: float) -> bool:
        """Whether the training is at the state whose exact value is known: a range of conditions has many."""
        target = self.spec.target
        known = self.exact_beta_f is not None and not self.spec.condition_on.ranges and self.spec.teacher is None
        return known and target is not None and beta == target.state_beta

    def _progress(self, info: StepInfo) -> dict[str, Any]:
        max_steps = self.spec.training.max_steps
        done, seconds = (0, 0.0) if self.start is None else (self.start.step, self.start.seconds)
        per_step = (info.seconds - seconds) / max(1, info.step - done)
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
