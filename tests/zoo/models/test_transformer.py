"""Transformers: causal, cached as by full passes, normalised at every condition, and able to learn."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tests.zoo.models.sequential_networks import (
    BETAS,
    at_beta,
    dependence,
    differing_rows,
    earlier,
    gap_per_site_after_training,
    idle_parameters,
    largest_log_prob_error,
    positions_that_matter,
    scrambled,
    total_probability,
)
from zoo.models.transformer import Transformer, _Rotation
from zoo.specs.models.conditions import ConditionOn
from zoo.specs.models.transformer import TransformerSpec
from zoo.specs.spaces import SpaceKind

CONDITION = ConditionOn(beta=(0.1, 2.0))
CASES: tuple[tuple[TransformerSpec, tuple[int, ...], SpaceKind], ...] = (
    (TransformerSpec(width=12, heads=3), (5, 4), "spins"),
    (TransformerSpec(width=16, depth=1, positions="rotary"), (4, 5), "spins"),
    (TransformerSpec(width=8, positions="rotary", condition_on=CONDITION), (9,), "spins"),
    (TransformerSpec(width=6, symmetry="z2", condition_on=CONDITION), (2, 3, 2), "spins"),
    (TransformerSpec(width=8, heads=1), (3, 3), "categorical"),
    (TransformerSpec(width=4), (1, 6), "spins"),
    (TransformerSpec(width=4, depth=3), (6, 1), "spins"),
    (TransformerSpec(width=4, heads=1), (1,), "spins"),
)
every_case = pytest.mark.parametrize(("spec", "shape", "kind"), CASES, ids=str)


@every_case
def test_a_site_feels_all_earlier_sites_and_no_later_one(
    spec: TransformerSpec, shape: tuple[int, ...], kind: SpaceKind
) -> None:
    model = scrambled(spec, shape, kind)
    felt = dependence(model)
    expected = earlier(model.space.num_sites)
    assert torch.equal(felt, expected)


@every_case
def test_cached_samples_are_those_of_full_passes(
    spec: TransformerSpec, shape: tuple[int, ...], kind: SpaceKind
) -> None:
    model = scrambled(spec, shape, kind)
    assert differing_rows(model) == 0
    assert largest_log_prob_error(model) < 1e-6


def test_keys_that_are_turned_as_those_of_the_site_before_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    model = scrambled(TransformerSpec(width=16, positions="rotary"), (4, 5))
    turned_at = _Rotation.turned_at
    monkeypatch.setattr(_Rotation, "turned_at", lambda self, site, x: turned_at(self, max(site - 1, 0), x))
    assert largest_log_prob_error(model) > 1e-5


def test_attention_without_a_mask_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    model = scrambled(TransformerSpec(width=8), (3, 3))
    attention = torch.nn.functional.scaled_dot_product_attention

    def unmasked(query: Tensor, key: Tensor, value: Tensor, **_: bool) -> Tensor:
        return attention(query, key, value)

    monkeypatch.setattr("zoo.models.transformer.scaled_dot_product_attention", unmasked)
    assert bool(dependence(model).triu().any())
    assert abs(total_probability(model) - 1) > 1e-4


def test_the_sampling_pass_of_1024_sites_has_the_density_of_the_forward_pass() -> None:
    model = scrambled(TransformerSpec(width=16), (32, 32), scale=0.05)
    assert largest_log_prob_error(model, 32) < 1e-5


@pytest.mark.parametrize("rows", [32, 256])
@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_a_row_is_the_same_at_every_position_of_a_tile(positions: str, rows: int) -> None:
    model = scrambled(TransformerSpec.model_validate({"width": 24, "positions": positions}), (6, 5))
    assert positions_that_matter(model, rows) == []


@pytest.mark.parametrize("spec", [case[0] for case in CASES if case[0].condition_on.names], ids=str)
def test_every_condition_has_its_own_normalised_distribution(spec: TransformerSpec) -> None:
    model = scrambled(spec, (3, 3))
    first = []
    for beta in BETAS:
        assert abs(total_probability(at_beta(model, beta)) - 1) < 1e-6
        features = model.network.features(torch.full((1, 1), beta))
        first.append(model.network(torch.zeros(1, 9, 1), features)[0, 0, 0].item())
    assert len(set(first)) == len(BETAS)  # the first site, which sees no other, feels the condition


@every_case
def test_gradients_reach_every_parameter(spec: TransformerSpec, shape: tuple[int, ...], kind: SpaceKind) -> None:
    # a lattice of one row has no row above and no first row; one site sees nothing
    idle = {name for name in idle_parameters(scrambled(spec, shape, kind)) if "frontier" not in name}
    assert idle <= ({"network.readout.direct_weight"} if shape == (1,) else set())


def test_rotary_scores_depend_on_distances_alone() -> None:
    rotation = _Rotation((4, 5), 8)
    generator = torch.Generator().manual_seed(1)
    query, key = (torch.randn(8, generator=generator) for _ in range(2))
    scores = rotation.turned(query.expand(20, 8)) @ rotation.turned(key.expand(20, 8)).t()
    by_place = scores.view(4, 5, 4, 5)
    torch.testing.assert_close(by_place[1:, 1:, 1:, 1:], by_place[:-1, :-1, :-1, :-1])
    assert float((by_place[0, 0, 0] - by_place[0, 0, 1]).abs().min()) > 1e-3  # rows are told apart
    assert float((by_place[0, 0, :, 0] - by_place[0, 0, :, 1]).abs().min()) > 1e-3  # columns are
    torch.testing.assert_close(rotation.turned(query.expand(20, 8))[7], rotation.turned_at(7, query))


def test_learned_positions_are_rows_and_columns_in_two_dimensions_and_sites_elsewhere() -> None:
    shapes = {}
    for shape in ((3, 4), (6,), (2, 2, 2)):
        network = scrambled(TransformerSpec(width=4), shape).network
        assert isinstance(network, Transformer)
        assert network.positions().shape == (network.space.num_sites, 4)
        shapes[shape] = [len(weight) for weight in network.position_weights.parameters()]
    assert shapes == {(3, 4): [3, 4], (6,): [6], (2, 2, 2): [8]}


def test_heads_share_the_width_evenly() -> None:
    with pytest.raises(ValidationError, match="width is 10 and heads is 4; a width that is a multiple of heads"):
        TransformerSpec(width=10, heads=4)
    with pytest.raises(ValidationError, match=r"width / heads is 6; rotary positions .* need a multiple of 4"):
        TransformerSpec(width=12, heads=2, positions="rotary")


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_it_learns_the_ising_model(positions: str) -> None:
    spec = TransformerSpec.model_validate({"width": 16, "depth": 1, "positions": positions})
    gap = gap_per_site_after_training(spec, learning_rate=0.01)
    assert -1e-9 < gap < 1e-3
