"""Errors that can be trusted: z = (value - exact) / error over 200 independent runs of each sampler of discrete values.

Mean within 4 / sqrt(200) of 0 and standard deviation within 0.85 .. 1.15, for the energy and the order parameter; and
the same test refuses each of a list of mistakes planted in the samplers.
"""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from tests.zoo.samplers.calibration import Calibration, calibration, energy_and_order
from zoo.catalog import build_chains, build_target
from zoo.core.targets import Target
from zoo.samplers import heat_bath, metropolis, parallel_tempering, swendsen_wang, wolff
from zoo.samplers.base import RunPlan
from zoo.samplers.clusters import Ferromagnet, ferromagnet
from zoo.samplers.heat_bath import heat_bath_rate
from zoo.samplers.metropolis import metropolis_rate
from zoo.specs.samplers import (
    DirectSpec,
    HeatBathSpec,
    MetropolisSpec,
    ParallelTemperingSpec,
    SamplerSpec,
    SwendsenWangSpec,
    WolffSpec,
)
from zoo.specs.targets.bars_and_stripes import BarsAndStripesSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.potts import PottsSpec
from zoo.specs.targets.spin_glass import SpinGlassSpec

ISING = IsingSpec(shape=(4, 4), beta=0.3)
IN_A_FIELD = IsingSpec(shape=(3, 4), h=0.3, periodic=False, beta=0.3)
DOUBLE_BONDS = IsingSpec(shape=(2, 4), beta=0.3)
FULL_GLASS = SpinGlassSpec(couplings={"kind": "sherrington_kirkpatrick", "n": 12, "seed": 4}, beta=0.4)
GLASS = SpinGlassSpec(couplings={"kind": "edwards_anderson", "shape": (2, 6), "seed": 4}, beta=0.4)
POTTS = PottsSpec(shape=(3, 3), q=3, beta=0.4)
DOUBLE_POTTS = PottsSpec(shape=(2, 3), q=3, beta=0.4)
PATTERNS = BarsAndStripesSpec(shape=(2, 3))

METROPOLIS, HEAT_BATH = MetropolisSpec(), HeatBathSpec()
SWENDSEN_WANG, WOLFF, DIRECT = SwendsenWangSpec(), WolffSpec(), DirectSpec()
TEMPERING = ParallelTemperingSpec(num_temperatures=3, min_beta_fraction=0.4)

SOUND: list[tuple[SamplerSpec, TargetSpec]] = [
    (METROPOLIS, ISING),
    (METROPOLIS, IN_A_FIELD),
    (METROPOLIS, FULL_GLASS),
    (METROPOLIS, POTTS),
    (HEAT_BATH, DOUBLE_BONDS),
    (HEAT_BATH, GLASS),
    (HEAT_BATH, POTTS),
    (SWENDSEN_WANG, ISING),
    (SWENDSEN_WANG, DOUBLE_POTTS),
    (WOLFF, DOUBLE_BONDS),
    (WOLFF, POTTS),
    (TEMPERING, ISING),
    (TEMPERING, GLASS),
    (DIRECT, PATTERNS),
]


def calibrated(sampler: SamplerSpec, system: TargetSpec) -> dict[str, Calibration]:
    target = build_target(system)
    plan = RunPlan(num_draws=60, burn_in=0 if isinstance(sampler, DirectSpec) else 15)
    observables = energy_and_order(target)
    if system is PATTERNS:  # all energies are equal
        observables = {"order": observables["order"]}
    return calibration(build_chains(sampler, target, system.beta), plan, observables, num_chains=16)


@pytest.mark.parametrize(("sampler", "system"), SOUND, ids=lambda spec: spec.kind)
def test_errors_are_as_large_as_they_say(sampler: SamplerSpec, system: TargetSpec) -> None:
    found = calibrated(sampler, system)
    assert all(c.is_good for c in found.values()), found


def _half_the_activation(target: Target) -> Ferromagnet:
    model = ferromagnet(target)
    return replace(model, gain=model.gain / 2)


def _single_bonds(target: Target) -> Ferromagnet:
    model = ferromagnet(target)
    return replace(model, bonds=np.unique(np.sort(model.bonds, axis=1), axis=0))


@pytest.mark.parametrize(
    ("sampler", "system", "module", "name", "mistaken"),
    [
        (METROPOLIS, ISING, metropolis, "metropolis_rate", lambda x: metropolis_rate(0.8 * x)),
        (METROPOLIS, GLASS, metropolis, "metropolis_rate", lambda x: 0.5 * metropolis_rate(x) + 0.2),
        (METROPOLIS, POTTS, metropolis, "metropolis_rate", lambda x: metropolis_rate(0.8 * x)),
        (HEAT_BATH, DOUBLE_BONDS, heat_bath, "heat_bath_rate", lambda x: heat_bath_rate(0.8 * x)),
        (SWENDSEN_WANG, ISING, swendsen_wang, "ferromagnet", _half_the_activation),
        (SWENDSEN_WANG, DOUBLE_POTTS, swendsen_wang, "ferromagnet", _single_bonds),
        (WOLFF, POTTS, wolff, "ferromagnet", _half_the_activation),
        (WOLFF, DOUBLE_BONDS, wolff, "ferromagnet", _single_bonds),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_a_planted_mistake_is_caught(
    sampler: SamplerSpec,
    system: TargetSpec,
    module: ModuleType,
    name: str,
    mistaken: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, name, mistaken)
    found = calibrated(sampler, system)
    assert not all(c.is_good for c in found.values()), found


def test_a_wrong_sign_in_the_exchange_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = parallel_tempering._exchange_accepted
    monkeypatch.setattr(parallel_tempering, "_exchange_accepted", lambda b, e, rng: right(b, -e, rng))
    found = calibrated(TEMPERING, ISING)
    assert not all(c.is_good for c in found.values()), found
