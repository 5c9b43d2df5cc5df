"""Answers as a person reads them: tables and lists of facts.  Pure functions of records."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from helmholtz.results import (
    Diagnostics,
    FreeEnergyCurveResult,
    FreeEnergyResult,
    Job,
    SampleResult,
    StoredCurve,
    Version,
)

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


def job_report(job: Job) -> RenderableType:
    """Everything worth knowing of one job, and of a sweep one line for each of its jobs."""
    if job.children is None:
        return job_facts(job)
    rows = ((c.id, state(c.state), c.model, _assignments(c.values)) for c in job.children)
    return Group(job_facts(job), table(("job", "state", "model", "values"), rows, "no jobs"))


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
            "part of": job.parent,
            "created": job.created_at,
            "started": job.started_at,
            "finished": job.finished_at,
            **_shared(job.spec),
            **{name: value for name, value in job.metrics.items() if name != "step" and name not in (job.result or {})},
            "result": f"{published[0]} version {published[1]}" if published else None,
            **(_outcome(job.result) if job.result and not published else {}),
            "error": (job.error.detail or job.error.title) if job.error else None,
        }
    )


def file_facts(fields: Mapping[str, Any]) -> Table:
    """What a fetched file holds."""
    arrays = {name: f"{a['dtype']} {tuple(a['shape'])}" for name, a in (fields.get("arrays") or {}).items()}
    told = {
        "job": fields["job"],
        "model": f"{fields.get('model')} version {fields.get('version')}",
        "seed": fields.get("seed"),
        "file": fields["out"],
        "bytes": fields["size_bytes"],
    }
    return facts(told | arrays)


def _outcome(result: Mapping[str, Any]) -> dict[str, object]:
    """What a job found, its evidence in short; all of it is in the answer as JSON."""
    shown = {name: value for name, value in result.items() if name not in {"diagnostics", "exact", "sampler", "arrays"}}
    if "beta_f" in result:
        shown.pop("standard_error", None)
        shown["beta_f"] = with_error(result["beta_f"], result.get("standard_error"))
    if (exact := result.get("exact")) is not None:
        shown["exact"] = f"{exact['beta_f']:.10g} ({exact['method']})"
        if result.get("standard_error"):
            shown["deviation"] = f"{(result['beta_f'] - exact['beta_f']) / result['standard_error']:+.2f} sigma"
    if isinstance(observables := shown.pop("observables", None), Mapping):
        shown |= {name: with_error(o.get("mean"), o.get("standard_error")) for name, o in observables.items()}
    shown.pop("versions", None)  # each of a sweep's jobs shows its own
    shown["warnings"] = "\n".join(result.get("warnings") or ())
    return {name.replace("_", " ") if name != "beta_f" else name: value for name, value in shown.items()}


def version_table(versions: Iterable[Version]) -> Table | Text:
    """One line for each version."""
    columns = ("version", "aliases", "family", "variational beta_f", "ESS fraction", "held-out NLL", "state", "created")
    rows = (
        (
            v.version,
            ", ".join(v.aliases),
            v.model_spec.get("family"),
            with_error(v.metrics["variational_beta_f"], v.metrics.get("standard_error"))
            if "variational_beta_f" in v.metrics
            else None,
            v.metrics.get("effective_sample_fraction"),
            with_error(v.metrics["held_out_nll"], v.metrics.get("held_out_standard_error"))
            if "held_out_nll" in v.metrics
            else None,
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
            **(_correction_facts(result.diagnostics) if "correction" in result.diagnostics else {}),
            "written to": written,
        }
    )


def _correction_facts(found: Mapping[str, Any]) -> dict[str, object]:
    """How well samples were corrected."""
    times, r_hats = found.get("autocorrelation_time") or {}, found.get("r_hat") or {}
    fraction, ess = found.get("effective_sample_fraction"), found.get("effective_sample_size")
    chains = found.get("num_chains")
    return {
        "correction": found["correction"],
        "effective samples": None if ess is None else f"{ess:.1f} of {found.get('num_samples')}",
        "effective fraction": None if fraction is None else f"{fraction:.4f}",
        "Pareto k": found.get("pareto_k"),
        "acceptance": None if "acceptance_rate" not in found else f"{found['acceptance_rate']:.3f}",
        "autocorrelation": _by_name(times, ".3g", " steps"),
        "R-hat": _by_name(r_hats, ".4f", ""),
        "chains": None if chains is None else f"{chains} of {found['num_steps']} steps after {found['burn_in']}",
        "reliable": _verdict(bool(found.get("reliable"))),
        "warnings": "\n".join(found.get("warnings") or ()),
    }


def _by_name(values: Mapping[str, float | None], digits: str, unit: str) -> str:
    """Names with their values."""
    known = (f"{name} {'unknown' if value is None else format(value, digits) + unit}" for name, value in values.items())
    return ", ".join(known)


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
            "error asked for": _asked_error(evidence),
            "effective fraction": f"{fraction:.4f}" if fraction is not None else None,
            "Pareto k": evidence.pareto_k,
            "reliable": _verdict(evidence.reliable),
            "warnings": "\n".join(evidence.warnings),
            "seed": result.seed,
        }
    )


def _asked_error(evidence: Diagnostics) -> str | None:
    if evidence.target_standard_error is None:
        return None
    return f"{evidence.target_standard_error:g} ({'reached' if evidence.target_reached else 'not reached'})"


def curve_report(result: FreeEnergyCurveResult) -> RenderableType:
    """One line for each beta, with the exact values where they are known, and the warnings under the table."""
    columns = ("beta", "beta_f", "exact", "energy", "heat capacity", "ESS fraction", "reliable")
    rows = (
        (
            point.beta,
            with_error(point.beta_f, point.standard_error),
            None if point.exact is None else f"{point.exact.beta_f:.10g}",
            with_error(point.energy.value, point.energy.standard_error),
            with_error(point.heat_capacity.value, point.heat_capacity.standard_error),
            point.diagnostics.effective_sample_fraction,
            _verdict(point.diagnostics.reliable),
        )
        for point in result.points
    )
    warnings = [f"beta {p.beta:.6g}: {text}" for p in result.points for text in p.diagnostics.warnings]
    about = {"model": f"{result.model} version {result.version}", "sites": result.num_sites, "seed": result.seed}
    return Group(facts(about | {"warnings": "\n".join(warnings)}), table(columns, rows))


def stored_curve_table(curve: StoredCurve) -> Table | Text:
    """One line for each stored beta."""
    columns = ("beta", "beta_f", "exact", "energy", "heat capacity", "method", "reliable", "version", "created")
    rows = (
        (
            point.beta,
            with_error(point.beta_f, point.standard_error),
            None if point.exact_beta_f is None else f"{point.exact_beta_f:.10g}",
            with_error(point.energy.value, point.energy.standard_error) if point.energy else None,
            with_error(point.heat_capacity.value, point.heat_capacity.standard_error) if point.heat_capacity else None,
            point.method,
            _verdict(point.reliable),
            point.version,
            point.created_at,
        )
        for point in curve.points
    )
    return table(columns, rows, "no estimate is stored; --beta 0.2:1.0:9 computes a curve")


def _verdict(reliable: bool) -> Text:  # noqa: FBT001 - the value that is shown
    return Text("yes", style="green") if reliable else Text("NO", style="bold red")


def _fraction(job: Job) -> str | None:
    progress = job.progress
    if progress is None:
        return None
    if progress.max_steps is None:
        return None if progress.fraction is None else f"{progress.fraction:.0%}"
    return f"{progress.step}/{progress.max_steps}"


def _shared(spec: Mapping[str, Any]) -> dict[str, object]:
    """What a job is about: its target and its model, and of a sweep also what is swept."""
    train = spec.get("train") or spec
    return {name: train.get(name) for name in ("target", "data", "model")} | {"grid": spec.get("grid")}


def _assignments(values: Mapping[str, Any]) -> str:
    return " ".join(f"{path}={_plain(value)}" for path, value in values.items())


def _subject(spec: dict[str, Any]) -> str:
    spec = spec | (spec.get("train") or {})
    if isinstance(spec.get("model"), str):  # a version of the registry, and not the spec of a model
        return f"{spec.get('n')} of {spec['model']} version {spec.get('ref')}"
    target, data, model = (spec.get(name) or {} for name in ("target", "data", "model"))
    words = [model.get("family"), target.get("kind"), target.get("shape"), target.get("beta")]
    words += [data.get("builtin") or data.get("dataset")]
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
