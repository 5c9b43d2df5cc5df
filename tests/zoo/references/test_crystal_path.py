"""The path from an Einstein crystal: a crystal of two particles in closed form, and real ones."""

from math import log, pi
from typing import Any, final

import pytest
import torch
from jaxtyping import Float, Float64, Num
from scipy.special import ive
from torch import Tensor

from tests.zoo.samplers.continuous_systems import Known, System
from zoo.catalog import build_chains
from zoo.core.random import RandomStream
from zoo.core.spaces import Particles
from zoo.core.targets import Target, negative_gradient
from zoo.references.crystal import crystal_of, has_melted, num_translations
from zoo.references.plan import Method, ReferencePlan, completed
from zoo.references.run import ReferenceResult, reference_free_energy
from zoo.samplers.base import Beta, Chains
from zoo.specs.samplers import ChainLength, HmcSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.lennard_jones import LennardJonesSpec
from zoo.targets.crystals import diamond_lattice, fcc_lattice
from zoo.targets.lennard_jones import LennardJones

SIDE = 3.0


@final
class TwoSites(System):
    """Two particles in a square of side 3 that keep half a diagonal apart: A sum_k cos(2 pi r_k / L)."""

    def __init__(self, strength: float) -> None:
        super().__init__(Particles(SpaceSpec(kind="particles", event_shape=(2, 2), box=(SIDE, SIDE))))
        self.strength = strength

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        return self.strength * (2 * pi * (x[:, 0].to(torch.float64) - x[:, 1]) / SIDE).cos().sum(1)

    def lattice(self) -> Float64[Tensor, "particle axis"]:
        return torch.tensor([[-SIDE / 4, -SIDE / 4], [SIDE / 4, SIDE / 4]], dtype=torch.float64)

    def known(self) -> Known:
        """The centre anywhere, each component of the distance a rotor: Z = V (L I_0(A))^2."""
        a = self.strength
        ratio = float(ive(1, a) / ive(0, a))
        return Known(-2 * a * ratio, -log(SIDE**2) - 2 * (log(SIDE * float(ive(0, a))) + a))


def chains_of(target: Target, beta: Beta) -> Chains[Any]:
    return build_chains(HmcSpec(num_leapfrog=6), target, beta)


def found(target: Target, beta: float, method: Method, length: ChainLength) -> ReferenceResult:
    plan = ReferencePlan(method, 10, length)
    return completed(reference_free_energy(target, beta, plan, chains_of, RandomStream(1)))


LENGTH = ChainLength(num_chains=40, burn_in=100, num_draws=60, thin=2)


@pytest.mark.parametrize("method", ["thermodynamic_integration", "mbar", "ais"])
def test_a_crystal_of_two_particles_has_its_closed_form_with_all_labellings_and_places(method: Method) -> None:
    system = TwoSites(8.0)
    result = found(system, 1.0, method, LENGTH)
    assert "Einstein crystal" in result.solved_system
    sigma = result.estimate.standard_error
    assert sigma is not None
    assert sigma < 0.02
    assert abs(result.estimate.value - system.known().beta_f) < 3.5 * sigma


def test_a_crystal_that_melts_is_a_fluid() -> None:
    system = TwoSites(0.5)
    result = found(system, 1.0, "mbar", LENGTH)
    assert "uniform" in result.solved_system
    assert abs(result.estimate.value - system.known().beta_f) < 3.5 * (result.estimate.standard_error or 0)


def test_displacements_keep_the_energy_and_the_force_of_the_crystal() -> None:
    crystal = crystal_of(TwoSites(2.0))
    assert crystal is not None
    u = crystal.space.canonical(RandomStream(1).normals(5, 4).reshape(5, 2, 2))
    crystal.space.validate(u)
    torch.testing.assert_close(crystal.force(u), negative_gradient(crystal.energy, u))
    assert crystal.observables(u)["energy"].shape == (5,)


def test_translations_of_cubic_crystals_are_counted() -> None:
    box = (4.0, 4.0, 4.0)
    assert num_translations(fcc_lattice(32, box), box) == 32
    assert num_translations(diamond_lattice(64, box), box) == 32
    assert num_translations(TwoSites(1.0).lattice(), (SIDE, SIDE)) == 2
    assert num_translations(torch.tensor([[0.0], [1.0], [1.5]]), (4.0,)) == 1


def test_boxes_without_a_perfect_crystal_have_none() -> None:
    assert crystal_of(LennardJones(LennardJonesSpec(n=5, density=0.1))) is None
    assert crystal_of(LennardJones(LennardJonesSpec(n=4))) is None


def test_melting_is_seen_in_displacements() -> None:
    crystal = crystal_of(TwoSites(2.0))
    assert crystal is not None
    u = crystal.space.canonical(RandomStream(1).normals(500, 4).reshape(500, 2, 2))
    assert has_melted(crystal, u)
    assert not has_melted(crystal, 0.1 * u)


def test_two_routes_to_a_lennard_jones_solid_agree() -> None:
    solid = LennardJones(LennardJonesSpec(n=32, density=1.28, beta=0.5))
    length = ChainLength(num_chains=8, burn_in=40, num_draws=13, thin=1)
    integral, reweighted = (
        found(solid, 0.5, method, length).estimate for method in ("thermodynamic_integration", "mbar")
    )
    errors = [estimate.standard_error or float("nan") for estimate in (integral, reweighted)]
    assert max(errors) < 1.0
    assert abs(integral.value - reweighted.value) < 4 * sum(error**2 for error in errors) ** 0.5
