"""Error bars of Hamiltonian Monte Carlo: z-scores of 200 independent runs in each space, and wrong versions caught."""

from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.zoo.samplers.continuous_systems import SYSTEMS, Rotors, System
from zoo.core.random import RandomStream
from zoo.estimators.chains import chain_average
from zoo.samplers import hmc
from zoo.samplers.base import RunPlan
from zoo.samplers.hmc import Hmc, Point
from zoo.specs.samplers import HmcSpec

RUNS, CHAINS, DRAWS, BURN_IN = 200, 8, 250, 100


def z_scores(system: System, spec: HmcSpec, *, adapt: bool = True) -> np.ndarray:
    """Deviations of the mean energy of each run of 8 chains from the exact one, in the run's own standard errors.

    The runs are rows of one batch, where each row has random numbers of its own.
    """
    chains, rng = Hmc(spec, system, 1.0), RandomStream(5)
    if adapt:
        energies = chains.run(CHAINS * RUNS, RunPlan(DRAWS, BURN_IN), rng).energies
    else:
        energies = chains.run(CHAINS * RUNS, RunPlan(DRAWS + BURN_IN), rng).energies[:, BURN_IN:]
    averages = [chain_average(run) for run in energies.reshape(RUNS, CHAINS, DRAWS)]
    return np.array([(a.value - system.known().energy) / (a.standard_error or np.nan) for a in averages])


def calibrated(z: np.ndarray) -> bool:
    """Mean within 4 / sqrt(n) of 0 and standard deviation in 0.85 .. 1.15, which a true one misses once in 400."""
    return bool(abs(z.mean()) <= 4 / sqrt(len(z)) and 0.85 <= z.std() <= 1.15)


@pytest.mark.parametrize("name", SYSTEMS)
def test_mean_energies_are_calibrated(name: str) -> None:
    z = z_scores(SYSTEMS[name](), HmcSpec(num_leapfrog=5))
    assert calibrated(z), f"mean {z.mean():.3f}, standard deviation {z.std():.3f}"


def half_a_kick_missing(self: Hmc, start: Point, size: Tensor, num_steps: int) -> Point:
    """Trajectories whose last half kick is forgotten: they preserve volume and are not reversible."""
    x, p, forces = start.positions, start.momenta, start.forces
    p = p + 0.5 * size[:, None] * forces
    for i in range(num_steps):
        x = x + size[:, None] * p
        forces = self.target.force(x)  # type: ignore[attr-defined]
        p = p + (size[:, None] if i < num_steps - 1 else 0.0) * forces
    return Point(x, p, forces)


WRONG: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "every trajectory accepted": lambda patch: patch.setattr(hmc, "acceptance_probability", torch.ones_like),
    "kinetic energy p^2": lambda patch: patch.setattr(hmc, "_kinetic", lambda p: p.square().flatten(1).sum(1)),
    "last half kick forgotten": lambda patch: patch.setattr(Hmc, "leapfrog", half_a_kick_missing),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_trajectories_are_not_calibrated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = HmcSpec(num_leapfrog=3, initial_step_size=1.0)
    assert calibrated(z_scores(Rotors(3), spec, adapt=False))
    WRONG[name](monkeypatch)
    assert not calibrated(z_scores(Rotors(3), spec, adapt=False))
