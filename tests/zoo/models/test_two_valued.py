"""A family on spins serves bits: the same numbers under s = 2 b - 1, and nothing else changed."""

import pytest
import torch

from tests.conformance.cases import MODEL_SPECS
from zoo.catalog import build_model
from zoo.core.random import RandomStream
from zoo.core.spaces import Bits, Spins, build_space
from zoo.models.autoregressive import Autoregressive
from zoo.models.made import Made
from zoo.models.two_valued import TwoValued
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.spaces import SpaceSpec

BITS = Bits(SpaceSpec(kind="bits", event_shape=(3, 4)))
SPINS = Spins(SpaceSpec(kind="spins", event_shape=(3, 4)))
FAMILIES = [specs[0] for specs in MODEL_SPECS.values() if "spins" in specs[0].capabilities.data_space]


@pytest.mark.parametrize("spec", FAMILIES, ids=lambda spec: spec.family)
class TestBits:
    def test_probabilities_of_all_bit_strings_sum_to_one(self, spec: ModelSpec) -> None:
        model = build_model(spec, BITS, seed=3)
        assert float(torch.logsumexp(model.log_prob(BITS.enumerate()).detach(), 0)) == pytest.approx(0, abs=1e-6)

    def test_samples_are_those_of_the_spins(self, spec: ModelSpec) -> None:
        on_bits, on_spins = build_model(spec, BITS, seed=3), build_model(spec, SPINS, seed=3)
        b, log_prob = on_bits.sample_and_log_prob(200, RandomStream(5))
        s, same = on_spins.sample_and_log_prob(200, RandomStream(5))
        BITS.validate(b)
        assert b.dtype == torch.uint8
        assert torch.equal(2 * b.to(torch.int8) - 1, s)
        assert torch.equal(log_prob, same)
        assert torch.equal(on_bits.sample(200, RandomStream(5)), b)
        assert torch.allclose(on_bits.log_prob(b), log_prob, rtol=1e-5)


def test_spins_are_served_by_a_family_on_bits() -> None:
    two = build_space(SpaceSpec(kind="categorical", event_shape=(3, 4), num_values=2))
    model = TwoValued(Autoregressive(Made(MadeSpec(width=8), two, seed=1)), SPINS)
    s, log_prob = model.sample_and_log_prob(100, RandomStream(2))
    SPINS.validate(s)
    assert torch.allclose(model.log_prob(s), log_prob, rtol=1e-5)
    assert float(torch.logsumexp(model.log_prob(SPINS.enumerate()).detach(), 0)) == pytest.approx(0, abs=1e-6)


def test_both_are_told_as_served() -> None:
    assert MadeSpec.served_spaces() == ("spins", "categorical", "bits")
    assert "lives on reals" in (MadeSpec().unsupported_reason(SpaceSpec(kind="reals", event_shape=(3,))) or "")
