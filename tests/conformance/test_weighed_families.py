"""Families without a likelihood: weights that are exact, streams of their own, weights of networks that come back."""

from dataclasses import dataclass

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from tests.conformance.cases import scramble
from zoo.catalog import FAMILIES, PATHS, AnyModel, build, build_target, build_trainable, tag_of
from zoo.core.models import Model, TargetedModel, Weighable
from zoo.core.random import RandomStream, joined
from zoo.core.targets import ThermodynamicState
from zoo.core.tiles import SHARED_ROWS, tile_plan
from zoo.models.paths import differentiable
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.augmented_flow import AugmentedFlowSpec
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.stochastic_flow import StochasticFlowSpec
from zoo.specs.targets.phi4 import Phi4Spec

SMALL = StochasticFlowSpec(blocks=2, couplings=2, width=6, depth=1, steps=2, leapfrogs=2, step_size=0.2)
SPECS: dict[type[ModelSpec], tuple[ModelSpec, ...]] = {
    StochasticFlowSpec: (
        SMALL,
        SMALL.model_copy(update={"step": "langevin", "base": "free_field"}),
        SMALL.model_copy(update={"step": "hmc", "conditioner": "convolution"}),
        SMALL.model_copy(update={"couplings": 0}),
    ),
    AugmentedFlowSpec: (
        AugmentedFlowSpec(couplings=2, width=6, depth=1),
        AugmentedFlowSpec(couplings=3, width=6, depth=1, extra=2),
    ),
}
CASES = [spec for specs in SPECS.values() for spec in specs]
STATE = ThermodynamicState(build_target(Phi4Spec(shape=(4, 4), mass_squared=1.0, coupling=0.5)), 1.0)
every_case = pytest.mark.parametrize("spec", CASES, ids=str)


@dataclass(frozen=True)
class Built:
    """What the catalogue builds, and the same on its way to the target."""

    trainable: nn.Module
    view: Weighable


def built(spec: ModelSpec, seed: int = 1) -> Built:
    trainable = build_trainable(spec, STATE.target.space, seed)
    scramble(trainable, 0.1)
    view = trainable.toward(STATE) if isinstance(trainable, TargetedModel) else trainable
    assert isinstance(view, Weighable)
    return Built(trainable, view)


def test_every_family_has_a_small_form_and_is_one_that_can_be_asked_for() -> None:
    assert set(SPECS) == set(PATHS) <= set(FAMILIES)


@pytest.mark.parametrize("spec_class", PATHS, ids=tag_of)
def test_it_is_no_distribution_and_says_so(spec_class: type[ModelSpec]) -> None:
    spec = TypeAdapter(AnyModel).validate_python({"family": tag_of(spec_class)})
    assert spec.capabilities.weighs_paths
    assert spec.capabilities.log_likelihood == "none"
    with pytest.raises(InvalidValueError, match="no distribution"):
        build(spec, STATE.target.space, seed=0)


@every_case
def test_there_is_no_likelihood(spec: ModelSpec) -> None:
    view = built(spec).view
    assert not isinstance(view, Model)
    assert not hasattr(view, "log_prob")


@every_case
def test_samples_and_ratios_have_the_shapes_and_types_that_are_said(spec: ModelSpec) -> None:
    view = built(spec).view
    x, log_ratio = view.sample_and_log_ratio(5, RandomStream(3))
    view.space.validate(x)
    assert torch.equal(x, view.sample(5, RandomStream(3)))
    assert (x.dtype, log_ratio.dtype, log_ratio.shape) == (torch.float32, torch.float64, (5,))
    back = view.log_ratio(x, RandomStream(4))
    assert (back.dtype, back.shape) == (torch.float64, (5,))
    assert bool(back.isfinite().all())


@every_case
def test_a_row_has_its_bits_in_any_tile_plan_and_beside_any_rows(spec: ModelSpec) -> None:
    view = built(spec).view
    rng = RandomStream(11)
    plan = [view.sample_and_log_ratio(tile.rows, rng.at(tile.start)) for tile in tile_plan(70, SHARED_ROWS)]
    x, log_ratio = (torch.cat(parts)[:70] for parts in zip(*plan, strict=True))
    alone = view.sample_and_log_ratio(SHARED_ROWS, rng.at(SHARED_ROWS))
    assert torch.equal(alone[0], x[SHARED_ROWS : 2 * SHARED_ROWS])
    assert torch.equal(alone[1], log_ratio[SHARED_ROWS : 2 * SHARED_ROWS])
    crowd = joined([(RandomStream(5), 20), (rng.at(3), 12)])
    beside, ratios = view.sample_and_log_ratio(SHARED_ROWS, crowd)
    assert torch.equal(beside[20:], x[3:15])
    assert torch.equal(ratios[20:], log_ratio[3:15])


@every_case
def test_gradients_reach_every_weight_that_is_learnt(spec: ModelSpec) -> None:
    found = built(spec)
    sampler = differentiable(found.view)
    assert sampler is not None
    x, log_ratio = sampler.differentiable_sample(40, RandomStream(1))
    (log_ratio.sum() + (x.double() * -STATE.reduced_force(x.detach())).sum()).backward()  # type: ignore[no-untyped-call]
    learnt = {name: p for name, p in found.trainable.named_parameters() if p.requires_grad}
    idle = [name for name, p in learnt.items() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert idle == []


@every_case
def test_weights_come_back_to_the_last_bit(spec: ModelSpec) -> None:
    first = built(spec)
    again: ModelSpec = TypeAdapter(AnyModel).validate_json(spec.model_dump_json())
    second = built(again, seed=99)
    second.trainable.load_state_dict(first.trainable.state_dict())
    for a, b in zip(_drawn(first.view), _drawn(second.view), strict=True):
        assert torch.equal(a, b)


def _drawn(view: Weighable) -> tuple[Tensor, Tensor]:
    return view.sample_and_log_ratio(20, RandomStream(7))
