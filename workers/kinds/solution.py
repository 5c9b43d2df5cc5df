"""A train job whose family is solved instead of trained: the fixed point of equations of its target."""

import json
import time
from typing import Any

import torch

from workers.compute import prepare_thread
from workers.jobs.lease import Report
from workers.jobs.specs import TrainJobSpec
from workers.kinds.base import JobContext, Outcome, StoppedError
from workers.kinds.evaluation import evaluated
from workers.kinds.lesson import Lesson, prepared_lesson
from workers.kinds.publication import exact_reference, published
from zoo.catalog import build_equations, build_model, build_objective
from zoo.core.random import RandomStream
from zoo.core.self_consistency import FreeEnergyApproximation, SelfConsistent, Solution, Solving
from zoo.specs.models.fixed_point import FixedPointSpec
from zoo.training.trainer import Trainer

_SECONDS_PER_REPORT = 0.2


def solved_version(context: JobContext, spec: TrainJobSpec) -> Outcome:
    """The version that the solution of ``spec.model`` makes; it has a sampled free energy where it is a distribution.

    Raises:
        StoppedError: a stop was requested; the next attempt begins anew.
    """
    prepare_thread(context.settings.train_threads)
    lesson = prepared_lesson(context, spec, torch.device("cpu"))
    state = lesson.problem.state
    if state is None or not isinstance(spec.model, FixedPointSpec):
        msg = "a family that is solved has a target"
        raise TypeError(msg)
    equations, started = build_equations(spec.model), time.monotonic()
    solution = _watched(context, equations.solve(state, RandomStream(spec.training.seed)))
    metrics = _facts(solution, lesson) | _evaluated(equations, solution, spec, lesson)
    context.report(Report(lines=(f"solved; {json.dumps(metrics)}",)))
    metrics["seconds"] = time.monotonic() - started
    if (exact := exact_reference(state)) is not None:
        metrics["exact"] = exact.model_dump(mode="json")
    return published(context, spec, equations.weights(solution), lesson, metrics)


def _watched(context: JobContext, solving: Solving) -> Solution:
    """The solution, with progress reported and the wish to stop heard on the way."""
    reported = -_SECONDS_PER_REPORT
    while True:
        try:
            progress = next(solving)
        except StopIteration as end:
            solution: Solution = end.value
            return solution
        if context.stop_requested():
            raise StoppedError
        if time.monotonic() - reported >= _SECONDS_PER_REPORT:
            reported = time.monotonic()
            told = {
                "step": progress.iterations,
                "max_steps": progress.max_iterations,
                "fraction": progress.iterations / progress.max_iterations,
            }
            context.report(Report(progress=told, metrics={"residual": progress.residual}))


def _facts(solution: Solution, lesson: Lesson) -> dict[str, Any]:
    num_sites = lesson.space.num_sites
    return {
        "beta_f": solution.beta_f,
        "converged": solution.converged,
        "iterations": solution.iterations,
        "residual": solution.residual,
        "start": solution.start_name,
        "is_tree": solution.is_tree,
        "energy_per_site": solution.energy / num_sites,
        "magnetization": float(solution.magnetizations.mean()),
        "num_sites": num_sites,
    }


def _evaluated(equations: SelfConsistent, solution: Solution, spec: TrainJobSpec, lesson: Lesson) -> dict[str, Any]:
    """What an approximation says of its beta_f; of a distribution the estimates from its samples."""
    if isinstance(equations, FreeEnergyApproximation):
        estimate = equations.estimate(solution)
        return estimate.model_dump(mode="json", include={"standard_error", "reliable", "warnings"})
    model = build_model(spec.model, lesson.space, spec.training.seed)
    model.load_state_dict(equations.weights(solution))
    return evaluated(Trainer(build_objective(spec.principle), lesson.problem, spec.training), model, spec)
