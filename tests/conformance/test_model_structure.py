"""What a family claims of itself: gradients, capabilities, symmetry, order of dependence, and life on disk."""

from collections.abc import Mapping

import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import load, save
from torch import Tensor, nn

from tests.conformance.cases import SCRAMBLED_CASES, SEQUENTIAL_CASES, ModelCase, condition_on, condition_values
from tests.conformance.symmetries import lattice_images
from zoo.catalog import AnyModel, build
from zoo.core.models import (
    Completing,
    ConditionalModel,
    Density,
    IndependentSites,
    Model,
    Sampler,
    SequentialDensity,
)
from zoo.core.random import RandomStream
from zoo.models.autoregressive import Autoregressive
from zoo.models.independent_sites import ProductModel
from zoo.models.made import Made
from zoo.models.paths import differentiable
from zoo.models.symmetrized import Symmetrized, symmetrized
from zoo.models.two_valued import TwoValued
from zoo.specs.models.autoregressive import AutoregressiveSpec
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.distribution import DistributionSpec
from zoo.specs.models.flow import FlowSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.mean_field import MeanFieldSpec
from zoo.specs.symmetries import ModelSymmetry

SYMMETRIES: tuple[ModelSymmetry, ...] = ("z2", "lattice_translation", "lattice_point_group")
ROUNDING = 1e-9
every_case = pytest.mark.parametrize("case", SCRAMBLED_CASES, ids=str)


def claimed_symmetries(spec: ModelSpec) -> tuple[ModelSymmetry, ...]:
    return spec.symmetries if isinstance(spec, DistributionSpec) else ()


def asymmetry(model: Model, symmetry: ModelSymmetry) -> float:
    """Largest |ln q(x) - ln q(g x)| over 300 samples and the generators of the symmetry; infinite without any."""
    x = model.sample(300, RandomStream(3))
    with torch.no_grad():
        here = model.log_prob(x)
        images = lattice_images(symmetry, x, model.space)
        return max((float((model.log_prob(image) - here).abs().max()) for image in images), default=torch.inf)


def sequential(model: Model) -> Autoregressive | ProductModel:
    """The model of the network itself, without its layers."""
    while isinstance(model, Symmetrized | TwoValued):
        model = model.inner
    assert isinstance(model, Autoregressive | ProductModel)
    return model


def dependence(model: Autoregressive | ProductModel) -> Tensor:
    """Entry (i, j): the largest |d parameter of i / d channel of j| over 20 configurations, by autograd."""
    network = model.network
    inputs = network.values.encode(model.sample(20, RandomStream(4))).requires_grad_()
    outputs = network(inputs, network.features(model.conditions))
    rows = []
    for i in range(outputs.shape[1]):
        largest = torch.zeros(outputs.shape[1])
        for parameter in range(outputs.shape[2]):
            (slope,) = torch.autograd.grad(
                outputs[:, i, parameter].sum(), inputs, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            largest = torch.maximum(largest, slope.abs().amax((0, 2)))
        rows.append(largest)
    return torch.stack(rows)


def idle_parameters(built: nn.Module, models: list[Model]) -> list[str]:
    """Names of the weights that no gradient of ln q reaches, at any condition."""
    for model in models:
        torch.autograd.backward(model.log_prob(model.sample(100, RandomStream(1))).sum())
    assert all(bool(p.grad.isfinite().all()) for p in built.parameters() if p.grad is not None)
    return [name for name, p in built.named_parameters() if p.grad is None or not bool(p.grad.any())]


def views(case: ModelCase, built: Model | ConditionalModel) -> list[Model]:
    """A model at each of the values that the suite measures at."""
    if isinstance(built, Model):
        return [built]
    return [built.at(values[None]) for values in condition_values(condition_on(case.spec))]


@every_case
def test_gradients_reach_every_parameter(case: ModelCase) -> None:
    built = case.built()
    assert idle_parameters(built, views(case, built)) == []


def test_an_idle_parameter_would_be_found() -> None:
    case = case_of(MadeSpec(width=4))
    built = case.built((2, 2))
    built.idle = nn.Parameter(torch.ones(1))
    assert idle_parameters(built, views(case, built)) == ["idle"]


@every_case
def test_declared_capabilities_are_the_types(case: ModelCase) -> None:
    built, declared = case.built(case.small_shape), case.spec.capabilities
    assert isinstance(built, ConditionalModel) == bool(condition_on(case.spec).names)
    if isinstance(built, ConditionalModel):
        assert built.conditions == condition_on(case.spec).names
    for model in case.models(case.small_shape):
        averaged = isinstance(case.spec, DistributionSpec) and case.spec.averaged_symmetries(model.space.spec)
        assert isinstance(model, Sampler) == declared.sampling.startswith("direct")
        assert isinstance(model, Density) == (declared.log_likelihood == "exact")
        assert isinstance(model, Completing) == declared.conditional_completion
        assert isinstance(model, IndependentSites) == isinstance(case.spec, MeanFieldSpec)
        assert isinstance(model, SequentialDensity) == (isinstance(case.spec, AutoregressiveSpec) and not averaged)
        assert (differentiable(model) is not None) == isinstance(case.spec, FlowSpec)
        assert model.space.spec.kind == case.kind
        assert model.space.spec.kind in type(case.spec).served_spaces()
    assert declared.encode is False


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@every_case
def test_claimed_symmetry_is_the_measured_one(case: ModelCase, symmetry: ModelSymmetry) -> None:
    claimed = symmetry in claimed_symmetries(case.spec)
    for model in case.models(case.small_shape):
        exact = model.double() if isinstance(case.spec, FlowSpec) else model  # without single precision's rounding
        measured = asymmetry(exact, symmetry)
        assert measured < ROUNDING if claimed else measured > 1000 * ROUNDING


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_a_group_without_one_of_its_elements_is_caught(symmetry: ModelSymmetry) -> None:
    model = case_of(MadeSpec(width=5)).model((3, 3))
    whole = case_of(MadeSpec(width=5, symmetry=("lattice_translation", "lattice_point_group"))).model((3, 3))
    assert isinstance(whole, Symmetrized)
    elements = whole.elements
    fewer = type(elements)(elements.sites[:-1], elements.signs[:-1], elements.kind)
    assert asymmetry(symmetrized(model, fewer), symmetry) > 1000 * ROUNDING


@pytest.mark.parametrize("case", SEQUENTIAL_CASES, ids=str)
def test_a_site_sees_all_earlier_sites_and_no_later_one(case: ModelCase) -> None:
    model = sequential(case.model())
    seen = dependence(model) > 0
    earlier = torch.ones_like(seen).tril(-1)
    assert torch.equal(seen, torch.zeros_like(seen) if isinstance(model, IndependentSites) else earlier)


@pytest.mark.parametrize("case", SEQUENTIAL_CASES, ids=str)
def test_log_probabilities_of_sites_sum_to_that_of_the_configuration(case: ModelCase) -> None:
    model = case.model((3, 3))
    if not isinstance(model, SequentialDensity):
        return
    x = model.sample(50, RandomStream(2))
    parts = model.site_log_prob(x)
    assert parts.shape == (50, 9)
    assert parts.dtype == torch.float64
    torch.testing.assert_close(parts.sum(1), model.log_prob(x), rtol=1e-12, atol=1e-12)


def test_a_mask_shifted_by_one_is_caught() -> None:
    model = sequential(case_of(MadeSpec(width=24)).model())
    assert isinstance(model.network, Made)
    model.network._direct_mask.copy_(torch.ones_like(model.network._direct_mask).tril())
    assert bool(dependence(model).diagonal().any())


def rebuilt(case: ModelCase, weights: Mapping[str, Tensor]) -> Model | ConditionalModel:
    """The model of the case's JSON with these weights."""
    spec: ModelSpec = TypeAdapter(AnyModel).validate_json(case.spec.model_dump_json())
    again = build(spec, case.space(), seed=99)
    again.load_state_dict(weights)
    return again


@every_case
def test_a_model_rebuilt_from_its_spec_and_its_safetensors_is_the_same_to_the_last_bit(case: ModelCase) -> None:
    again = views(case, rebuilt(case, load(save(case.built().state_dict()))))
    for model, other in zip(case.models(), again, strict=True):
        x, log_prob = model.sample_and_log_prob(64, RandomStream(8))
        y, log_prob_again = other.sample_and_log_prob(64, RandomStream(8))
        assert torch.equal(x, y)
        assert torch.equal(log_prob, log_prob_again)
        assert torch.equal(model.log_prob(x), other.log_prob(x))


@every_case
def test_conditions_matter(case: ModelCase) -> None:
    models = case.models()
    x = models[0].sample(20, RandomStream(8))
    densities = [model.log_prob(x) for model in models]
    assert not any(torch.allclose(a, densities[0], atol=1e-3) for a in densities[1:])


@every_case
def test_weights_are_float32_and_drawn_from_the_seed_alone(case: ModelCase) -> None:
    torch_state = torch.get_rng_state()
    first, same, other = (build(case.spec, case.space(), seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    assert {value.dtype for value in first.values()} == {torch.float32}
    assert torch.equal(torch_state, torch.get_rng_state())


def case_of(spec: ModelSpec) -> ModelCase:
    return ModelCase(spec, "scrambled")
