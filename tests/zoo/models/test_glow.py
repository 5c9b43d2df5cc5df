"""Multiscale flows: blocks, scales, 1x1 convolutions, and lattices that they refuse."""

from itertools import product
from math import log, prod

import pytest
import torch
from torch import Tensor

from tests.conformance.cases import scramble
from tests.zoo.nn.derivatives import derivatives
from zoo.catalog import build, build_model, build_target
from zoo.core.random import RandomStream
from zoo.core.spaces import Space, build_space
from zoo.core.targets import HasExactFreeEnergy, ThermodynamicState
from zoo.models.bijections.actnorm import ActNorm
from zoo.models.bijections.base import Bijection
from zoo.models.bijections.lu_linear import LULinear
from zoo.models.bijections.permutation import reversal
from zoo.models.bijections.squeeze import OnFirst, unsqueezing
from zoo.models.flow import Flow
from zoo.nn.weights import generator_of
from zoo.objectives.reverse_kl import ReverseKl
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.glow import GlowSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.phi4 import Phi4Spec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem
from zoo.training.trainer import Trainer, train


def reals(*shape: int) -> Space:
    return build_space(SpaceSpec(kind="reals", event_shape=shape))


def flow(spec: GlowSpec, *shape: int, scale: float = 0.1) -> Flow:
    model = build_model(spec, reals(*shape), seed=0)
    assert isinstance(model, Flow)
    scramble(model, scale)
    return model


def normals(*shape: int) -> Tensor:
    return torch.randn(shape, generator=generator_of(1), dtype=torch.float64)


@pytest.mark.parametrize("lattice", [(4,), (2, 2), (4, 6), (2, 4, 2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_channels_of_a_block_are_its_sites(channels: int, lattice: tuple[int, ...]) -> None:
    field = torch.arange(channels * prod(lattice)).view(channels, *lattice).double()
    squeezed, log_det = unsqueezing(channels, lattice).inverse_and_log_det(field.flatten()[None])
    block = list(product((0, 1), repeat=len(lattice)))
    coarse = squeezed[0].view(channels, len(block), *(side // 2 for side in lattice))
    for number, place in enumerate(block):
        assert torch.equal(coarse[:, number], field[(slice(None), *(slice(first, None, 2) for first in place))])
    assert float(log_det) == 0


def test_a_part_is_mapped_and_the_rest_stays() -> None:
    part = OnFirst(reversal(2), 2)
    x, log_det = part.forward_and_log_det(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    assert x.tolist() == [[2.0, 1.0, 3.0, 4.0]]
    assert log_det.tolist() == [0.0]
    assert part.inverse_and_log_det(x)[0].tolist() == [[1.0, 2.0, 3.0, 4.0]]


FORMS = (
    (GlowSpec(steps=2, width=5), (2,)),
    (GlowSpec(steps=1, width=5, depth=1), (8,)),
    (GlowSpec(steps=3, width=4), (4, 6)),
    (GlowSpec(steps=2, width=4, kernel=5, base="free_field"), (8, 8)),
    (GlowSpec(steps=1, width=3, scales=1), (2, 4, 2)),
)


@pytest.mark.parametrize(("spec", "shape"), FORMS)
@pytest.mark.parametrize(
    ("size", "dtype", "tolerance"),
    [
        (1e-6, torch.float32, 1e-5),
        (1.0, torch.float32, 1e-5),
        (1e-6, torch.float64, 1e-12),
        (1.0, torch.float64, 1e-12),
        (1e3, torch.float64, 1e-6),  # through dozens of layers whose scales reach e^4, at a thousand deviations
    ],
)
def test_the_inverse_undoes_the_map(
    spec: GlowSpec, shape: tuple[int, ...], size: float, dtype: torch.dtype, tolerance: float
) -> None:
    bijection = flow(spec, *shape, scale=0.05).network.bijection.to(dtype)
    z = size * normals(5, prod(shape)).to(dtype)
    with torch.no_grad():
        x, log_det = bijection.forward_and_log_det(z)
        again, back = bijection.inverse_and_log_det(x)
    assert again.dtype == dtype
    assert float((again - z).abs().max()) < tolerance * (1 + float(x.abs().max()))
    torch.testing.assert_close(back, -log_det, rtol=tolerance, atol=20 * tolerance)


@pytest.mark.parametrize(("spec", "shape"), FORMS)
def test_the_log_det_is_that_of_the_derivative(spec: GlowSpec, shape: tuple[int, ...]) -> None:
    bijection = flow(spec, *shape).network.bijection.double()
    z = normals(2, prod(shape))
    _, log_det = bijection.forward_and_log_det(z)
    slopes = derivatives(lambda z: bijection.forward_and_log_det(z)[0], z)
    torch.testing.assert_close(torch.linalg.slogdet(slopes).logabsdet, log_det)
    assert float(log_det.detach().std()) > 1e-4  # it is not that of a linear map


def test_a_1x1_convolution_is_one_matrix_at_every_site() -> None:
    convolution = LULinear(3, 4).double()
    scramble(convolution)
    z = normals(2, 12)
    x, log_det = convolution.forward_and_log_det(z)
    matrix = LULinear(3).double()
    matrix.load_state_dict(convolution.state_dict())
    rows, of_one = matrix.forward_and_log_det(z.view(2, 3, 4).transpose(1, 2).reshape(8, 3))
    torch.testing.assert_close(x.view(2, 3, 4), rows.view(2, 4, 3).transpose(1, 2))
    dense = (matrix.forward_and_log_det(torch.eye(3, dtype=torch.float64))[0] - matrix.shift).t()
    expected = 4 * torch.linalg.slogdet(dense).logabsdet
    torch.testing.assert_close(log_det, expected.expand(2))
    torch.testing.assert_close(of_one, expected.expand(8) / 4)


def test_scales_and_shifts_begin_as_the_identity_and_no_data_change_that() -> None:
    norm = ActNorm(2, 3)
    x = 5 + 100 * normals(7, 6).float()
    for way in (norm.forward_and_log_det, norm.inverse_and_log_det):
        y, log_det = way(x)
        assert torch.equal(y, x)
        assert not bool(log_det.any())
    assert not bool(norm.scale_and_shift.any())
    with torch.no_grad():
        norm.scale_and_shift[:, 1] = 1
    y, log_det = norm.forward_and_log_det(x)
    assert torch.equal(y[:, :3], x[:, :3])
    assert not bool(torch.isclose(y[:, 3:], x[:, 3:]).any())
    assert float(log_det[0].detach()) == pytest.approx(3 * 4 * torch.tanh(torch.tensor(0.25)))


def without_networks(spec: GlowSpec, *shape: int) -> Bijection:
    """The map whose conditioners give nothing."""
    model = build_model(spec, reals(*shape), seed=0)
    assert isinstance(model, Flow)
    for name, weight in model.named_parameters():
        if "output_weight" in name:
            torch.nn.init.zeros_(weight)
    return model.network.bijection


def test_latents_lie_at_the_sites_of_the_lattice() -> None:
    z = normals(2, 64).float()
    assert torch.equal(without_networks(GlowSpec(steps=2), 8, 8).forward_and_log_det(z)[0], z)
    assert not torch.equal(without_networks(GlowSpec(steps=1), 8, 8).forward_and_log_det(z)[0], z)


@pytest.mark.parametrize(("scales", "shift"), [(1, 2), (2, 4)])
def test_shifts_by_a_whole_block_are_a_symmetry(scales: int, shift: int) -> None:
    model = flow(GlowSpec(scales=scales, steps=2, width=4), 8, 8).double()
    x = normals(4, 8, 8)
    here = model.log_prob(x)
    for axis in (1, 2):
        torch.testing.assert_close(model.log_prob(x.roll(shift, axis)), here)
        assert not torch.allclose(model.log_prob(x.roll(shift // 2, axis)), here)


@pytest.mark.parametrize(
    ("spec", "shape", "lattices", "channels"),
    [
        (GlowSpec(), (8, 8), [(4, 4), (2, 2), (1, 1)], [4, 8, 16]),
        (GlowSpec(kernel=5), (8, 8), [(4, 4), (2, 2)], [4, 8]),
        (GlowSpec(scales=1), (8, 8), [(4, 4)], [4]),
        (GlowSpec(), (12, 6), [(6, 3)], [4]),
        (GlowSpec(), (4,), [(2,), (1,)], [2, 2]),
        (GlowSpec(), (4, 4, 4), [(2, 2, 2), (1, 1, 1)], [8, 32]),
    ],
)
def test_scales_go_on_as_long_as_sides_are_even(
    spec: GlowSpec, shape: tuple[int, ...], lattices: list[tuple[int, ...]], channels: list[int]
) -> None:
    space = reals(*shape)
    assert spec.lattices(space.spec) == lattices
    assert [spec.channels(space.spec, level) for level in range(len(lattices))] == channels
    model = build_model(spec, space, seed=0)
    networks = sum(p.numel() for name, p in model.named_parameters() if "weights." in name or "output_weight" in name)
    assert networks == spec.working_size(space.spec)


@pytest.mark.parametrize(
    ("spec", "shape", "reason"),
    [
        (GlowSpec(), (4, 5), "has an odd side; use 'realnvp'"),
        (GlowSpec(), (2, 2, 2, 2), "1 to 3 axes"),
        (GlowSpec(scales=3), (4, 4), "they can be halved 2 times"),
        (GlowSpec(kernel=5), (2, 2), "kernel 5 is wider than half of the lattice"),
    ],
)
def test_lattices_that_do_not_fit_are_refused(spec: GlowSpec, shape: tuple[int, ...], reason: str) -> None:
    assert reason in (spec.unsupported_reason(reals(*shape).spec) or "")
    with pytest.raises(InvalidValueError, match=reason.partition(";")[0]):
        build(spec, reals(*shape), seed=0)


def test_other_spaces_are_refused() -> None:
    particles = SpaceSpec(kind="particles", event_shape=(4, 2))
    assert "models reals, and the target lives on particles" in (GlowSpec().unsupported_reason(particles) or "")


def test_a_field_is_learnt_from_its_energy() -> None:
    target = build_target(Phi4Spec(shape=(4, 4), mass_squared=1.0, coupling=0.0))
    model = build_model(GlowSpec(steps=2, width=8), target.space, seed=0)
    training = TrainingSpec(batch_size=128, max_steps=150, learning_rate=0.01)
    trainer = Trainer(ReverseKl(ReverseKlSpec()), Problem(ThermodynamicState(target, 1.0)), training)
    *_, (_, last) = train(trainer, trainer.init(model))
    assert (last.effective_sample_fraction or 0) > 0.8
    x, log_q = model.sample_and_log_prob(4096, RandomStream(0))
    log_z = float(torch.logsumexp(-target.energy(x) - log_q, 0)) - log(4096)
    assert isinstance(target, HasExactFreeEnergy)
    assert log_z == pytest.approx(-target.exact_beta_f(1.0), abs=0.03)
