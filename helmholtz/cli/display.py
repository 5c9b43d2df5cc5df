"""Answers as a person reads them: tables and lists of facts.  Pure functions of records."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from helmholtz.results import FreeEnergyResult, Job, SampleResult, Version

STATE_STYLES = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "running": "cyan", "quarantined": "red"}


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str = "none") -> Table | Text:
    """A table, or ``empty`` when it has no rows."""
    drawn = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        drawn.add_row(*(_cell(value) for value in row))
    return drawn if drawn.row_count else Text(empty)


def facts(pairs: Mapping[str, object]) -> Table:
    """Names and values, one pair a line; values that are None or empty are left out."""
    drawn = Table(box=None, show_header=False, pad_edge=False)
    drawn.add_column(style="bold")
    drawn.add_column(overflow="fold")
    for name, value in pairs.items():
        if value is not None and value not in ("", {}, [], ()):
            drawn.add_row(name, _cell(value))
    return drawn


def with_error(value: float | None, error: float | None) -> str:
    """``value ± error`` with two digits of the error, and as many decimals of the value."""
    if value is None:
        return "not finite"
    if error is None:
        return f"{value:.6g} (no error can be given)"
    if not error > 0 or not math.isfinite(error):
        return f"{value:.10g} ± {error:g}"
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def state(word: str) -> Text:
    """A state in its colour."""
    return Text(word, style=STATE_STYLES.get(word, ""))


def job_table(jobs: Iterable[Job]) -> Table | Text:
    """One line for each job."""
    columns = ("job", "kind", "state", "progress", "what", "created")
    rows = ((j.id, j.kind, state(j.state), _fraction(j), _subject(j.spec), j.created_at) for j in jobs)
    return table(columns, rows, "no jobs")


def job_facts(job: Job) -> Table:
    """Everything worth knowing of one job."""
    published = job.published
    return facts(
        {
            "job": job.id,
            "kind": job.kind,
            "state": state(job.state),
            "progress": _fraction(job),
            "attempt": job.attempt,
            "cancel requested": "yes" if job.cancel_requested and not job.finished else None,
            "retry of": job.retry_of,
            "created": job.created_at,
            "started": job.started_at,
            "finished": job.finished_at,
            "target": job.spec.get("target"),
            "model": job.spec.get("model"),
            **{name: value for name, value in job.metrics.items() if name != "step" and name not in (job.result or {})},
            "result": f"{published[0]} version {published[1]}" if published else None,
            **(_outcome(job.result) if job.result and not published else {}),
            "error": (job.error.detail or job.error.title) if job.error else None,
        }
    )


def _outcome(result: Mapping[str, Any]) -> dict[str, object]:
    """What a job found, its evidence in short; all of it is in the answer as JSON."""
    shown = {name: value for name, value in result.items() if name not in {"diagnostics", "exact", "sampler"}}
    if "beta_f" in result:
        shown.pop("standard_error", None)
        shown["beta_f"] = with_error(result["beta_f"], result.get("standard_error"))
    if (exact := result.get("exact")) is not None:
        shown["exact"] = f"{exact['beta_f']:.10g} ({exact['method']})"
        if result.get("standard_error"):
            shown["deviation"] = f"{(result['beta_f'] - exact['beta_f']) / result['standard_error']:+.2f} sigma"
    if isinstance(observables := shown.pop("observables", None), Mapping):
        shown |= {name: with_error(o.get("mean"), o.get("standard_error")) for name, o in observables.items()}
    shown["warnings"] = "\n".join(result.get("warnings") or ())
    return {name.replace("_", " ") if name != "beta_f" else name: value for name, value in shown.items()}


def version_table(versions: Iterable[Version]) -> Table | Text:
    """One line for each version."""
    columns = ("version", "aliases", "family", "variational beta_f", "ESS fraction", "state", "created")
    rows = (
        (
            v.version,
            ", ".join(v.aliases),
            v.model_spec.get("family"),
            with_error(v.metrics["variational_beta_f"], v.metrics.get("standard_error"))
            if "variational_beta_f" in v.metrics
            else None,
            v.metrics.get("effective_sample_fraction"),
            state(v.state),
            v.created_at,
        )
        for v in versions
    )
    return table(columns, rows, "no versions")


def version_facts(version: Version) -> Table:
    """Everything worth knowing of one version."""
    fields = version.model_dump(mode="json")
    metrics = fields.pop("metrics")
    return facts({name.replace("_", " "): value for name, value in fields.items()} | metrics)


def sample_facts(result: SampleResult, written: str | None) -> Table:
    """What was drawn, and where it lies."""
    return facts(
        {
            "model": f"{result.model} version {result.version}",
            "samples": f"{result.samples.dtype} {result.samples.shape}",
            "seed": result.seed,
            "mean": float(result.samples.mean()) if result.samples.size else None,
            "mean log_prob": None if result.log_prob is None else float(result.log_prob.mean()),
            "mean energy": None if result.energy is None else float(result.energy.mean()),
            "written to": written,
        }
    )


def free_energy_facts(result: FreeEnergyResult) -> Table:
    """The estimate, its evidence, and the truth beside it where it is known."""
    evidence, bound, exact, sigma = result.diagnostics, result.upper_bound, result.exact, result.deviation_in_sigma
    fraction = evidence.effective_sample_fraction
    return facts(
        {
            "model": f"{result.model} version {result.version}",
            "beta_f": with_error(result.beta_f, result.standard_error),
            "per site": result.beta_f_per_site,
            "f": result.f,
            "method": result.method,
            "upper bound": with_error(bound.beta_f, bound.standard_error) if bound else None,
            "exact": f"{exact.beta_f:.10g} ({exact.method})" if exact else None,
            "deviation": f"{sigma:+.2f} sigma" if sigma is not None else None,
            "samples": evidence.num_samples,
            "effective fraction": f"{fraction:.4f}" if fraction is not None else None,
            "Pareto k": evidence.pareto_k,
            "reliable": Text("yes", style="green") if evidence.reliable else Text("NO", style="bold red"),
            "warnings": "\n".join(evidence.warnings),
            "seed": result.seed,
        }
    )


def _fraction(job: Job) -> str | None:
    progress = job.progress
    if progress is None or progress.max_steps is None:
        return None
    return f"{progress.step}/{progress.max_steps}"


def _subject(spec: Mapping[str, Any]) -> str:
    target, model = spec.get("target") or {}, spec.get("model") or {}
    words = [model.get("family"), target.get("kind"), target.get("shape"), target.get("beta")]
    return " ".join(_plain(word) for word in words if word is not None)


def _cell(value: object) -> Text:
    return value if isinstance(value, Text) else Text(_plain(value))


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, dict | list):
        return json.dumps(value)
    return str(value)
