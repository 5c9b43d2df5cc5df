"""The job kind ``dataset``: draw configurations of a target by Monte Carlo and keep them, with how good they are.

Row d C + c of the data is draw d of chain c, for C chains; the last draw may be cut short, so that exactly n rows are
kept.  A job that is stopped begins again when it is resumed: its numbers depend on its spec alone, so it ends with the
same bytes.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float64, Num
from numpy.typing import NDArray
from torch import Tensor

from models_registry.datasets import DatasetManifest, pack_samples
from workers.compute import prepare_thread
from workers.jobs.lease import Report
from workers.jobs.specs import DatasetJobSpec
from workers.kinds.base import JobContext, Kind, Outcome, StoppedError
from zoo.catalog import build_chains, build_target
from zoo.core.random import RandomStream
from zoo.core.targets import Target
from zoo.estimators.chains import MIN_DRAWS, chain_average, r_hat
from zoo.samplers.base import Draw, RunPlan
from zoo.specs.arrays import as_configurations
from zoo.specs.datasets import LabelledSamples
from zoo.specs.estimate import Estimate
from zoo.specs.samplers import DirectSpec, SamplerSpec
from zoo.specs.spaces import SpaceSpec

_RELABELLING = 2**63 - 2  # the parts of a job's stream below are those of the chains' steps

ChainArray = Float64[np.ndarray, "chain draw"]


class Dataset(Kind):
    """Draw, and leave a dataset behind."""

    def run(self, context: JobContext) -> Outcome:
        """The stored data's manifest; R-hat, effective sample size and averages in the result; see ``Kind.run``."""
        spec = DatasetJobSpec.model_validate(context.spec)
        prepare_thread(context.settings.train_threads)
        target = build_target(spec.target)
        drawn = _Drawn(spec.target.space, spec.n)
        for number, draw in enumerate(_draws(context, spec, target)):
            drawn.add(draw, _relabelled(draw, target, RandomStream(spec.seed).spawn(_RELABELLING), number), target)
        return _kept(context, spec, drawn)


@dataclass
class _Drawn:
    """What has been drawn so far: configurations in the order of the draws, and a scalar series for each chain."""

    space: SpaceSpec
    num_rows: int
    _parts: list[NDArray[np.generic]] = field(default_factory=list)
    _series: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)

    def add(self, draw: Draw, configurations: Num[Tensor, "chain *event"], target: Target) -> None:
        """One draw of all chains; ``configurations`` are what is kept of it."""
        self._parts.append(configurations.cpu().numpy().astype(self.space.wire_dtype))
        scalars = {"total_energy": draw.energies} | target.observables(draw.configurations)
        for name, values in scalars.items():
            self._series.setdefault(name, []).append(values.cpu().numpy())

    def samples(self) -> NDArray[np.generic]:
        """The first n rows, each checked to be in the space.

        Raises:
            InvalidValueError: a configuration that is not, such as one that diverged.
        """
        return as_configurations(np.concatenate(self._parts)[: self.num_rows], self.space)

    def series(self) -> dict[str, ChainArray]:
        """``total_energy`` and every observable, shape (chain, draw)."""
        return {name: np.stack(draws, 1) for name, draws in self._series.items()}


def _draws(context: JobContext, spec: DatasetJobSpec, target: Target) -> Iterator[Draw]:
    """The draws of a job's chains, each reported.

    Raises:
        StoppedError: a stop was requested; it is looked for between any two steps.
    """
    sampler = spec.chains
    num_chains = min(sampler.num_chains, spec.n)
    plan = RunPlan(num_draws=-(-spec.n // num_chains), burn_in=sampler.burn_in, thin=sampler.thin)
    chains = build_chains(sampler, target, spec.target.state_beta)
    reporter = _Reporter(context, plan)
    reporter.begin(sampler, num_chains)
    drawn = chains.draws(num_chains, plan, RandomStream(spec.seed), reporter.pause)
    for number, draw in enumerate(drawn, start=1):
        reporter.drawn(number, draw)
        yield draw


def _relabelled(draw: Draw, target: Target, rng: RandomStream, number: int) -> Num[Tensor, "chain *event"]:
    """The configurations of a draw, the particles of each in a random order where all orders are alike.

    Chains do not exchange labels by themselves; a model that tells particles apart would learn the labelling that the
    chains began with, and miss up to ln n! of free energy.
    """
    x = draw.configurations
    if "permutation" not in target.symmetries:
        return x
    chains, particles, dimension = x.shape
    order = rng.at(number * chains).uniforms(chains, particles, x.device).argsort(1)
    return x.gather(1, order[:, :, None].expand(chains, particles, dimension))


@dataclass
class _Reporter:
    """Turns draws into progress, metrics and a series of mean energies."""

    context: JobContext
    plan: RunPlan
    _began: float = field(default_factory=time.monotonic)

    def begin(self, sampler: SamplerSpec, num_chains: int) -> None:
        """The first lines of the log."""
        line = f"{num_chains} chains of {sampler.kind}: {self.plan.burn_in} steps of burn-in, "
        line += f"then {self.plan.num_draws} draws, {self.plan.thin} steps apart"
        self.context.report(Report(progress=self._progress(0), lines=(line,)))

    def pause(self) -> None:
        """Between two steps.

        Raises:
            StoppedError: a stop was requested.
        """
        if self.context.stop_requested():
            raise StoppedError

    def drawn(self, number: int, draw: Draw) -> None:
        """One more draw."""
        energy = float(draw.energies.mean())
        metrics = {"step": number, "mean_energy": energy}
        points = (("mean_energy", number, energy),) if np.isfinite(energy) else ()
        self.context.report(Report(progress=self._progress(number), metrics=metrics, points=points))

    def _progress(self, number: int) -> dict[str, Any]:
        plan, passed = self.plan, time.monotonic() - self._began
        made = plan.burn_in + number * plan.thin
        left = (plan.num_draws - number) * plan.thin * passed / made if number else None
        return {
            "step": number,
            "max_steps": plan.num_draws,
            "fraction": number / plan.num_draws,
            "eta_seconds": left,
        }


def _kept(context: JobContext, spec: DatasetJobSpec, drawn: _Drawn) -> Outcome:
    """The stored data and its manifest."""
    space = spec.target.space
    packed = pack_samples(LabelledSamples(space, drawn.samples()))
    diagnostics = _diagnostics(drawn.series(), spec.chains)
    manifest = DatasetManifest(
        name=spec.name or spec.target.kind,
        space=space,
        num_samples=spec.n,
        labels=False,
        source={
            "kind": "sampler",
            "target": spec.target.model_dump(mode="json"),
            "sampler": spec.chains.model_dump(mode="json"),
            "seed": spec.seed,
            "diagnostics": diagnostics,
        },
        job_id=context.job_id,
    )
    context.report(Report(lines=(*diagnostics["warnings"], f"{spec.n} configurations kept")))
    return Outcome(
        result={"num_samples": spec.n} | diagnostics,
        dataset=manifest.model_dump(mode="json"),
        digest=context.blobs.put(packed),
        size_bytes=len(packed),
    )


def _diagnostics(series: dict[str, ChainArray], sampler: SamplerSpec) -> dict[str, Any]:
    """R-hat and effective sample size of the energy, and the average of every observable with its standard error.

    None stands for what cannot be known: from fewer than 4 draws of each chain, or of a constant.
    """
    energies = series.pop("total_energy")
    warnings: tuple[str, ...] = ()
    ess, mixing = None, None
    independent = isinstance(sampler, DirectSpec)
    if energies.shape[1] >= MIN_DRAWS:
        average = chain_average(energies)
        ess, warnings = average.effective_sample_size, () if independent else average.warnings
        mixing = r_hat(energies) if ess is not None else None
    elif not independent:
        warnings = (f"{energies.shape[1]} draws of each chain; R-hat and errors need {MIN_DRAWS}",)
    return {
        "r_hat": mixing,
        "effective_sample_size": float(energies.size) if independent else ess,
        "observables": {name: _average(values, independent=independent) for name, values in series.items()},
        "warnings": list(warnings),
    }


def _average(values: ChainArray, *, independent: bool) -> dict[str, float | None]:
    """The mean with one standard error: that of independent draws, or of chains with their autocorrelation."""
    if independent:
        error = float(values.std(ddof=1)) / values.size**0.5 if values.size > 1 else None
        return {"mean": float(values.mean()), "standard_error": error}
    if values.shape[1] < MIN_DRAWS:
        return {"mean": float(values.mean()), "standard_error": None}
    average: Estimate = chain_average(values)
    return {"mean": average.value, "standard_error": average.standard_error}
