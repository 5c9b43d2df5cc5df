"""Trajectories in the latent space of a flow: exact averages by an imperfect flow, and planted errors caught."""

from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.zoo.samplers.continuous_systems import Quartic
from zoo.catalog import build, build_model, build_target
from zoo.core.models import ConditionalModel, Model
from zoo.core.random import RandomStream
from zoo.core.targets import ContinuousTarget, ThermodynamicState
from zoo.estimators.chains import chain_average
from zoo.exact.phi4 import exact_reference
from zoo.models.symmetrized import Symmetrized
from zoo.samplers import latent_hmc
from zoo.samplers.base import RunPlan
from zoo.samplers.latent_hmc import LatentEnergy, LatentHmc, LatentMap, LatentState, latent_map
from zoo.specs.errors import CapabilityMissingError, NumericalError
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.conditions import ConditionOn
from zoo.specs.models.gauge_flow import GaugeFlowSpec
from zoo.specs.models.glow import GlowSpec
from zoo.specs.models.iaf import IafSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.maf import MafSpec
from zoo.specs.models.realnvp import RealNvpSpec
from zoo.specs.samplers import HmcSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.phi4 import Phi4Spec
from zoo.specs.targets.u1_gauge import U1GaugeSpec

SPEC = HmcSpec(num_leapfrog=3)
RUNS, CHAINS, DRAWS, BURN_IN = 100, 8, 120, 40
PHI4 = Phi4Spec(shape=(4, 4), mass_squared=-1.0, coupling=2.0)
FLOW = RealNvpSpec(couplings=3, width=8, scale=0.6)


def frozen(model: Model) -> Model:
    return model.eval().requires_grad_(requires_grad=False)


def bent(spec: ModelSpec, target: ContinuousTarget, strength: float = 0.3) -> Model:
    """A flow whose weights are larger than those that it begins with: a map that is far from linear."""
    model = build_model(spec, target.space, 3)
    generator = torch.Generator().manual_seed(4)
    for parameter in model.parameters():
        parameter.data += strength * torch.randn(parameter.shape, generator=generator)
    return frozen(model)


def state_of(target: ContinuousTarget, beta: float = 1.0) -> ThermodynamicState:
    return ThermodynamicState(target, beta)


def chains_on(target: ContinuousTarget, spec: ModelSpec, beta: float = 1.0) -> LatentHmc:
    return LatentHmc(SPEC, bent(spec, target), state_of(target, beta))


def z_scores(chains: LatentHmc, exact: float) -> np.ndarray:
    """Deviations of the mean energy of each run of 8 chains from the exact one, in the run's own standard errors."""
    energies = chains.run(CHAINS * RUNS, RunPlan(DRAWS, BURN_IN), RandomStream(5)).energies
    averages = [chain_average(run) for run in energies.reshape(RUNS, CHAINS, DRAWS)]
    return np.array([(a.value - exact) / (a.standard_error or np.nan) for a in averages])


def calibrated(z: np.ndarray) -> bool:
    """Mean within 4 / sqrt(n) of 0 and standard deviation in 0.8 .. 1.2, which a true one misses once in 200."""
    return bool(abs(z.mean()) <= 4 / sqrt(len(z)) and 0.8 <= z.std() <= 1.2)


def quartic_scores(spec: ModelSpec = FLOW) -> np.ndarray:
    target = Quartic(2)
    return z_scores(chains_on(target, spec), target.known().energy)


@pytest.mark.parametrize("symmetry", ["none", "z2"])
def test_mean_energies_are_calibrated_whatever_the_flow_has_learnt(symmetry: str) -> None:
    """The target is not even: its images have different energies, and are accepted by those."""
    z = quartic_scores(FLOW.model_copy(update={"symmetry": symmetry}))
    assert calibrated(z), f"mean {z.mean():.3f}, standard deviation {z.std():.3f}"


def wrong_sign(self: LatentMap, z: Tensor, elements: Tensor) -> tuple[Tensor, Tensor]:
    x, log_det = RIGHT_FORWARD(self, z, elements)
    return x, -log_det


def no_determinant(self: LatentMap, z: Tensor, elements: Tensor) -> tuple[Tensor, Tensor]:
    x, log_det = RIGHT_FORWARD(self, z, elements)
    return x, 0 * log_det


RIGHT_FORWARD = LatentMap.forward
WRONG: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "the determinant's sign": lambda patch: patch.setattr(LatentMap, "forward", wrong_sign),
    "no determinant": lambda patch: patch.setattr(LatentMap, "forward", no_determinant),
    "every image accepted": lambda patch: patch.setattr(latent_hmc, "acceptance_probability", torch.ones_like),
}


@pytest.mark.parametrize("name", WRONG)
def test_planted_errors_are_not_calibrated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    WRONG[name](monkeypatch)
    assert not calibrated(quartic_scores(FLOW.model_copy(update={"symmetry": "z2"})))


def test_the_lattice_field_has_the_exact_mean_square() -> None:
    """sum_x <phi^2> = d(-ln Z) / d(m^2), the exact ln Z being that of a transfer matrix."""
    d = 1e-3
    low, high = (PHI4.model_copy(update={"mass_squared": PHI4.mass_squared + side * d}) for side in (-1, 1))
    exact = (exact_reference(high, 1.0).beta_f - exact_reference(low, 1.0).beta_f) / (2 * d)
    target = build_target(PHI4)
    assert isinstance(target, ContinuousTarget)
    drawn = chains_on(target, FLOW).run(100, RunPlan(120, 40), RandomStream(2)).configurations
    found = chain_average(drawn.double().square().flatten(2).sum(2))
    assert found.standard_error is not None
    assert found.standard_error < 0.02 * exact
    assert abs(found.value - exact) < 4 * found.standard_error


def test_links_have_the_exact_plaquette() -> None:
    """In two dimensions <cos P> = I_1(beta) / I_0(beta) up to finite-size corrections, which are in the reference."""
    target = build_target(U1GaugeSpec(shape=(4, 4), beta=1.0))
    assert isinstance(target, ContinuousTarget)
    exact = target.exact_reference(1.0).observables["plaquette"]  # type: ignore[attr-defined]  # it has one
    model = frozen(build_model(GaugeFlowSpec(couplings=4, width=4), target.space, 3))
    chains = LatentHmc(SPEC, model, state_of(target))
    x = chains.run(32, RunPlan(60, 40), RandomStream(2)).configurations
    target.space.validate(x.flatten(0, 1))
    found = chain_average(target.observables(x.flatten(0, 1))["plaquette"].reshape(x.shape[:2]))
    assert found.standard_error is not None
    assert abs(found.value - exact) < 4 * found.standard_error


FAMILIES: dict[str, ModelSpec] = {
    "realnvp": FLOW,
    "with images": FLOW.model_copy(update={"symmetry": "z2"}),
    "glow": GlowSpec(steps=1, width=4),
    "maf": MafSpec(width=8),
    "iaf": IafSpec(width=8),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_forces_are_the_gradient_inside_inference_mode(family: str) -> None:
    target = build_target(PHI4)
    assert isinstance(target, ContinuousTarget)
    model = bent(FAMILIES[family], target, 0.1).double()
    latent = latent_map(model)
    elements = torch.arange(3) % latent.num_elements
    z = RandomStream(1).normals(3, 16)
    with torch.inference_mode():
        energy = LatentEnergy(latent, state_of(target, 1.3), elements.clone())
        force = energy.force(z.clone())
        for site in (0, 7, 15):
            step = torch.zeros_like(z)
            step[:, site] = 1e-5
            slope = (energy.energy(z + step) - energy.energy(z - step)) / 2e-5
            torch.testing.assert_close(force[:, site], -slope, rtol=1e-5, atol=1e-5)


def test_the_latent_energy_is_the_negative_log_density_of_the_latents() -> None:
    """U(z) = beta E(x) - ln q_0(z) + ln q(x), with q(x) found by the way back."""
    target = build_target(PHI4)
    assert isinstance(target, ContinuousTarget)
    model = bent(FLOW, target).double()
    latent = latent_map(model)
    z = RandomStream(1).normals(6, 16)
    found = LatentEnergy(latent, state_of(target, 0.7), torch.zeros(6, dtype=torch.int64)).energy(z)
    x, _ = latent.forward(z, torch.zeros(6, dtype=torch.int64))
    expected = 0.7 * target.energy(x) - latent.flow.network.base.log_prob(z) + model.log_prob(x)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_a_run_is_a_pure_function_of_its_arguments_inside_inference_mode_too() -> None:
    target = Quartic(2)
    first = chains_on(target, FLOW).run(4, RunPlan(5, 20), RandomStream(3))
    chains = chains_on(target, FLOW)  # an engine loads its models outside inference mode
    with torch.inference_mode():
        second = chains.run(4, RunPlan(5, 20), RandomStream(3))
    assert torch.equal(first.configurations, second.configurations)
    assert first.configurations.dtype == torch.float32


def test_chains_under_images_visit_modes_that_one_flow_does_not_connect() -> None:
    target = build_target(Phi4Spec(shape=(2, 2), mass_squared=-8.0, coupling=4.0))
    assert isinstance(target, ContinuousTarget)

    def magnetizations(symmetry: str) -> Tensor:
        spec = FLOW.model_copy(update={"symmetry": symmetry, "scale": 0.1})
        chains = LatentHmc(SPEC, frozen(build_model(spec, target.space, 3)), state_of(target))
        start = chains.state_at(torch.ones(16, 2, 2))
        states, drawn = [chains.warm_up(start, 40, RandomStream(1))], []
        for time in range(60):
            states.append(chains.step(states[-1], RandomStream(2).spawn(time))[0])
            drawn.append(chains.configurations(states[-1]).mean((1, 2)))
        return torch.stack(drawn)

    assert bool((magnetizations("none") > 0).all())
    assert 0.42 < float((magnetizations("z2") > 0).float().mean()) < 0.58


def test_chains_can_start_from_given_configurations() -> None:
    target = Quartic(2)
    chains = chains_on(target, FLOW)
    x = torch.tensor([[0.3, -0.7], [0.1, 0.2]])
    torch.testing.assert_close(chains.configurations(chains.state_at(x)), x, rtol=1e-5, atol=1e-5)


def test_the_step_size_is_found_in_the_warm_up_and_stays() -> None:
    chains = chains_on(Quartic(2), FLOW)
    warm = chains.warm_up(chains.init(64, RandomStream(1)), 150, RandomStream(2))
    state, accepted = warm, []
    for time in range(60):
        state, info = chains.step(state, RandomStream(3).spawn(time))
        accepted.append(info.acceptance.mean())
    assert chains.step_size(state) == chains.step_size(warm) != SPEC.initial_step_size
    assert float(torch.stack(accepted).mean()) == pytest.approx(SPEC.target_acceptance, abs=0.06)


def test_chains_that_begin_beyond_a_wall_begin_again(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Quartic(2)
    bare = target.energy
    chains = chains_on(target, FLOW)
    monkeypatch.setattr(target, "energy", lambda x: torch.where(x[:, 0] > -0.2, bare(x), torch.inf))
    state = chains.init(64, RandomStream(1))
    assert bool((chains.configurations(state)[:, 0] > -0.2).all())
    free, _ = chains._start(64, RandomStream(1).spawn(0))
    assert not torch.equal(state.trajectory.positions, free)
    monkeypatch.setattr(target, "energy", lambda x: torch.full((len(x),), torch.inf, dtype=torch.float64))
    with pytest.raises(NumericalError, match="64 of 64 chains found no configuration of finite energy"):
        chains.init(64, RandomStream(1))


def test_a_conditioned_flow_has_a_latent_space_at_each_condition() -> None:
    target = build_target(PHI4)
    assert isinstance(target, ContinuousTarget)
    spec = FLOW.model_copy(update={"condition_on": ConditionOn(mass_squared=(-2.0, 0.0))})
    model = build(spec, target.space, 3)
    assert isinstance(model, ConditionalModel)
    for parameter in model.parameters():
        parameter.data += 0.1
    drawn = [
        LatentHmc(SPEC, model.at(torch.tensor([[mass]], dtype=torch.float64)), state_of(target))
        .run(4, RunPlan(2, 5), RandomStream(1))
        .configurations
        for mass in (-2.0, 0.0)
    ]
    assert not torch.equal(*drawn)


def test_models_without_a_latent_space_are_told_what_works() -> None:
    target = build_target(IsingSpec(shape=(2, 3), beta=0.3))
    made = build_model(MadeSpec(width=8), target.space, 3)
    symmetrized = build_model(MadeSpec(width=8, symmetry="lattice_translation"), target.space, 3)
    assert isinstance(symmetrized, Symmetrized)
    for model in (made, symmetrized):
        with pytest.raises(CapabilityMissingError, match="'metropolis' and 'importance' work"):
            LatentHmc(SPEC, model, ThermodynamicState(target, 0.3))


def test_energies_and_forces_follow_the_images() -> None:
    """The target is not even, so that they change with the image at equal latents."""
    chains = chains_on(Quartic(2), FLOW.model_copy(update={"symmetry": "z2"}))
    state = chains.warm_up(chains.init(64, RandomStream(1)), 5, RandomStream(2))
    for time in range(5):
        before = state
        state, _ = chains.step(state, RandomStream(3).spawn(time))
        assert 0 < int((state.elements != before.elements).sum()) < 64
        turned = chains._turned(state, RandomStream(4).spawn(time))
        assert isinstance(turned, LatentState)
        for each in (state, turned):
            energy, there = chains._energy(each.elements), each.trajectory
            assert there.positions.dtype == torch.float64
            torch.testing.assert_close(there.energies, energy.energy(there.positions))
            torch.testing.assert_close(there.forces, energy.force(there.positions))
