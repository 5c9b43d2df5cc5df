"""Annealed importance sampling: weights are unbiased in every space, their errors calibrated, wrong versions caught."""

from collections.abc import Callable
from itertools import islice
from math import sqrt
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.zoo.samplers.continuous_systems import Compasses, Pair, Quartic, Repulsion, Rotors, Springs, System
from zoo.core.random import RandomStream
from zoo.core.targets import Target
from zoo.estimators.free_energy import importance_beta_f
from zoo.references.gaussian import GaussianPath, fitted_gaussian
from zoo.references.path import Path, TemperaturePath
from zoo.samplers.annealed_importance import AssemblyLine, annealed_log_weights
from zoo.samplers.base import Beta, Chains
from zoo.samplers.hmc import Hmc
from zoo.samplers.metropolis import Metropolis
from zoo.specs.errors import InvalidValueError
from zoo.specs.samplers import HmcSpec, MetropolisSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.targets.ising import Ising

GROUPS, RUNS, STATES = 200, 120, 9
"""Independent groups, each with an estimate of its own; runs in each; states that a run passes."""

ISING = Ising(IsingSpec(shape=(3, 3), h=0.1, beta=0.4))


def from_gaussian(system: System) -> Path:
    """From a Gaussian of the width of normal samples, twice too wide or narrow: any is allowed."""
    x = RandomStream(9).normals(500, system.space.num_sites).reshape(500, *system.space.event_shape)
    return GaussianPath(system, 1.0, fitted_gaussian(system.space, system.space.canonical(x)))


def ising_beta_f() -> float:
    energies = ISING.energy(ISING.space.enumerate())
    return -float(torch.logsumexp(-0.4 * energies, 0))


def of(system: System, make: Callable[[System], Path]) -> tuple[Path, float]:
    return make(system), system.known().beta_f


PATHS: dict[str, Callable[[], tuple[Path, float]]] = {
    "ising": lambda: (TemperaturePath(ISING, 0.4), ising_beta_f()),
    "reals": lambda: of(Quartic(2), from_gaussian),
    "torus": lambda: of(Rotors(2), lambda system: TemperaturePath(system, 1.0)),
    "spheres": lambda: of(Compasses(2), lambda system: TemperaturePath(system, 1.0)),
    "centred particles": lambda: of(Springs(3, 2), from_gaussian),
    "box": lambda: of(Pair(), lambda system: TemperaturePath(system, 1.0)),
    "singular pair in a box": lambda: of(Repulsion(), lambda system: TemperaturePath(system, 1.0)),
}


def chains_of(target: Target, beta: Beta) -> Chains[Any]:
    if target.space.spec.is_discrete:
        return Metropolis(MetropolisSpec(), target, beta)
    return Hmc(HmcSpec(num_leapfrog=3), target, beta)


def line_of(path: Path, runs: int, num_states: int = STATES, distort: float = 1.0) -> AssemblyLine[Any]:
    """Chains at l = t^exponent, or with a wrong l^distort."""
    lambdas = torch.linspace(0, 1, num_states, dtype=torch.float64) ** path.exponent
    chains = path.chains((lambdas**distort).repeat_interleave(runs), chains_of)
    return AssemblyLine(chains, lambdas, path.slope, path.draw)


def log_weights(line: AssemblyLine[Any], runs: int, ticks: int) -> Tensor:
    """ln w of the runs completed in ``ticks`` ticks, shape (run of a tick, tick)."""
    state = line.chains.init(runs * len(line.lambdas), RandomStream(1))
    state = line.chains.warm_up(state, 40, RandomStream(2))
    unfilled = len(line.lambdas) - 1
    done = list(islice(annealed_log_weights(line, state, RandomStream(3)), unfilled + ticks))
    assert all(x is None for x in done[:unfilled])
    return torch.stack([x for x in done if x is not None], 1)


def z_scores(path: Path, exact: float, distort: float = 1.0) -> np.ndarray:
    """Deviations of each group's estimate of beta_f, in its own standard errors."""
    ticks = 40
    runs = GROUPS * RUNS // ticks
    drawn = log_weights(line_of(path, runs, distort=distort), runs, ticks).reshape(GROUPS, RUNS)
    estimates = [importance_beta_f(group + path.log_z0) for group in drawn]
    bias = [e.value - (e.standard_error or 0) ** 2 / 2 for e in estimates]  # Jensen, to first order
    return np.array([(b - exact) / (e.standard_error or np.nan) for b, e in zip(bias, estimates, strict=True)])


def calibrated(z: np.ndarray) -> bool:
    return bool(abs(z.mean()) <= 4 / sqrt(len(z)) and 0.85 <= z.std() <= 1.15)


SMOOTH = [name for name in PATHS if not name.startswith("singular")]
"""Where no rare run carries much of the weight, so that a group of 120 has a fair error bar."""


@pytest.mark.parametrize("name", SMOOTH)
def test_free_energies_are_calibrated(name: str) -> None:
    z = z_scores(*PATHS[name]())
    assert calibrated(z), f"mean {z.mean():.3f}, standard deviation {z.std():.3f}"


@pytest.mark.parametrize("name", PATHS)
def test_weights_are_unbiased(name: str) -> None:
    path, exact = PATHS[name]()
    ratio = (log_weights(line_of(path, 500), 500, 40) + path.log_z0 + exact).exp().flatten()
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / sqrt(len(ratio))
    assert float(ratio.std()) / sqrt(len(ratio)) < 0.02


@pytest.mark.parametrize("name", ["ising", "reals", "torus", "box"])
def test_chains_at_other_states_than_the_weights_say_are_caught(name: str) -> None:
    assert not calibrated(z_scores(*PATHS[name](), distort=2.0))


@pytest.mark.parametrize("name", ["ising", "torus"])
def test_weights_with_the_wrong_sign_are_caught(name: str) -> None:
    path, exact = PATHS[name]()
    line = line_of(path, 1000)
    wrong = AssemblyLine(line.chains, line.lambdas, lambda x: -path.slope(x), line.draw)
    ratio = (log_weights(wrong, 1000, 10) + path.log_z0 + exact).exp().flatten()
    assert abs(float(ratio.mean()) - 1) > 10 * float(ratio.std()) / sqrt(len(ratio))


def test_more_states_leave_less_variance() -> None:
    path, _ = PATHS["torus"]()
    spread = [float(log_weights(line_of(path, 400, n), 400, 5).std()) for n in (3, 9, 27)]
    assert spread[0] > 1.3 * spread[1] > 1.3**2 * spread[2]


def test_lambdas_increase_from_0_to_1_and_divide_the_chains() -> None:
    path, _ = PATHS["torus"]()
    line = line_of(path, 4)
    with pytest.raises(InvalidValueError, match="do not increase from 0 to 1"):
        log_weights(AssemblyLine(line.chains, line.lambdas.flip(0), line.slope, line.draw), 4, 1)
    fewer = AssemblyLine(line.chains, line.lambdas[::2], line.slope, line.draw)
    with pytest.raises(InvalidValueError, match="36 chains cannot be shared out among 5"):
        next(annealed_log_weights(fewer, line.chains.init(36, RandomStream(1)), RandomStream(2)))
