"""Hamiltonian Monte Carlo: reversible, stationary and adapted; its calibration is in ``test_calibration_hmc``."""

import pytest
import torch

from tests.zoo.samplers.continuous_systems import SYSTEMS, Quartic, Repulsion, Rotors, Springs, System
from zoo.core.random import RandomStream
from zoo.core.spaces import Spheres
from zoo.samplers.base import RunPlan, moved_to
from zoo.samplers.dual_averaging import started, updated
from zoo.samplers.hmc import Hmc, Point
from zoo.samplers.starts import random_start
from zoo.specs.errors import InvalidValueError
from zoo.specs.samplers import HmcSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.lennard_jones import LennardJonesSpec
from zoo.specs.targets.vector_spins import VectorSpinsSpec
from zoo.targets.ising import Ising
from zoo.targets.lennard_jones import LennardJones
from zoo.targets.vector_spins import VectorSpins

SPEC = HmcSpec(num_leapfrog=5)


@pytest.fixture(params=SYSTEMS)
def system(request: pytest.FixtureRequest) -> System:
    return SYSTEMS[request.param]()


def distance(system: System, x: torch.Tensor, y: torch.Tensor) -> float:
    """The largest difference of any coordinate, angles and boxes being periodic."""
    space = system.space
    return float((x - y if isinstance(space, Spheres) else space.canonical(x - y)).abs().max())


def test_a_run_is_a_pure_function_of_its_arguments_and_stays_in_the_space(system: System) -> None:
    first, second = (Hmc(SPEC, system, 1.0).run(4, RunPlan(5, 20), RandomStream(3)) for _ in range(2))
    assert torch.equal(first.configurations, second.configurations)
    x = first.configurations.flatten(0, 1)
    system.space.validate(x)
    assert torch.equal(first.energies.flatten(), system.energy(x))


def test_trajectories_backwards_lead_to_where_they_began(system: System) -> None:
    chains = Hmc(SPEC, system, 1.0)
    state = chains.warm_up(chains.init(64, RandomStream(1)), 50, RandomStream(2))
    size = 0.5 * state.adaptation.adapted
    normals = RandomStream(4).normals(64, system.space.num_sites).reshape(state.positions.shape)
    momenta = system.space.tangent(normals, state.positions)
    end = chains.leapfrog(Point(state.positions, momenta, state.forces), size, 7)
    back = chains.leapfrog(Point(end.positions, -end.momenta, end.forces), size, 7)
    assert distance(system, end.positions, state.positions) > 0.01
    assert distance(system, back.positions, state.positions) < 1e-8
    torch.testing.assert_close(back.momenta, -momenta, rtol=1e-8, atol=1e-8)


def test_free_motion_on_spheres_goes_round_great_circles() -> None:
    space = Spheres(SpaceSpec(kind="spheres", event_shape=(2, 3)))
    x = torch.tensor([[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]], dtype=torch.float64)
    v = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]], dtype=torch.float64)
    ahead, velocity = space.moved(x, v, torch.pi / 4)
    expected = torch.tensor([[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]], dtype=torch.float64)
    torch.testing.assert_close(ahead, expected, atol=1e-15, rtol=0)
    expected = torch.tensor([[[0.0, 0.0, -2.0], [0.0, 0.0, 0.0]]], dtype=torch.float64)
    torch.testing.assert_close(velocity, expected, atol=1e-15, rtol=0)


def test_errors_of_trajectories_on_spheres_are_of_second_order() -> None:
    target = VectorSpins(VectorSpinsSpec(shape=(4,), h=0.7))
    chains = Hmc(SPEC, target, 1.3)
    state = chains.init(200, RandomStream(1))
    p = target.space.tangent(RandomStream(4).normals(200, 12).reshape(200, 4, 3), state.positions)
    rises = []
    for steps in (10, 20, 40):
        size = torch.tensor([1.0 / steps], dtype=torch.float64)
        end = chains.leapfrog(Point(state.positions, p, state.forces), size, steps)
        kinetic = 0.5 * (end.momenta.square() - p.square()).flatten(1).sum(1)
        rises.append(float((1.3 * (target.energy(end.positions) - state.energies) + kinetic).abs().mean()))
    assert rises[0] / rises[1] == pytest.approx(4, rel=0.05)
    assert rises[1] / rises[2] == pytest.approx(4, rel=0.02)


def test_trajectories_preserve_the_volume_of_phase_space() -> None:
    chains = Hmc(SPEC, Quartic(2), 1.0)
    size = torch.tensor([0.3], dtype=torch.float64)

    def flow(z: torch.Tensor) -> torch.Tensor:
        x, p = z[None, :2], z[None, 2:]
        force = -(x**3 + x + 0.5)
        for _ in range(3):
            p = p + 0.15 * force
            x = x + 0.3 * p
            force = -(x**3 + x + 0.5)
            p = p + 0.15 * force
        return torch.cat([x[0], p[0]])

    z = torch.tensor([0.3, -0.8, 0.5, 1.1], dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(flow, z)  # type: ignore[no-untyped-call]
    assert float(jacobian.det()) == pytest.approx(1, abs=1e-12)
    x = z[None, :2]
    end = chains.leapfrog(Point(x, z[None, 2:], chains.state_at(x).forces), size, 3)
    torch.testing.assert_close(torch.cat([end.positions[0], end.momenta[0]]), flow(z))


def test_the_energy_error_of_a_trajectory_falls_as_the_square_of_the_step_size() -> None:
    system = Quartic(2)
    chains = Hmc(SPEC, system, 1.0)
    state = chains.init(200, RandomStream(1))
    momenta = RandomStream(2).normals(200, 2)

    def error(size: float, num_steps: int) -> float:
        start = Point(state.positions, momenta, state.forces)
        end = chains.leapfrog(start, torch.tensor([size], dtype=torch.float64), num_steps)
        change = system.energy(end.positions) - state.energies + 0.5 * (end.momenta**2 - momenta**2).sum(1)
        return float(change.abs().median())

    assert error(0.05, 20) / error(0.025, 40) == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("wanted", [0.6, 0.8, 0.95])
def test_dual_averaging_reaches_the_acceptance_that_was_asked_for(wanted: float) -> None:
    spec = HmcSpec(num_leapfrog=5, target_acceptance=wanted)
    chains = Hmc(spec, Quartic(20), 1.0)
    state = chains.warm_up(chains.init(64, RandomStream(1)), 300, RandomStream(2))
    accepted = []
    for time in range(100):
        state, info = chains.step(state, RandomStream(3).spawn(time))
        accepted.append(info.acceptance.mean())
    assert float(torch.stack(accepted).mean()) == pytest.approx(wanted, abs=0.04)


def test_warming_up_in_parts_goes_on_where_it_ended() -> None:
    chains = Hmc(SPEC, Quartic(2), 1.0)
    state = chains.warm_up(chains.init(8, RandomStream(1)), 3, RandomStream(2))
    assert chains.warm_up(state, 2, RandomStream(3)).adaptation.count == 5


def test_steps_after_the_warm_up_do_not_adapt() -> None:
    chains = Hmc(SPEC, Quartic(2), 1.0)
    state = chains.warm_up(chains.init(8, RandomStream(1)), 3, RandomStream(2))
    after, _ = chains.step(state, RandomStream(3))
    assert after.adaptation is state.adaptation


def test_dual_averaging_follows_the_published_recursion() -> None:
    adaptation = started(0.1, 1)
    for acceptance in (0.3, 0.9):
        adaptation = updated(adaptation, torch.tensor([acceptance], dtype=torch.float64), 0.8)
    h1 = 0.5 / 11
    h2 = 11 / 12 * h1 - 0.1 / 12
    log1, log2 = -(h1 / 0.05), -(2**0.5 / 0.05 * h2)  # mu = ln(10 e_0) = 0
    average = 2**-0.75 * log2 + (1 - 2**-0.75) * log1
    assert float(adaptation.log_step) == pytest.approx(log2)
    assert float(adaptation.log_average) == pytest.approx(average)


def test_chains_at_different_temperatures_have_step_sizes_of_their_own() -> None:
    beta = torch.tensor([100.0, 1.0], dtype=torch.float64).repeat_interleave(20)
    chains = Hmc(SPEC, Springs(4, 2), beta)
    state = chains.warm_up(chains.init(40, RandomStream(1)), 300, RandomStream(2))
    warm, cold = state.adaptation.adapted.tolist()  # in the order of increasing beta
    assert warm / cold == pytest.approx(10, rel=0.25)  # frequencies grow as sqrt(beta)
    energies = []
    for time in range(200):
        state, _ = chains.step(state, RandomStream(3).spawn(time))
        energies.append(state.energies.reshape(2, 20).mean(1))
    mean = torch.stack(energies).mean(0)
    assert mean.tolist() == pytest.approx([0.03, 3.0], rel=0.1)  # (n - 1) d / (2 beta)


def test_chains_keep_their_step_sizes_when_they_exchange_places() -> None:
    chains = Hmc(SPEC, Quartic(2), 1.0)
    state = chains.warm_up(chains.init(4, RandomStream(1)), 20, RandomStream(2))
    moved = moved_to(chains, state, state.positions.flip(0))
    assert torch.equal(moved.positions, state.positions.flip(0))
    assert torch.equal(moved.energies, state.energies.flip(0))
    assert moved.adaptation is state.adaptation


def test_what_is_not_finite_is_rejected() -> None:
    chains = Hmc(HmcSpec(num_leapfrog=5, initial_step_size=1e8), Quartic(2), 1.0)
    state = chains.init(10, RandomStream(1))
    after, info = chains.step(state, RandomStream(2))
    assert torch.equal(after.positions, state.positions)
    assert not info.acceptance.any()


def test_free_angles_get_no_step_beyond_their_period() -> None:
    chains = Hmc(SPEC, Rotors(3), torch.zeros(8, dtype=torch.float64))
    state = chains.warm_up(chains.init(8, RandomStream(1)), 200, RandomStream(2))
    assert float(state.adaptation.adapted) <= 2 * torch.pi * (1 + 1e-12)


def test_particles_start_apart() -> None:
    system = Repulsion()
    x = random_start(system, 500, RandomStream(1))
    system.space.validate(x)
    uniform = system.space.canonical((RandomStream(1).uniforms(500, 4).reshape(500, 2, 2) - 0.5) * system.side)
    assert float(system.energy(x).max()) < 10
    assert float(system.energy(uniform).max()) > 1e6


def test_solids_start_as_crystals_with_labels_and_places_of_their_own() -> None:
    solid = LennardJones(LennardJonesSpec(n=32, density=1.28))
    x = random_start(solid, 20, RandomStream(1))
    solid.space.validate(x)
    energy = float(solid.energy(solid.lattice()[None]))
    assert solid.energy(x).tolist() == pytest.approx([energy] * 20)
    labels = x - x[:, :1]  # the same for all chains, were only the place random
    assert len(torch.unique(solid.space.canonical(labels).round(decimals=6), dim=0)) == 20
    assert len(torch.unique(x[:, 0, 0])) == 20


def test_chains_need_forces_and_one_beta_each() -> None:
    with pytest.raises(InvalidValueError, match="needs forces"):
        Hmc(SPEC, Ising(IsingSpec(shape=(2,))), 1.0)
    with pytest.raises(InvalidValueError, match="3 chains came with 2 states"):
        Hmc(SPEC, Quartic(1), torch.ones(2, dtype=torch.float64) * torch.tensor([1.0, 2.0])).init(3, RandomStream(1))
