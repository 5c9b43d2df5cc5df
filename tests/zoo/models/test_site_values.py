"""One variable of a sequential model: its density sums to one, and its draws are where their uniforms say."""

import pytest
import torch
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.models.site_values import CategoricalValues, Known, SiteValues, SpinValues

NUM, SITES = 4000, 3
CASES: tuple[tuple[SiteValues, tuple[int, ...], torch.dtype], ...] = (
    (SpinValues(quotient=False), (1, -1), torch.int8),
    (CategoricalValues(4), (0, 1, 2, 3), torch.uint8),
    (CategoricalValues(2), (0, 1), torch.uint8),
)
every_case = pytest.mark.parametrize(("values", "order", "dtype"), CASES, ids=["spins", "four values", "two values"])


def parameters_of(values: SiteValues) -> Tensor:
    """The same parameters for every row, shape (site, parameter)."""
    return torch.randn(SITES, values.num_parameters, generator=torch.Generator().manual_seed(3))


def drawn(
    values: SiteValues, parameters: Tensor, rng: RandomStream, known: Known | None = None
) -> tuple[Tensor, Tensor]:
    """Draws, and the channels that were written, shape (batch, site, channel)."""
    draws, channels = values.draws(NUM, SITES, rng, parameters, known), []
    for site in range(SITES):
        channels.append(torch.empty(values.num_channels, NUM))
        draws.draw(site, parameters[site][:, None].expand(-1, NUM).contiguous(), channels[-1])
    return draws.configurations(), torch.stack(channels).permute(2, 0, 1)


@every_case
def test_probabilities_of_all_values_sum_to_one(values: SiteValues, order: tuple[int, ...], dtype: torch.dtype) -> None:
    parameters = parameters_of(values)[None]
    parts = [values.log_prob(parameters, torch.full((1, SITES), value, dtype=dtype)).exp() for value in order]
    total = torch.stack(parts).sum(0)
    assert total.dtype == torch.float64
    torch.testing.assert_close(total, torch.ones(1, SITES).double(), atol=1e-7, rtol=0)


@every_case
def test_a_value_is_the_first_whose_cumulative_probability_exceeds_the_uniform(
    values: SiteValues, order: tuple[int, ...], dtype: torch.dtype
) -> None:
    parameters, rng = parameters_of(values), RandomStream(6)
    x, _ = drawn(values, parameters, rng)
    assert x.dtype == dtype
    log_prob = [values.log_prob(parameters[None], torch.full((1, SITES), value, dtype=dtype))[0] for value in order]
    cumulative = torch.stack(log_prob).exp().cumsum(0)
    uniforms = rng.uniforms(NUM, SITES).double()
    index = (uniforms[:, None] >= cumulative).sum(1).clamp_max(len(order) - 1)
    distance = (uniforms[:, None] - cumulative).abs().amin(1)
    expected = torch.tensor(order, dtype=dtype)[index]
    assert bool(((x == expected) | (distance < 1e-6)).all())
    assert not bool(((x.roll(1, 0) == expected) | (distance < 1e-6)).all())


@every_case
def test_channels_are_the_encoding_of_what_was_drawn(
    values: SiteValues, order: tuple[int, ...], dtype: torch.dtype
) -> None:
    x, channels = drawn(values, parameters_of(values), RandomStream(6))
    assert torch.equal(channels, values.encode(x))
    assert channels.shape == (NUM, SITES, values.num_channels)
    assert not torch.equal(channels, channels[:1].expand_as(channels))


@every_case
def test_known_values_are_kept_and_the_others_are_drawn_as_ever(
    values: SiteValues, order: tuple[int, ...], dtype: torch.dtype
) -> None:
    given = torch.tensor([order[-1], order[0], 77], dtype=dtype).expand(NUM, -1)  # what is not known is not looked at
    mask = torch.tensor([True, True, False]).expand(NUM, -1)
    x, channels = drawn(values, parameters_of(values), RandomStream(6), Known(given, mask))
    free, _ = drawn(values, parameters_of(values), RandomStream(6))
    assert torch.equal(x[:, :2], given[:, :2])
    assert torch.equal(x[:, 2], free[:, 2])
    assert torch.equal(channels, values.encode(x))
    assert not torch.equal(free[:, :2], given[:, :2])


def test_a_quotient_relates_all_spins_to_the_first_one() -> None:
    values, parameters = SpinValues(quotient=True), parameters_of(SpinValues(quotient=True))
    x, channels = drawn(values, parameters, RandomStream(6))
    relative = x * x[:, :1]
    assert torch.equal(channels.squeeze(2), relative.float())
    log_prob, flipped = (values.log_prob(parameters.expand(NUM, -1, -1), s) for s in (x, -x))
    assert torch.equal(log_prob, flipped)
    assert torch.allclose(log_prob[:, 0], torch.full((NUM,), 0.5).double().log(), atol=1e-12)
    up = (relative > 0).double().mean(0)
    expected = torch.sigmoid(parameters[:, 0].double())
    assert bool(((up - expected)[1:].abs() < 4.5 * (expected * (1 - expected) / NUM)[1:].sqrt()).all())


@pytest.mark.parametrize("first", [1, -1])
def test_a_quotient_keeps_known_spins_whatever_the_first_one_is(first: int) -> None:
    values = SpinValues(quotient=True)
    given = torch.tensor([first, 0, -1], dtype=torch.int8).expand(NUM, -1)
    mask = torch.tensor([True, False, True]).expand(NUM, -1)
    x, channels = drawn(values, parameters_of(values), RandomStream(6), Known(given, mask))
    assert torch.equal(x[:, ::2], given[:, ::2])
    assert torch.equal(channels, values.encode(x))
    assert set(x[:, 1].tolist()) == {-1, 1}


def test_logits_far_out_give_finite_log_probabilities_and_certain_draws() -> None:
    spins, x = SpinValues(quotient=False), torch.tensor([[1, -1]], dtype=torch.int8)
    log_prob = spins.log_prob(torch.tensor([[[200.0], [200.0]]]), x)
    torch.testing.assert_close(log_prob, torch.tensor([[0.0, -200.0]], dtype=torch.float64))
    categories = CategoricalValues(3)
    parameters = torch.tensor([[0.0, 300.0, -300.0]]).expand(SITES, -1)
    assert bool((drawn(categories, parameters, RandomStream(1))[0] == 1).all())


class _Zeros(RandomStream):
    """The lowest of all uniforms, every time."""

    def uniforms(self, num_samples: int, per_sample: int, device: torch.device | str = "cpu") -> Tensor:
        return torch.zeros(num_samples, per_sample, device=device)


@pytest.mark.parametrize("first", [-60.0, -10.0])
def test_the_lowest_uniform_draws_no_value_of_vanishing_probability(first: float) -> None:
    """The first value in order is drawn when its probability is e^-10, and not when it is e^-60."""
    parameters = torch.full((SITES, 1), first)
    spins, _ = drawn(SpinValues(quotient=False), parameters, _Zeros(1))
    values, _ = drawn(CategoricalValues(2), torch.cat([parameters, torch.zeros_like(parameters)], 1), _Zeros(1))
    is_first = first > -20
    assert bool(((spins == 1) == is_first).all())
    assert bool(((values == 0) == is_first).all())
