"""Which solved system a target is reached from."""

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from zoo.core.targets import ContinuousTarget, Target
from zoo.references.crystal import CrystalPath, crystal_of, has_melted
from zoo.references.gaussian import GaussianPath, fitted_gaussian
from zoo.references.path import Path, TemperaturePath
from zoo.references.plan import Part, Run, Steps, Work
from zoo.references.sampling import warmed_up
from zoo.specs.errors import InvalidValueError

PILOT_DRAWS = 40
"""Draws of each chain of a pilot run."""


def chosen_path(run: Run, work: Work) -> Steps[Path]:
    """From an Einstein crystal where there is one, from infinite temperature where the space is finite, or a Gaussian.

    Crystals and Gaussians are measured in a pilot run; a crystal that melts there is a fluid.
    """
    if not needs_pilot(run.target):
        return TemperaturePath(run.target, run.beta)
    if not isinstance(run.target, ContinuousTarget):
        msg = f"{type(run.target).__name__} has no forces, and its space no finite measure: there is no path to it"
        raise InvalidValueError(msg)
    crystal = crystal_of(run.target)
    if crystal is None:
        samples = yield from _pilot(run, run.target, None, work)
        return GaussianPath(run.target, run.beta, fitted_gaussian(run.target.space, samples))
    perfect = torch.zeros(run.plan.length.num_chains, *crystal.space.event_shape, dtype=torch.float64)
    samples = yield from _pilot(run, crystal, perfect, work)
    if has_melted(crystal, samples):
        return TemperaturePath(run.target, run.beta)
    return CrystalPath(run.target, run.beta, crystal, fitted_gaussian(crystal.space, samples))


def _pilot(
    run: Run, target: ContinuousTarget, start: Tensor | None, work: Work
) -> Steps[Float64[Tensor, "sample *event"]]:
    """Configurations of ``target`` at l = 1 after a warm-up, from ``start`` or from where chains begin."""
    chains, rng, rows = run.build(target, run.beta), run.rng.spawn(Part.PILOT), run.plan.length.num_chains
    state = chains.init(rows, rng.spawn(Part.START)) if start is None else chains.state_at(start)
    state = yield from warmed_up(chains, state, run, rng, work)
    kept = []
    for time in range(PILOT_DRAWS):
        state, _ = chains.step(state, rng.spawn(Part.DRAWS).spawn(time))
        kept.append(chains.configurations(state))
        yield work.spent(rows, "pilot")
    return torch.cat(kept).to(torch.float64)


def needs_pilot(target: Target) -> bool:
    """Whether the path to ``target`` is measured first: from a Gaussian or from a crystal."""
    space = target.space
    if not isinstance(target, ContinuousTarget):
        return not np.isfinite(space.base_log_measure)
    return not np.isfinite(space.base_log_measure) or crystal_of(target) is not None
