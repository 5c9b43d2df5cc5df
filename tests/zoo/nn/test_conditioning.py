"""How a condition enters a network: scaled over its range, for each row its own, and nothing at first."""

import pytest
import torch

from tests.conformance.cases import scramble, spins
from zoo.catalog import build
from zoo.core.models import ConditionalModel
from zoo.core.random import RandomStream
from zoo.nn.conditioning import FEATURES, ConditionEncoder, Modulation, encoder_of, modulated_columns
from zoo.nn.weights import generator_of
from zoo.specs.models.autoregressive import AutoregressiveSpec
from zoo.specs.models.conditions import NO_CONDITION, ConditionOn
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.mean_field import MeanFieldSpec
from zoo.specs.models.pixelcnn import PixelCnnSpec
from zoo.specs.models.rnn import RnnSpec
from zoo.specs.models.transformer import TransformerSpec

RANGES = ConditionOn(beta=(0.2, 1.0), J=(-1.0, 2.0))
BETAS = ConditionOn(beta=(0.2, 1.0))
FAMILIES: tuple[AutoregressiveSpec, ...] = (
    MadeSpec(width=6, depth=2, condition_on=BETAS),
    PixelCnnSpec(width=4, condition_on=BETAS),
    RnnSpec(width=4, condition_on=BETAS),
    TransformerSpec(width=8, condition_on=BETAS),
    MeanFieldSpec(solution="trained", condition_on=BETAS),
)


def test_parameters_are_scaled_to_their_range() -> None:
    narrow = ConditionEncoder(RANGES, generator_of(1))
    wide = ConditionEncoder(ConditionOn(beta=(2.0, 10.0), J=(-10.0, 20.0)), generator_of(1))
    values = torch.tensor([[0.2, -1.0], [1.0, 2.0], [0.6, 0.5]], dtype=torch.float64)
    features = narrow(values)
    assert features.shape == (3, FEATURES)
    assert features.dtype == torch.float32
    torch.testing.assert_close(wide(10 * values), features)
    assert not torch.allclose(narrow(values.flip(0)), features)


def test_classes_are_one_hot() -> None:
    encoder = ConditionEncoder(ConditionOn(label=4), generator_of(1))
    features = encoder(torch.arange(4)[:, None])
    assert len(features.detach().unique(dim=0)) == 4
    assert torch.equal(encoder(torch.tensor([[2.0], [2.0]])), features[[2, 2]])


def test_features_of_a_row_are_those_of_the_row_alone() -> None:
    encoder = ConditionEncoder(RANGES, generator_of(1))
    values = torch.rand(20, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    alone = torch.cat([encoder(row[None]) for row in values])
    torch.testing.assert_close(encoder(values), alone, atol=1e-6, rtol=1e-6)


def test_there_is_no_encoder_without_conditions() -> None:
    assert encoder_of(NO_CONDITION, generator_of(1)) is None
    assert encoder_of(BETAS, generator_of(1)) is not None


def test_a_modulation_changes_nothing_at_first_and_is_linear_in_the_features() -> None:
    modulation, features = Modulation(5), torch.randn(3, FEATURES, generator=generator_of(2))
    scale, shift = modulation(features)
    assert torch.equal(scale, torch.ones(3, 5))
    assert torch.equal(shift, torch.zeros(3, 5))
    scramble(modulation)
    scale, shift = modulation(features)
    doubled = modulation(2 * features)
    torch.testing.assert_close(doubled[0] - 1, 2 * (scale - 1))
    torch.testing.assert_close(doubled[1], 2 * shift)


def test_rows_of_modulated_columns_are_scaled_and_shifted() -> None:
    modulation, features = Modulation(6), torch.randn(4, FEATURES, generator=generator_of(2))
    scramble(modulation)
    hidden = torch.randn(6, 4, generator=generator_of(3))
    with torch.no_grad():
        scale, shift = modulation(features)
        rows = modulated_columns(modulation, features).rows(2, 5, hidden[2:5])
    torch.testing.assert_close(rows, (hidden.t() * scale + shift).t()[2:5])
    assert not torch.allclose(rows, hidden[2:5])


@pytest.mark.parametrize("spec", FAMILIES, ids=lambda spec: spec.family)
class TestFamily:
    def test_an_untrained_model_is_the_same_at_every_condition(self, spec: AutoregressiveSpec) -> None:
        model = build(spec, spins((3, 3)), seed=1)
        assert isinstance(model, ConditionalModel)
        x = spins((3, 3)).enumerate()
        low, high = (model.at(torch.tensor([[beta]])).log_prob(x) for beta in (0.2, 1.0))
        torch.testing.assert_close(low, high, atol=1e-6, rtol=1e-6)
        scramble(model)
        low, high = (model.at(torch.tensor([[beta]])).log_prob(x) for beta in (0.2, 1.0))
        assert float((low - high).detach().abs().max()) > 0.1

    def test_rows_with_different_conditions_are_sampled_each_with_its_own(self, spec: AutoregressiveSpec) -> None:
        model = build(spec, spins((3, 3)), seed=1)
        assert isinstance(model, ConditionalModel)
        scramble(model, scale=0.5)
        beta = torch.tensor([[0.2], [1.0]]).repeat(4000, 1)
        x = model.at(beta).sample(8000, RandomStream(1)).flatten(1).double()
        for row, value in enumerate((0.2, 1.0)):
            alone = model.at(torch.tensor([[value]])).sample(4000, RandomStream(2)).flatten(1).double()
            error = ((x[row::2].var(0) + alone.var(0)) / 4000).sqrt()
            assert bool(((x[row::2].mean(0) - alone.mean(0)).abs() < 4.5 * error + 1e-9).all())
        assert float((x[::2].mean(0) - x[1::2].mean(0)).abs().max()) > 0.1
