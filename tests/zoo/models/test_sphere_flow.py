"""Flows of unit vectors: invertible to the poles, exact determinants, and free energies that are known."""

import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zoo.catalog import build_model, build_objective, build_target
from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.spaces import Spheres
from zoo.core.targets import ContinuousTarget, ThermodynamicState
from zoo.estimators.chains import chain_average
from zoo.estimators.free_energy import importance_beta_f
from zoo.models.bijections import sphere_coupling
from zoo.models.bijections.sphere_coupling import SphereCouplings
from zoo.models.flow import Flow
from zoo.models.sphere_flow import SphereFlow
from zoo.samplers.base import RunPlan
from zoo.samplers.latent_hmc import LatentHmc
from zoo.specs.models.sphere_flow import SphereFlowSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.samplers import HmcSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.vector_spins import VectorSpinsSpec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem
from zoo.training.trainer import Trainer, train

SMALL = SphereFlowSpec(couplings=7, width=6, bins=4)


def bent(shape: tuple[int, ...], dtype: torch.dtype, spec: SphereFlowSpec = SMALL, seed: int = 3) -> SphereFlow:
    """A network whose maps are far from the identity."""
    network = SphereFlow(spec, Spheres(SpaceSpec(kind="spheres", event_shape=shape)), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.15)
    return network.to(dtype).requires_grad_(requires_grad=False)


def even(number: int, shape: tuple[int, ...], dtype: torch.dtype, seed: int = 1) -> Tensor:
    x = torch.randn(number, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(x, dim=-1).to(dtype)


def tangents(x: Tensor) -> Tensor:
    """An orthonormal basis of the tangent space of every vector, shape (vector, d, d - 1)."""
    columns = torch.cat([x[:, :, None], torch.eye(x.shape[1], dtype=x.dtype).expand(len(x), -1, -1)], 2)
    q: Tensor = torch.linalg.qr(columns).Q
    return q[:, :, 1:]


def blocks(bases: Tensor) -> Tensor:
    """The matrix that has these along its diagonal."""
    return torch.from_numpy(scipy.linalg.block_diag(*bases.numpy()))


def by_autodiff(bijection: SphereCouplings, z: Tensor, shape: tuple[int, ...]) -> float:
    """Ln |det| of the map between tangent spaces, from the derivative in all components."""
    position = z.clone().requires_grad_()
    x = bijection.forward_and_log_det(position[None])[0][0]
    jacobian = torch.stack([torch.autograd.grad(value, position, retain_graph=True)[0] for value in x])
    here, there = (blocks(tangents(y.detach().view(-1, shape[-1]))) for y in (z, x))
    return float(torch.linalg.slogdet(there.T @ jacobian @ here).logabsdet)


SHAPES = st.tuples(st.integers(1, 4), st.integers(2, 5)) | st.tuples(st.integers(1, 2), st.integers(1, 3), st.just(3))


@settings(deadline=None, max_examples=25)
@given(shape=SHAPES, seed=st.integers(0, 1000), double=st.booleans())
def test_the_way_back_leads_to_where_it_began(shape: tuple[int, ...], seed: int, *, double: bool) -> None:
    dtype = torch.float64 if double else torch.float32
    bijection, z = bent(shape, dtype, seed=seed).bijection, even(200, shape, dtype).flatten(1)
    x, log_det = bijection.forward_and_log_det(z)
    again, back = bijection.inverse_and_log_det(x)
    assert x.dtype == again.dtype == dtype
    assert log_det.dtype == back.dtype == torch.float64
    assert float((again - z).abs().max()) < (1e-11 if double else 1e-5)
    assert float((log_det + back).abs().max()) < (1e-10 if double else 1e-4)
    assert float((x.view(200, *shape).double().norm(dim=-1) - 1).abs().max()) < (1e-14 if double else 1e-6)


@pytest.mark.parametrize("shape", [(1, 2), (1, 3), (1, 4), (3, 2), (3, 3), (2, 2, 3), (2, 5)])
def test_determinants_are_those_of_tangent_spaces(shape: tuple[int, ...]) -> None:
    bijection = bent(shape, torch.float64).bijection
    assert isinstance(bijection, SphereCouplings)
    z = even(3, shape, torch.float64).flatten(1)
    _, log_det = bijection.forward_and_log_det(z)
    assert log_det.tolist() == pytest.approx([by_autodiff(bijection, row, shape) for row in z], abs=1e-9)
    assert float(log_det.abs().min()) > 1e-3


def near_the_poles(distance: float, dtype: torch.dtype) -> Tensor:
    """Vectors of three components at this distance from both ends of every axis, shape (24, 3)."""
    ends = torch.cat([torch.eye(3), -torch.eye(3)]).double()
    aside = torch.stack(
        [ends.roll(1, 1), ends.roll(-1, 1), -ends.roll(1, 1), (ends.roll(1, 1) + ends.roll(-1, 1)) / 2**0.5]
    )
    x = (ends + distance * aside).view(-1, 3)
    return torch.nn.functional.normalize(x, dim=1).to(dtype)


@pytest.mark.parametrize("distance", [0.0, 1e-300, 1e-12, 1e-6, 3e-5, 1e-3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_poles_are_points_like_others(distance: float, dtype: torch.dtype) -> None:
    network, z = bent((1, 3), dtype), near_the_poles(distance, dtype)
    x, log_det = network.bijection.forward_and_log_det(z)
    again, back = network.bijection.inverse_and_log_det(x)
    assert float((again - z).abs().max()) < (1e-9 if dtype == torch.float64 else 1e-5)
    assert float((log_det + back).abs().max()) < (1e-6 if dtype == torch.float64 else 1e-4)
    assert bool(torch.isfinite(log_det).all())
    position = z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network.bijection.inverse_and_log_det(position)[1].sum(), position)
    assert bool(torch.isfinite(gradient).all())


def test_the_density_is_continuous_at_the_poles() -> None:
    network = bent((1, 3), torch.float64, SphereFlowSpec(couplings=1, bins=4))
    around = near_the_poles(1e-5, torch.float64).view(4, 6, 3)
    densities = torch.stack([network.bijection.inverse_and_log_det(x)[1] for x in around])
    assert float((densities - densities.mean(0)).abs().max()) < 1e-3
    assert float(densities.mean(0).std()) > 0.01


def test_a_tilt_that_does_not_vanish_at_the_poles_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sphere_coupling, "sum_of_squares", lambda components: sum(c * c for c in components) * 0 + 0.25)
    network = bent((1, 3), torch.float64)
    z = even(20, (1, 3), torch.float64).flatten(1)
    x, _ = network.bijection.forward_and_log_det(z)
    assert float((network.bijection.inverse_and_log_det(x)[0] - z).abs().max()) > 1e-3


@pytest.mark.parametrize("dimension", [2, 3, 4])
def test_pieces_of_a_batch_are_the_whole(dimension: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network, z = bent((4, dimension), torch.float32), even(96, (4, dimension), torch.float32).flatten(1)
    whole = network.bijection.forward_and_log_det(z)
    monkeypatch.setattr("zoo.models.bijections.coupling._PARAMETERS_AT_ONCE", 2000)
    with torch.no_grad():
        parts = network.bijection.forward_and_log_det(z)
    torch.testing.assert_close(parts[0], whole[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(parts[1], whole[1], atol=1e-5, rtol=0)


def trained(target: VectorSpinsSpec, spec: SphereFlowSpec, steps: int) -> tuple[Model, ThermodynamicState]:
    state = ThermodynamicState(build_target(target), target.beta)
    model = build_model(spec, state.target.space, 1)
    training = TrainingSpec(batch_size=256, max_steps=steps, learning_rate=1e-2, beta_anneal_steps=0)
    trainer = Trainer(build_objective(ReverseKlSpec()), Problem(state), training)
    for _ in train(trainer, trainer.init(model)):
        pass
    return model.requires_grad_(requires_grad=False), state


@pytest.mark.parametrize(
    ("target", "spec", "fraction"),
    [
        (VectorSpinsSpec(shape=(1,), h=-2.0, beta=2.0), SphereFlowSpec(couplings=6, width=4), 0.9),
        (VectorSpinsSpec(shape=(4,), beta=1.2), SphereFlowSpec(couplings=12, width=16, bins=5), 0.7),
        (VectorSpinsSpec(shape=(4,), beta=1.0, components=2), SphereFlowSpec(couplings=6, width=16), 0.8),
        (VectorSpinsSpec(shape=(2,), beta=0.8, components=4), SphereFlowSpec(couplings=8, width=8, bins=4), 0.7),
    ],
    ids=["a vector in a field", "a ring of Heisenberg spins", "planar vectors", "four components"],
)
def test_a_short_training_finds_the_free_energy(target: VectorSpinsSpec, spec: SphereFlowSpec, fraction: float) -> None:
    model, state = trained(target, spec, 200)
    with torch.inference_mode():
        x, log_prob = model.sample_and_log_prob(10_000, RandomStream(2, 2**50))
    found = importance_beta_f(state.unnormalized_log_prob(x) - log_prob)
    exact = state.target.exact_beta_f(target.beta)  # type: ignore[attr-defined]  # these have one
    assert abs(found.value - exact) < 4 * (found.standard_error or 0.0)
    assert (found.effective_sample_fraction or 0.0) > fraction


def test_trajectories_in_latent_space_have_the_exact_energy() -> None:
    spec = VectorSpinsSpec(shape=(4,), beta=1.2)
    target = build_target(spec)
    assert isinstance(target, ContinuousTarget)
    exact = target.exact_reference(1.2).observables["energy_per_site"]  # type: ignore[attr-defined]  # it has one
    flow = Flow(bent((4, 3), torch.float32))
    chains = LatentHmc(HmcSpec(num_leapfrog=4), flow, ThermodynamicState(target, 1.2))
    x = chains.run(48, RunPlan(80, 40), RandomStream(2)).configurations
    target.space.validate(x.flatten(0, 1))
    found = chain_average(target.observables(x.flatten(0, 1))["energy_per_site"].reshape(x.shape[:2]))
    assert found.standard_error is not None
    assert abs(found.value - exact) < 4 * found.standard_error
    again = chains.configurations(chains.state_at(x[0]))
    torch.testing.assert_close(again, x[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"scale": 2.0}, "unit vectors, which begin evenly"),
        ({"base": "free_field"}, "the target lives on spheres"),
    ],
)
def test_what_means_nothing_on_spheres_is_refused(parameters: dict[str, object], why: str) -> None:
    spec = SphereFlowSpec.model_validate(parameters)
    assert why in str(spec.unsupported_reason(SpaceSpec(kind="spheres", event_shape=(4, 3))))


def test_other_spaces_are_refused() -> None:
    reason = SphereFlowSpec().unsupported_reason(SpaceSpec(kind="torus", event_shape=(4,)))
    assert reason is not None
    assert "spheres" in reason
