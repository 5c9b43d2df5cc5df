"""The job kind ``reference``: the free energy of a target by thermodynamic integration, reweighting or annealing."""

import time
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

from workers.compute import prepare_thread
from workers.jobs.lease import Report
from workers.jobs.specs import ReferenceJobSpec
from workers.kinds.base import JobContext, Kind, Outcome, StoppedError
from zoo.catalog import build_chains, build_target
from zoo.core.random import RandomStream
from zoo.core.targets import HasExactFreeEnergy, Target
from zoo.references.plan import Progress, ReferencePlan, completed
from zoo.references.run import ReferenceResult, reference_free_energy
from zoo.samplers.base import Beta, Chains
from zoo.specs.errors import NoExactReferenceError

_SECONDS_BETWEEN_REPORTS = 0.5


class Reference(Kind):
    """Run, tell how far it is, and leave the estimate behind.  It has no checkpoints: a stopped job begins again."""

    def run(self, context: JobContext) -> Outcome:
        """The estimate with its diagnostics; see ``Kind.run``."""
        spec = ReferenceJobSpec.model_validate(context.spec)
        prepare_thread(context.settings.train_threads)
        sampler = spec.chains
        plan = ReferencePlan(spec.method, spec.num_states, spec.length)
        target, reporter = build_target(spec.target), _Reporter(context)
        reporter.say(f"{spec.method} over {spec.num_states} states with {sampler.kind} chains")

        def build(system: Target, beta: Beta) -> Chains[Any]:
            return build_chains(sampler, system, beta)

        steps = reference_free_energy(target, spec.target.state_beta, plan, build, RandomStream(spec.seed))
        found = completed(steps, reporter.progress)
        result = _as_json(found) | {"seconds": reporter.seconds, "sampler": sampler.model_dump(mode="json")}
        result |= _exact(target, spec.target.state_beta)
        reporter.finished(result)
        return Outcome(result=result)


@dataclass
class _Reporter:
    """Turns progress into reports, and a request to stop into the end of the run."""

    context: JobContext
    started: float = field(default_factory=time.monotonic)
    reported: float = float("-inf")
    stage: str = ""

    @property
    def seconds(self) -> float:
        """Since the job began."""
        return time.monotonic() - self.started

    def progress(self, progress: Progress) -> None:
        """Report now and then.

        Raises:
            StoppedError: a stop was requested.
        """
        if self.context.stop_requested():
            raise StoppedError
        if progress.stage != self.stage:
            self.stage = progress.stage
            self.say(f"{progress.fraction:.0%}: {progress.stage}")
        elif self.seconds - self.reported < _SECONDS_BETWEEN_REPORTS:
            return
        self.reported = self.seconds
        left = self.seconds * (1 / progress.fraction - 1) if progress.fraction > 0 else None
        self.context.report(
            Report(progress={"fraction": progress.fraction, "stage": progress.stage, "eta_seconds": left})
        )

    def say(self, line: str) -> None:
        """One line for the job's log."""
        self.context.report(Report(lines=(line,)))

    def finished(self, result: dict[str, Any]) -> None:
        """The end: all progress, the numbers, and what to think of them."""
        names = ("beta_f", "standard_error", "num_samples", "effective_sample_size")
        metrics = {name: result[name] for name in names if result[name] is not None}
        doubts = "; ".join(result["warnings"]) or "nothing speaks against it"
        line = f"beta_f = {result['beta_f']:.6f} +- {result['standard_error'] or float('nan'):.2g}: {doubts}"
        progress = {"fraction": 1.0, "stage": "finished", "eta_seconds": 0.0}
        self.context.report(Report(progress=progress, metrics=metrics, lines=(line,)))


def _as_json(found: ReferenceResult) -> dict[str, Any]:
    """The estimate and its diagnostics; what is not finite has no place in JSON and is None."""
    estimate = found.estimate
    diagnostics = {name: value for name, value in asdict(found).items() if name != "estimate"}
    diagnostics["states"] = [
        {"lambda": state.pop("lambda_"), **state} for state in (asdict(row) for row in found.states)
    ]
    finite: dict[str, Any] = _finite(
        {
            "beta_f": estimate.value,
            "standard_error": estimate.standard_error,
            "method": estimate.method,
            "num_samples": estimate.num_samples,
            "effective_sample_size": estimate.effective_sample_size,
            "pareto_k": estimate.pareto_k,
            "reliable": estimate.reliable,
            "warnings": list(estimate.warnings),
            "diagnostics": diagnostics,
        }
    )
    return finite


def _finite(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _exact(target: Target, beta: float) -> dict[str, Any]:
    """The exact value where there is one, to be shown beside the estimate, which never sees it."""
    if not isinstance(target, HasExactFreeEnergy):
        return {}
    try:
        return {"exact": target.exact_reference(beta).model_dump(mode="json")}
    except NoExactReferenceError:
        return {}
