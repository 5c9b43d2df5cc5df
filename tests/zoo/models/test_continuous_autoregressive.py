"""Sequential models of real variables: densities that integrate to one, samples that follow them, and causality."""

from dataclasses import dataclass
from math import log, pi

import pytest
import torch
from jaxtyping import Float
from scipy.stats import chi2, kstest, norm
from torch import Tensor

from tests.conformance.cases import scramble
from zoo.catalog import build_model
from zoo.core.models import Completing, Model
from zoo.core.random import RandomStream
from zoo.core.spaces import Space, build_space
from zoo.models.autoregressive import Autoregressive
from zoo.models.continuous_autoregressive import ContinuousAutoregressive
from zoo.models.real_values import ContinuousValues, MixtureValues
from zoo.specs.models.conditions import ConditionOn
from zoo.specs.models.continuous_autoregressive import ContinuousAutoregressiveSpec
from zoo.specs.spaces import SpaceSpec

FALSE_ALARM_RATE = 1e-4
SPECS = (
    ContinuousAutoregressiveSpec(components=1, width=12),
    ContinuousAutoregressiveSpec(components=3, width=8, depth=2),
)
every_spec = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"K={spec.components}")


def reals(*shape: int) -> Space:
    return build_space(SpaceSpec(kind="reals", event_shape=shape))


def scrambled(spec: ContinuousAutoregressiveSpec, *shape: int, noise: float = 0.1) -> Autoregressive:
    model = build_model(spec, reals(*shape), seed=1)
    scramble(model, scale=noise)
    assert isinstance(model, Autoregressive)
    return model


def grid(dimension: int, reach: float, points: int) -> tuple[Tensor, float]:
    """Points of an even grid over [-reach, reach]^dimension, and the volume of each."""
    line = torch.linspace(-reach, reach, points, dtype=torch.float64)
    return torch.cartesian_prod(*[line] * dimension).reshape(-1, dimension), (2 * reach / (points - 1)) ** dimension


def _chunks(x: Tensor) -> list[Tensor]:
    return [x[begin : begin + 50_000] for begin in range(0, len(x), 50_000)]


def integral(model: Model, dimension: int) -> float:
    """Of q over R^dimension: the trapezoidal rule, which converges exponentially for such densities."""
    x, volume = grid(dimension, 16.0, {1: 400, 2: 200, 3: 65}[dimension])
    with torch.no_grad():
        return float(torch.cat([model.log_prob(rows) for rows in _chunks(x)]).exp().sum()) * volume


def conditional_quantiles(model: Autoregressive, x: Tensor, site: int) -> Tensor:
    """F(x_i | x_1 .. x_(i-1)) of each row, by integrating exp(site_log_prob) from -20 to x_i."""
    points = 200
    share = (torch.arange(points, dtype=torch.float64) + 0.5) / points
    here = x[:, site].double()
    rows = x.double().repeat_interleave(points, 0)
    rows[:, site] = (-20 + (here[:, None] + 20) * share).flatten()
    with torch.no_grad():
        density = torch.cat([model.site_log_prob(part)[:, site] for part in _chunks(rows)]).exp()
    return (density.view(-1, points).mean(1) * (here + 20)).clamp(0, 1)


def p_values(quantiles: Tensor) -> tuple[float, float]:
    """That quantiles are even: Kolmogorov's test, and that the squares of their normal scores sum up to chi-square."""
    scores = torch.special.ndtri(quantiles.clamp(1e-9, 1 - 1e-9))
    tail = float(chi2.cdf(float(scores.square().sum()), len(scores)))
    return float(kstest(quantiles.numpy(), "uniform").pvalue), 2 * min(tail, 1 - tail)


def uniformity(model: Autoregressive, x: Tensor) -> list[float]:
    """The smaller p-value of the conditional quantiles of each site."""
    return [min(p_values(conditional_quantiles(model, x, site))) for site in range(x.shape[1])]


@every_spec
@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_the_density_integrates_to_one(spec: ContinuousAutoregressiveSpec, dimension: int) -> None:
    assert integral(scrambled(spec, dimension), dimension) == pytest.approx(1, abs=1e-6)


def test_a_site_that_sees_itself_is_caught_by_the_integral() -> None:
    model = scrambled(SPECS[1], 2)
    network = model.network
    assert isinstance(network, ContinuousAutoregressive)
    network._direct_mask.fill_(1)
    assert abs(integral(model, 2) - 1) > 1e-3


@every_spec
def test_samples_are_float32_and_their_log_prob_is_that_of_the_forward_pass(spec: ContinuousAutoregressiveSpec) -> None:
    model = scrambled(spec, 3, 4)
    x, log_prob = model.sample_and_log_prob(300, RandomStream(4))
    assert x.dtype == torch.float32
    assert log_prob.dtype == torch.float64
    model.space.validate(x)
    assert torch.equal(x, model.sample(300, RandomStream(4)))
    assert torch.allclose(log_prob, model.log_prob(x), rtol=1e-5, atol=1e-4)
    assert torch.allclose(x[100:130], model.sample(30, RandomStream(4, first=100)), rtol=1e-4, atol=1e-4)


@every_spec
def test_conditional_quantiles_of_samples_are_even(spec: ContinuousAutoregressiveSpec) -> None:
    model = scrambled(spec, 3, noise=0.3)
    x = model.sample(1000, RandomStream(7))
    assert min(uniformity(model, x)) > FALSE_ALARM_RATE
    wider = x * torch.tensor([1.0, 1.0, 1.15])
    assert uniformity(model, wider)[2] < FALSE_ALARM_RATE
    without_memory = torch.cat([x[:, :2], x[:, 2:].roll(1, 0)], 1)
    assert uniformity(model, without_memory)[2] < FALSE_ALARM_RATE


def test_an_untrained_model_of_one_component_is_the_normal_distribution_far_into_its_tails() -> None:
    model = build_model(ContinuousAutoregressiveSpec(components=1, width=4, scale=2.0), reals(1), seed=0)
    z = model.sample(1_000_000, RandomStream(2))[:, 0].double() / 2
    assert kstest(z.numpy(), "norm").pvalue > FALSE_ALARM_RATE
    beyond, expected = int((z.abs() > 4).sum()), 2e6 * norm.sf(4)
    assert abs(beyond - expected) < 4 * expected**0.5


@dataclass(frozen=True)
class Lowest(RandomStream):
    """A stream of zeros: the lowest uniforms there are."""

    def uniforms(
        self, num_samples: int, per_sample: int, device: torch.device | str = "cpu"
    ) -> Float[Tensor, "sample {per_sample}"]:
        return torch.zeros(num_samples, per_sample, device=device)


def test_the_lowest_uniform_is_a_finite_value_of_the_first_component() -> None:
    values = MixtureValues(3, 1.0)
    draws, channels = values.draws(2, 1, Lowest(0), torch.zeros(1)), torch.zeros(1, 2)
    draws.draw(0, torch.zeros(9, 2), channels)
    assert channels[0, 0] == pytest.approx(-1 + norm.ppf(2.0**-49), rel=1e-6)


@every_spec
def test_a_site_sees_all_earlier_sites_and_no_later_one(spec: ContinuousAutoregressiveSpec) -> None:
    model = scrambled(spec, 2, 3)
    x = model.sample(20, RandomStream(4)).requires_grad_()
    parts = model.site_log_prob(x)
    rows = [torch.autograd.grad(parts[:, i].sum(), x, retain_graph=True)[0] for i in range(6)]
    seen = torch.stack(rows).flatten(2).abs().amax(1) > 0
    assert torch.equal(seen, torch.ones(6, 6, dtype=torch.bool).tril())


@every_spec
def test_gradients_reach_every_parameter(spec: ContinuousAutoregressiveSpec) -> None:
    model = scrambled(spec, 2, 3)
    torch.autograd.backward(model.log_prob(model.sample(50, RandomStream(1))).sum())
    assert [n for n, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())] == []


@every_spec
def test_completion_of_a_prefix_is_exact(spec: ContinuousAutoregressiveSpec) -> None:
    model = scrambled(spec, 3, noise=0.3)
    known = torch.tensor([[0.7, -0.4, 99.0]]).repeat(2000, 1)
    mask = torch.tensor([[True, True, False]]).repeat(2000, 1)
    x, log_weight = model.propose(known, mask, RandomStream(3))
    assert bool(model.is_exact(mask).all())
    assert torch.equal(x[:, :2], known[:, :2])
    assert torch.allclose(log_weight, model.site_log_prob(x)[:, :2].sum(1), atol=1e-5)
    assert float(log_weight.std()) < 1e-12
    assert uniformity(model, x)[2] > FALSE_ALARM_RATE


def test_weights_of_other_completions_average_to_the_marginal_density() -> None:
    model = scrambled(SPECS[1], 2)
    assert isinstance(model, Completing)
    known, mask = torch.tensor([[0.0, 0.8]]).repeat(20_000, 1), torch.tensor([[False, True]]).repeat(20_000, 1)
    x, log_weight = model.propose(known, mask, RandomStream(3))
    assert not bool(model.is_exact(mask).any())
    line = torch.linspace(-16, 16, 1000, dtype=torch.float64)
    rows = torch.stack([line, torch.full_like(line, float(x[0, 1]))], 1)
    with torch.no_grad():
        marginal = float(model.log_prob(rows).exp().sum()) * 32 / 999
    weight = log_weight.exp()
    assert abs(float(weight.mean()) - marginal) < 4.5 * float(weight.std()) / 20_000**0.5


@pytest.mark.parametrize("components", [1, 3])
def test_the_response_is_that_of_an_integrated_quantile(components: int) -> None:
    values: ContinuousValues = MixtureValues(components, scale=1.7)
    generator = torch.Generator().manual_seed(1)
    parameters = 0.6 * torch.randn(40, 1, values.num_parameters, generator=generator, dtype=torch.float64)
    x = torch.randn(40, 1, generator=generator, dtype=torch.float64) * 2
    points = 40_000
    share = (torch.arange(points, dtype=torch.float64) + 0.5) / points
    wanted, quantiles = [], []
    for row, here in zip(parameters, x, strict=True):
        p = row.clone().requires_grad_()
        density = values.log_prob(p.expand(points, -1, -1), (-40 + (here + 40) * share)[:, None]).exp()
        quantile = density.mean() * (here[0] + 40)
        quantiles.append(float(quantile.detach()))
        (slope,) = torch.autograd.grad(quantile, p)
        wanted.append(-slope / values.log_prob(row[None], here[None]).exp())
    quantile = torch.tensor(quantiles)
    resolved = (quantile > 1e-6) & (quantile < 1 - 1e-6)
    assert int(resolved.sum()) >= 20
    response = values.response(parameters, x)
    assert torch.allclose(response[resolved], torch.stack(wanted)[resolved], rtol=1e-4, atol=1e-4)


def test_scale_is_a_change_of_unit() -> None:
    small = scrambled(SPECS[1], 2, 2)
    large = scrambled(SPECS[1].model_copy(update={"scale": 8.0}), 2, 2)
    x, y = small.sample(50, RandomStream(1)), large.sample(50, RandomStream(1))
    assert torch.equal(8 * x, y)
    assert torch.allclose(large.log_prob(y), small.log_prob(x) - 4 * log(8), atol=1e-10)


@pytest.mark.parametrize("symmetry", ["z2", "lattice_translation", ("z2", "lattice_point_group")])
def test_symmetries_hold_by_averaging(symmetry: str | tuple[str, ...]) -> None:
    spec = ContinuousAutoregressiveSpec.model_validate({"components": 2, "width": 6, "symmetry": symmetry})
    model = build_model(spec, reals(2, 2), seed=1)
    scramble(model)
    x = model.sample(200, RandomStream(1))
    image = {"z2": -x, "lattice_translation": x.roll(1, 2)}.get(str(symmetry), -x.transpose(1, 2))
    with torch.no_grad():
        assert torch.allclose(model.log_prob(image), model.log_prob(x), atol=1e-9)
        assert float((model.log_prob(x.square()) - model.log_prob(x)).abs().max()) > 0.1
    assert bool(x.mean(0).abs().max() < 5 * x.std() / 200**0.5) or "z2" not in symmetry


def test_a_conditional_model_integrates_to_one_at_every_value() -> None:
    spec = ContinuousAutoregressiveSpec(components=2, width=8, condition_on=ConditionOn(beta=(0.5, 2.0)))
    network = ContinuousAutoregressive(spec, reals(2), seed=1)
    scramble(Autoregressive(network), scale=0.1)
    totals, means = [], []
    for beta in (0.5, 1.3, 2.0):
        model = Autoregressive(network, torch.tensor([[beta]], dtype=torch.float64))
        totals.append(integral(model, 2))
        means.append(float(model.sample(100, RandomStream(1)).mean()))
    assert totals == pytest.approx([1, 1, 1], abs=1e-6)
    assert len(set(means)) == 3


@pytest.mark.parametrize(("parameter", "log_scale"), [(1e6, 4), (30, 4), (0.01, 0.01), (-0.01, -0.01), (-1e6, -8)])
def test_log_scales_are_bounded(parameter: float, log_scale: float) -> None:
    log_prob = MixtureValues(1, 1.0).log_prob(torch.tensor([[[0.5, parameter]]]), torch.tensor([[0.5]]))
    assert float(log_prob) == pytest.approx(-log_scale - 0.5 * log(2 * pi), abs=1e-5)
