"""Gauge-equivariant flows: their symmetry, inverse, Jacobian, and free energies from their weights."""

from collections.abc import Callable
from math import log, pi

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.conformance.cases import scramble
from zoo.catalog import build, build_objective, build_target
from zoo.core.models import ConditionalModel, Model
from zoo.core.random import RandomStream
from zoo.core.spaces import build_space
from zoo.core.targets import HasExactFreeEnergy, ThermodynamicState
from zoo.models.bijections.base import Mapped
from zoo.models.bijections.gauge_coupling import GaugeCouplings, wrapped
from zoo.models.flow import Flow
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.conditions import ConditionOn
from zoo.specs.models.gauge_flow import GaugeFlowSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.spaces import SpaceKind, SpaceSpec
from zoo.specs.targets.u1_gauge import U1GaugeSpec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem
from zoo.training.trainer import Trainer, train

SMALL = GaugeFlowSpec(couplings=9, width=6, depth=2, components=2)
"""All eight kinds of layers, and the first again."""
SPLINES = GaugeFlowSpec(couplings=9, width=6, depth=2, map="spline", bins=4)

every_map = pytest.mark.parametrize("spec", [SMALL, SPLINES], ids=["ncp", "spline"])


def flow(sides: tuple[int, int], *, scale: float = 0.2, spec: GaugeFlowSpec = SMALL) -> Flow:
    model = build(spec, build_space(SpaceSpec(kind="torus", event_shape=(2, *sides))), seed=1)
    assert isinstance(model, Flow)
    scramble(model, scale)
    return model


def couplings(sides: tuple[int, int], spec: GaugeFlowSpec, *, scale: float = 0.2) -> GaugeCouplings:
    bijection = flow(sides, scale=scale, spec=spec).network.bijection
    assert isinstance(bijection, GaugeCouplings)
    return bijection


def links(number: int, sides: tuple[int, int], seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * pi * torch.rand(number, 2, *sides, generator=generator, dtype=torch.float64) - pi


def gauged(x: Tensor, *, step: int = -1) -> Tensor:
    """``x`` under a random gauge transformation of its own for each configuration; ``step`` 1 is none."""
    alpha = links(len(x), (x.shape[2], x.shape[3]), seed=7)[:, 0].to(x.dtype)
    return torch.stack([x[:, 0] + alpha - alpha.roll(step, 1), x[:, 1] + alpha - alpha.roll(step, 2)], 1)


def angular_distance(x: Tensor, y: Tensor) -> float:
    return float(wrapped(x - y).abs().max())


@every_map
def test_the_density_has_gauge_symmetry_and_translations_by_four_links(spec: GaugeFlowSpec) -> None:
    sides = (8, 12)
    model, x = flow(sides, spec=spec).double(), links(20, sides)
    with torch.no_grad():
        here = model.log_prob(x)
        for image in (gauged(x), wrapped(gauged(x)), x.roll(4, 2), x.roll(4, 3), x.roll((4, 8), (2, 3)), x + 2 * pi):
            torch.testing.assert_close(model.log_prob(image), here, rtol=0, atol=1e-9)
        for other in (gauged(x, step=1), x.roll(1, 2), x.roll(2, 3), -x):
            assert not torch.allclose(model.log_prob(other), here, atol=1e-2)


@every_map
def test_single_precision_keeps_the_symmetry_to_five_digits(spec: GaugeFlowSpec) -> None:
    model, x = flow((8, 8), scale=0.1, spec=spec), links(200, (8, 8)).float()
    with torch.no_grad():
        here = model.log_prob(x)
        for image in (gauged(x), x.roll(4, 2), x.roll(4, 3)):
            assert float(((model.log_prob(image) - here) / here).abs().max()) < 1e-5


@every_map
def test_the_map_commutes_with_gauge_transformations(spec: GaugeFlowSpec) -> None:
    bijection, z = couplings((4, 8), spec).double(), links(10, (4, 8))
    with torch.no_grad():
        x, _ = bijection.forward_and_log_det(z.flatten(1))
        image, _ = bijection.forward_and_log_det(gauged(z).flatten(1))
    assert angular_distance(image, gauged(x.view(z.shape)).flatten(1)) < 1e-9
    assert angular_distance(x, z.flatten(1)) > 1


@settings(deadline=None, max_examples=16)
@given(
    spec=st.sampled_from([SMALL, SPLINES]),
    first=st.sampled_from([4, 8]),
    second=st.sampled_from([4, 8, 12]),
    scale=st.sampled_from([0.0, 0.1, 0.2]),
    seed=st.integers(0, 2**20),
)
def test_the_inverse_undoes_the_map(spec: GaugeFlowSpec, first: int, second: int, scale: float, seed: int) -> None:
    sides = (first, second)
    bijection, z = couplings(sides, spec, scale=scale), links(4, sides, seed).flatten(1)
    with torch.no_grad():
        for exact, tolerance in ((False, 1e-3), (True, 1e-9)):
            module, start = (bijection.double(), z) if exact else (bijection.float(), z.float())
            x, log_det = module.forward_and_log_det(start)
            back, inverse_log_det = module.inverse_and_log_det(x)
            assert x.dtype == back.dtype == start.dtype
            assert bool(((x >= -pi - 1e-6) & (x < pi)).all())
            assert angular_distance(back, start) < tolerance
            torch.testing.assert_close(log_det, -inverse_log_det, rtol=1e-3, atol=tolerance)


def log_determinant(step: Callable[[Tensor], Mapped], z: Tensor) -> Tensor:
    """Ln |det dx/dz| of one configuration by autograd, whose determinant must be positive."""
    position = z[None].clone().requires_grad_()
    x, _ = step(position)
    rows = [torch.autograd.grad(value, position, retain_graph=True)[0][0] for value in x[0]]
    value: Tensor
    sign, value = torch.linalg.slogdet(torch.stack(rows))
    assert float(sign) == 1
    return value


@every_map
def test_the_logarithm_of_the_determinant_is_that_of_the_derivative(spec: GaugeFlowSpec) -> None:
    bijection, z = couplings((4, 4), spec).double(), links(3, (4, 4)).flatten(1)
    for step in (bijection.forward_and_log_det, bijection.inverse_and_log_det):
        with torch.no_grad():
            _, log_det = step(z)
        by_autograd = torch.stack([log_determinant(step, row) for row in z])
        torch.testing.assert_close(log_det, by_autograd, rtol=1e-8, atol=1e-8)
        assert float(log_det.abs().max()) > 0.5


def test_every_link_is_moved_by_eight_layers_and_a_quarter_of_one_direction_by_one() -> None:
    z = links(1, (8, 8)).flatten(1)
    for number, moved in ((1, 16), (2, 32), (7, 112), (8, 128)):
        model = flow((8, 8), spec=GaugeFlowSpec(couplings=number, width=4)).double()
        with torch.no_grad():
            x, _ = model.network.bijection.forward_and_log_det(z)
        assert int((wrapped(x - z).abs() > 1e-12).sum()) == moved


def state(beta: float, sides: tuple[int, int] = (4, 4)) -> ThermodynamicState:
    return ThermodynamicState(build_target(U1GaugeSpec(shape=sides, beta=beta)), beta)


def deviation(model: Model, at: ThermodynamicState, *, determinants: float = 1.0) -> float:
    """Of ln Z by importance weights from the exact value, in standard errors; 40,000 samples.

    ``determinants`` other than 1 multiply the logarithms of the determinants, which is wrong.
    """
    with torch.no_grad():
        x, log_prob = model.sample_and_log_prob(40_000, RandomStream(3))
        uniform = -x[0].numel() * log(2 * pi)
        weights = at.unnormalized_log_prob(x) - uniform - determinants * (log_prob - uniform)
    ratio = (weights - weights.max()).exp()
    error = float(ratio.std() / ratio.mean()) / len(ratio) ** 0.5
    assert error < 0.05
    assert isinstance(at.target, HasExactFreeEnergy)
    log_z = float(torch.logsumexp(weights, 0)) - log(len(weights))
    return float((log_z + at.target.exact_beta_f(at.beta)) / error)


def test_weights_of_untrained_and_scrambled_models_give_the_exact_free_energy() -> None:
    at = state(0.4)
    untrained = build(SMALL, at.target.space, seed=1)
    assert isinstance(untrained, Flow)
    for model in (untrained, flow((4, 4), scale=0.1), flow((4, 4), scale=0.1, spec=SPLINES)):
        assert abs(deviation(model, at)) < 3


def test_a_short_training_finds_the_free_energy_and_the_charge() -> None:
    at = state(1.0)
    model = build(GaugeFlowSpec(couplings=16, width=8), at.target.space, seed=1)
    trainer = Trainer(
        build_objective(ReverseKlSpec()),
        Problem(at),
        TrainingSpec(batch_size=256, max_steps=120, learning_rate=0.02, beta_anneal_steps=0),
    )
    infos = [info for _, info in train(trainer, trainer.init(model))]
    assert isinstance(model, Flow)
    assert isinstance(at.target, HasExactFreeEnergy)
    exact = at.target.exact_reference(1.0)
    bounds = [info.parts["variational_beta_f"] - exact.beta_f for info in (infos[0], infos[-1])]
    assert bounds[0] > 3
    assert bounds[1] < 0.4
    assert abs(deviation(model, at)) < 3
    assert abs(deviation(model, at, determinants=0.9)) > 3
    with torch.no_grad():
        x, log_prob = model.sample_and_log_prob(20_000, RandomStream(4))
        weights = (at.unnormalized_log_prob(x) - log_prob).softmax(0)
    squared = at.target.observables(x)["topological_charge_squared"]
    mean = float(weights @ squared)
    error = float((weights * (squared - mean)).square().sum().sqrt())
    assert abs(mean - exact.observables["topological_charge_squared"]) < 4 * error < 0.1


@pytest.mark.parametrize(
    ("kind", "shape", "match"),
    [
        ("reals", (2, 4, 4), "models torus, and the target lives on reals"),
        ("torus", (4, 4), r"shape \[2, L1, L2\], and the target has angles of shape \[4, 4\]"),
        ("torus", (3, 4, 4), r"of shape \[3, 4, 4\]"),
        ("torus", (2, 4, 6), r"divisible by 4 were expected, and the target has shape \[2, 4, 6\]"),
    ],
)
def test_angles_that_are_no_links_are_refused(kind: SpaceKind, shape: tuple[int, ...], match: str) -> None:
    with pytest.raises(InvalidValueError, match=match):
        build(SMALL, build_space(SpaceSpec(kind=kind, event_shape=shape)), seed=1)


@pytest.mark.parametrize("symmetry", ["lattice_translation", "lattice_point_group"])
def test_symmetries_that_exchange_directions_are_refused(symmetry: str) -> None:
    spec = GaugeFlowSpec.model_validate({"symmetry": symmetry})
    reason = spec.unsupported_reason(SpaceSpec(kind="torus", event_shape=(2, 4, 4)))
    assert reason is not None
    assert symmetry in reason
    assert GaugeFlowSpec(symmetry="z2").unsupported_reason(SpaceSpec(kind="torus", event_shape=(2, 4, 4))) is None


def test_conditions_change_the_density_and_keep_its_symmetry() -> None:
    spec = GaugeFlowSpec(couplings=8, width=5, condition_on=ConditionOn(beta=(0.5, 2.0)))
    model = build(spec, build_space(SpaceSpec(kind="torus", event_shape=(2, 4, 8))), seed=1)
    assert isinstance(model, ConditionalModel)
    scramble(model, 0.3)
    x, betas = links(6, (4, 8)), torch.linspace(0.5, 2.0, 6, dtype=torch.float64)[:, None]
    with torch.no_grad():
        at = model.double().at(betas)
        torch.testing.assert_close(at.log_prob(gauged(x)), at.log_prob(x), rtol=0, atol=1e-9)
        assert not torch.allclose(model.at(betas.flip(0)).log_prob(x), at.log_prob(x), atol=1e-2)
        one = model.at(betas[3:4]).log_prob(x)
        torch.testing.assert_close(one[3], at.log_prob(x)[3], rtol=0, atol=1e-9)
