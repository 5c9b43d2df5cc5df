"""Masked autoregressive flows: both directions, the incremental way against full passes, and exact distributions."""

from collections.abc import Callable
from math import log, pi

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from tests.conformance.cases import scramble
from tests.zoo.nn.derivatives import derivatives
from zoo.catalog import build, build_model, build_target
from zoo.core.models import ConditionalModel, Model
from zoo.core.random import RandomStream
from zoo.core.spaces import build_space
from zoo.core.targets import ThermodynamicState
from zoo.models.bijections.actnorm import ActNorm
from zoo.models.bijections.affine import AffineMap
from zoo.models.bijections.base import Bijection
from zoo.models.bijections.coupling import Couplings, Halves
from zoo.models.bijections.lu_linear import LULinear
from zoo.models.bijections.masked_autoregressive import MaskedAutoregressive, Seen
from zoo.models.bijections.permutation import Permutation, reversal
from zoo.models.bijections.scalar_map import Scalars
from zoo.models.flow import Flow
from zoo.models.triangular import STEPS_PER_BLOCK, GrownRows
from zoo.nn.channel_convolution import ChannelConvolution, ChannelShape
from zoo.nn.conditioning import FEATURES, Features
from zoo.nn.masked_dense_conditioner import MaskedDenseConditioner, MaskedShape
from zoo.nn.weights import generator_of
from zoo.objectives.reverse_kl import ReverseKl
from zoo.specs.models.iaf import IafSpec
from zoo.specs.models.maf import MafSpec
from zoo.specs.models.masked_flow import MaskedFlowSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.gaussian import GaussianSpec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem
from zoo.training.trainer import Trainer, train

SEEN: tuple[Seen, ...] = ("data", "latent")
PRECISION = ((2.0, -0.7, 0.1), (-0.7, 0.9, 0.2), (0.1, 0.2, 3.0))


def masked(
    sites: int, seen: Seen, depth: int = 2, *, conditional: bool = False, scale: float = 0.2
) -> MaskedAutoregressive:
    shape = MaskedShape(sites, parameters=2, linear=1, width=13, depth=depth)
    conditioner = MaskedDenseConditioner(shape, generator_of(sites), conditional=conditional)
    scramble(conditioner, scale)
    return MaskedAutoregressive(conditioner, AffineMap(), seen)


def scrambled(bijection: Bijection) -> Bijection:
    scramble(bijection, 0.2)
    return bijection


def channel_coupling(channels: int) -> Bijection:
    """One channel of a line of so many sites is mapped, given five others."""
    shape = ChannelShape((channels,), frozen=5, active=1, parameters=2, width=4, depth=2)
    places = torch.arange(6 * channels)
    network = ChannelConvolution(shape, generator_of(2), conditional=False)
    return scrambled(Couplings(Halves(places[:channels], places[channels:]), AffineMap(), [network]))


MAKERS: dict[str, Callable[[int], Bijection]] = {
    "sees data": lambda n: masked(n, "data"),
    "sees latents": lambda n: masked(n, "latent"),
    "linear": lambda n: scrambled(LULinear(n)),
    "1x1 convolution": lambda n: scrambled(LULinear(n, 3)),
    "scale and shift": lambda n: scrambled(ActNorm(n)),
    "scale and shift of channels": lambda n: scrambled(ActNorm(n, 2)),
    "coupling of channels": channel_coupling,
    "reversal": reversal,
    "permutation": lambda n: Permutation(torch.randperm(n, generator=generator_of(n))),
}
SITES = {"1x1 convolution": 3, "scale and shift of channels": 2, "coupling of channels": 6}
every_bijection = pytest.mark.parametrize("name", MAKERS)


@every_bijection
@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(
    n=st.integers(1, 20),
    batch=st.integers(1, 5),
    size=st.sampled_from([1e-6, 1.0, 1e3]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_the_inverse_undoes_the_map_and_takes_its_log_det_back(
    name: str, n: int, batch: int, size: float, dtype: torch.dtype
) -> None:
    bijection = MAKERS[name](n)
    z = size * torch.randn(batch, n * SITES.get(name, 1), generator=generator_of(batch))
    bijection, z = bijection.to(dtype), z.to(dtype)
    tolerance = 1e-11 if dtype == torch.float64 else 1e-5
    with torch.no_grad():
        x, log_det = bijection.forward_and_log_det(z)
        again, back = bijection.inverse_and_log_det(x)
    assert x.dtype == z.dtype
    assert log_det.dtype == back.dtype == torch.float64
    assert log_det.shape == (batch,)
    scale = float(x.abs().max()) + 1
    torch.testing.assert_close(again, z, rtol=tolerance, atol=tolerance * scale)
    torch.testing.assert_close(back, -log_det, rtol=1e-5, atol=10 * tolerance)


@every_bijection
@pytest.mark.parametrize("n", [1, 2, 7])
def test_the_log_det_is_that_of_the_derivative(name: str, n: int) -> None:
    bijection = MAKERS[name](n).double()
    z = torch.randn(3, n * SITES.get(name, 1), generator=generator_of(1), dtype=torch.float64)
    for way in (bijection.forward_and_log_det, bijection.inverse_and_log_det):
        _, log_det = way(z)
        slopes = derivatives(lambda z, way=way: way(z)[0], z)  # type: ignore[misc]
        torch.testing.assert_close(torch.linalg.slogdet(slopes).logabsdet, log_det, rtol=1e-10, atol=1e-10)


def by_full_passes(bijection: MaskedAutoregressive, v: Tensor, features: Features = None) -> tuple[Tensor, Tensor]:
    """What the network sees, from its image ``v``, by one pass of the whole network for each variable."""
    apply: Callable[[Tensor, Tensor], Scalars]
    apply = bijection.scalar_map.forward if bijection.seen == "data" else bijection.scalar_map.inverse
    columns: list[Tensor] = []
    slopes = v.new_zeros(len(v)).double()
    for site in range(v.shape[1]):
        known = torch.cat([*columns, torch.zeros_like(v[:, site:])], 1)
        parameters = bijection.conditioner(known, features)[:, :, site : site + 1]
        mapped = apply(v[:, site : site + 1], parameters)
        columns.append(mapped.values)
        slopes = slopes + mapped.log_slopes.sum(1)
    return torch.cat(columns, 1), slopes


def in_turn(bijection: MaskedAutoregressive, v: Tensor, features: Features = None) -> tuple[Tensor, Tensor]:
    """The sequential direction."""
    way = bijection.forward_and_log_det if bijection.seen == "data" else bijection.inverse_and_log_det
    return way(v, features)


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("sites", [1, 2, STEPS_PER_BLOCK, STEPS_PER_BLOCK + 1, 2 * STEPS_PER_BLOCK + 3])
@pytest.mark.parametrize("rows", [None, 1, 4])
def test_variables_in_turn_are_those_of_full_passes(seen: Seen, depth: int, sites: int, rows: int | None) -> None:
    bijection = masked(sites, seen, depth, conditional=rows is not None, scale=0.1).double()
    generator = generator_of(3)
    v = torch.randn(4, sites, generator=generator, dtype=torch.float64)
    features = None if rows is None else torch.randn(rows, FEATURES, generator=generator, dtype=torch.float64)
    wanted, log_det = by_full_passes(bijection, v, features)
    moving = in_turn(bijection, v, features)
    with torch.no_grad():
        still = in_turn(bijection, v, features)
    for values, slopes in (moving, still):
        torch.testing.assert_close(values, wanted, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(slopes, log_det, rtol=1e-11, atol=1e-11)
    assert not still[0].requires_grad


@pytest.mark.parametrize("seen", SEEN)
def test_gradients_through_the_turns_are_those_of_full_passes(seen: Seen) -> None:
    sites = STEPS_PER_BLOCK + 4
    bijection = masked(sites, seen, conditional=True, scale=0.1).double()
    features = torch.randn(4, FEATURES, generator=generator_of(4), dtype=torch.float64)
    v = torch.randn(4, sites, generator=generator_of(3), dtype=torch.float64, requires_grad=True)
    gradients = []
    for values, log_det in (in_turn(bijection, v, features), by_full_passes(bijection, v, features)):
        loss = (values * torch.arange(sites)).sum() + (log_det**2).sum()
        gradients.append(torch.autograd.grad(loss, [v, *bijection.parameters()]))
    assert bool(gradients[0][0].any())
    for turns, passes in zip(*gradients, strict=True):
        torch.testing.assert_close(turns, passes, rtol=1e-9, atol=1e-9)


def products(work: Callable[[], object]) -> int:
    """Floating-point operations of all matrix products."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("seen", SEEN)
def test_all_turns_together_cost_no_more_products_than_one_pass(seen: Seen) -> None:
    bijection, v = masked(4 * STEPS_PER_BLOCK, seen), torch.zeros(8, 4 * STEPS_PER_BLOCK)
    at_once = products(lambda: bijection.conditioner(v))
    assert 0.3 * at_once < products(lambda: in_turn(bijection, v)) < at_once
    assert products(lambda: by_full_passes(bijection, v)) > 60 * at_once


def test_rows_that_grow_in_pieces_are_those_that_grow_in_a_block() -> None:
    pieces = [torch.full((rows, 2), float(k)) for k, rows in enumerate([2, 0, 1, 3])]
    in_pieces = GrownRows(6, 2, pieces[0])
    with torch.no_grad():
        in_block = GrownRows(6, 2, pieces[0])
    assert in_pieces[:0].shape == (0, 2)
    for piece in pieces:
        in_pieces.append(piece)
        in_block.append(piece)
    for rows in (slice(None, 2), slice(2, 6), slice(2, 3), slice(0, 6), slice(3, 3)):
        assert torch.equal(in_pieces[rows], in_block[rows])
    assert (in_pieces.is_differentiable, in_block.is_differentiable) == (True, False)


def normal_with(precision: tuple[tuple[float, ...], ...], seen: Seen) -> MaskedAutoregressive:
    """The layer that makes independent unit normal variables into those with this matrix."""
    matrix = torch.tensor(precision, dtype=torch.float64)
    n = len(matrix)
    lower = torch.linalg.cholesky(matrix.inverse())  # x = L z
    bijection = masked(n, seen).double()
    conditioner = bijection.conditioner
    with torch.no_grad():
        conditioner.output_weight.zero_()
        conditioner.output_bias.copy_(torch.stack([4 * torch.atanh(lower.diagonal().log() / 4), torch.zeros(n)]))
        # of what the network sees: latents give x_i = L_ii z_i + sum_j L_ij z_j, data x_i = L_ii (z_i - (L^-1)_ij x_j)
        off = lower if seen == "latent" else -lower.diagonal()[:, None] * lower.inverse()
        conditioner.direct_weight.copy_(off[None])
    return bijection


@pytest.mark.parametrize("seen", SEEN)
def test_one_layer_is_any_multivariate_normal_distribution(seen: Seen) -> None:
    bijection = normal_with(PRECISION, seen)
    x = torch.randn(50, 3, generator=generator_of(1), dtype=torch.float64)
    z, log_det = bijection.inverse_and_log_det(x)
    log_q = log_det - z.square().sum(1) / 2 - 1.5 * log(2 * pi)
    precision = torch.tensor(PRECISION, dtype=torch.float64)
    exact = (precision.logdet() - torch.einsum("bi,ij,bj->b", x, precision, x) - 3 * log(2 * pi)) / 2
    torch.testing.assert_close(log_q, exact, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("spec", [MafSpec(layers=2, width=8), IafSpec(layers=2, width=8, mixing="linear")], ids=str)
def test_a_normal_distribution_is_learnt_from_its_energy(spec: MaskedFlowSpec) -> None:
    target = build_target(GaussianSpec(precision=PRECISION))
    model = build_model(spec, target.space, seed=1)
    training = TrainingSpec(batch_size=256, max_steps=300, learning_rate=0.02)
    trainer = Trainer(ReverseKl(ReverseKlSpec()), Problem(ThermodynamicState(target, 1.0)), training)
    *_, (_, last) = train(trainer, trainer.init(model))
    exact = -0.5 * (3 * log(2 * pi) - float(torch.tensor(PRECISION).logdet()))
    assert last.parts["variational_beta_f"] == pytest.approx(exact, abs=1e-2)
    assert (last.effective_sample_fraction or 0) > 0.97


def test_a_layer_of_a_conditional_flow_knows_the_condition_at_its_first_variable() -> None:
    space = build_space(SpaceSpec(kind="reals", event_shape=(3,)))
    spec = MafSpec.model_validate({"layers": 1, "width": 8, "condition_on": {"beta": [0.1, 1.0]}})
    built = build(spec, space, seed=0)
    assert isinstance(built, ConditionalModel)
    scramble(built)
    x = torch.zeros(2, *space.event_shape)
    first = built.at(torch.tensor([[0.1], [0.9]], dtype=torch.float64)).log_prob(x)
    assert float((first[0] - first[1]).abs().detach()) > 1e-3


def one_way_passes(model: Model, work: Callable[[], object]) -> int:
    """How often the whole network of any layer is evaluated."""
    assert isinstance(model, Flow)
    passes = 0

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1

    layers = [module for module in model.modules() if isinstance(module, MaskedDenseConditioner)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        work()
    for hook in hooks:
        hook.remove()
    return passes


def test_samples_of_one_and_likelihoods_of_the_other_are_made_at_once() -> None:
    space = build_space(SpaceSpec(kind="reals", event_shape=(2, 3)))
    maf, iaf = (build_model(spec, space, seed=0) for spec in (MafSpec(), IafSpec()))
    x = torch.zeros(4, 2, 3)
    assert one_way_passes(maf, lambda: maf.log_prob(x)) == 5
    assert one_way_passes(maf, lambda: maf.sample_and_log_prob(4, RandomStream(0))) == 0
    assert one_way_passes(iaf, lambda: iaf.log_prob(x)) == 0
    assert one_way_passes(iaf, lambda: iaf.sample_and_log_prob(4, RandomStream(0))) == 5


def test_a_singular_matrix_cannot_be_made() -> None:
    for channels in (1, 2, 5):
        linear = LULinear(channels).double()
        for scale in (1e2, 1e8, -1e8):
            with torch.no_grad():
                linear.entries.copy_(scale * torch.eye(channels))  # what would be a pivot of e^(+-1e8)
            matrix, log_det = linear.forward_and_log_det(torch.eye(channels, dtype=torch.float64))
            assert float(torch.linalg.matrix_rank(matrix)) == channels
            assert float(log_det[0].detach().abs()) <= 4 * channels
            back, _ = linear.inverse_and_log_det(matrix)
            torch.testing.assert_close(back, torch.eye(channels, dtype=torch.float64))


def test_a_list_that_is_no_order_is_refused() -> None:
    with pytest.raises(ValueError, match=r"names each of 0 \.\. 2 once"):
        Permutation(torch.tensor([0, 2, 2]))


@pytest.mark.parametrize(
    ("space", "reason"),
    [
        (SpaceSpec(kind="torus", event_shape=(4,)), "and the target lives on torus"),
        (SpaceSpec(kind="spins", event_shape=(4,)), "the target lives on spins"),
        (SpaceSpec(kind="particles", event_shape=(4, 2), box=(1.0, 1.0)), "in a periodic box"),
    ],
)
def test_spaces_that_do_not_fit_are_refused(space: SpaceSpec, reason: str) -> None:
    for spec in (MafSpec(), IafSpec()):
        assert reason in (spec.unsupported_reason(space) or "")
    assert MafSpec().unsupported_reason(SpaceSpec(kind="particles", event_shape=(4, 2))) is None
    lattice = MafSpec(base="free_field").unsupported_reason(SpaceSpec(kind="particles", event_shape=(4, 2)))
    assert "'free_field' is a field on a lattice" in (lattice or "")
