"""What a family claims of itself: gradients, capabilities, symmetry, order of dependence, and life on disk."""

import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import load, save
from torch import Tensor

from tests.conformance.cases import SCRAMBLED_CASES, ModelCase
from zoo.catalog import AnyModel, build_model
from zoo.core.models import Density, Model, Sampler
from zoo.core.random import RandomStream
from zoo.models.autoregressive import AutoregressiveSpins
from zoo.models.made import Made
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.made import MadeSpec


def flip_asymmetry(model: Model) -> float:
    """Largest |ln q(s) - ln q(-s)| over 500 samples."""
    x = model.sample(500, RandomStream(3))
    with torch.no_grad():
        return float((model.log_prob(x) - model.log_prob(-x)).abs().max())


def dependence(model: AutoregressiveSpins) -> Tensor:
    """Entry (i, j): the largest |d x_i / d s_j| over 20 configurations, by autograd."""
    x = model.sample(20, RandomStream(4)).flatten(1).float().requires_grad_()
    outputs = model.network(x)
    rows = [torch.autograd.grad(outputs[:, i].sum(), x, retain_graph=True)[0] for i in range(outputs.shape[1])]
    return torch.stack(rows).abs().amax(1)


@pytest.mark.parametrize("case", SCRAMBLED_CASES, ids=str)
def test_gradients_reach_every_parameter(case: ModelCase) -> None:
    model = case.model()
    torch.autograd.backward(model.log_prob(model.sample(100, RandomStream(1))).sum())
    idle = [n for n, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert idle == []
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("case", SCRAMBLED_CASES, ids=str)
def test_declared_capabilities_are_the_types(case: ModelCase) -> None:
    model, declared = case.model(), case.spec.capabilities
    assert isinstance(model, Sampler) == declared.sampling.startswith("direct")
    assert isinstance(model, Density) == (declared.log_likelihood == "exact")
    assert model.space.spec.kind in declared.data_space
    assert declared.encode is False
    assert declared.conditional_completion is False


@pytest.mark.parametrize("case", SCRAMBLED_CASES, ids=str)
def test_claimed_symmetry_is_the_measured_one(case: ModelCase) -> None:
    claimed = case.spec.model_dump()["symmetry"] == "z2"
    assert (flip_asymmetry(case.model()) == 0) == claimed


@pytest.mark.parametrize("case", SCRAMBLED_CASES, ids=str)
def test_a_site_sees_all_earlier_sites_and_no_later_one(case: ModelCase) -> None:
    model = case.model()
    assert isinstance(model, AutoregressiveSpins)
    seen = dependence(model) > 0
    earlier = torch.ones_like(seen).tril(-1)
    assert torch.equal(seen, earlier)


def test_a_mask_shifted_by_one_is_caught() -> None:
    model = ModelCase(MadeSpec(width=24), "scrambled").model()
    assert isinstance(model, Made)
    model._direct_mask.copy_(torch.ones_like(model._direct_mask).tril())
    assert bool(dependence(model).diagonal().any())


@pytest.mark.parametrize("case", SCRAMBLED_CASES, ids=str)
def test_a_model_rebuilt_from_its_spec_and_its_safetensors_is_the_same_to_the_last_bit(case: ModelCase) -> None:
    model = case.model()
    weights, words = save(model.state_dict()), case.spec.model_dump_json()
    spec: ModelSpec = TypeAdapter(AnyModel).validate_json(words)
    again = build_model(spec, model.space, seed=99)
    again.load_state_dict(load(weights))
    x, log_prob = model.sample_and_log_prob(64, RandomStream(8))
    y, log_prob_again = again.sample_and_log_prob(64, RandomStream(8))
    assert torch.equal(x, y)
    assert torch.equal(log_prob, log_prob_again)
    assert torch.equal(model.log_prob(x), again.log_prob(x))


@pytest.mark.parametrize("case", SCRAMBLED_CASES, ids=str)
def test_weights_are_float32_and_drawn_from_the_seed_alone(case: ModelCase) -> None:
    torch_state = torch.get_rng_state()
    space = case.model().space
    first, same, other = (build_model(case.spec, space, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    assert {value.dtype for value in first.values()} == {torch.float32}
    assert torch.equal(torch_state, torch.get_rng_state())
