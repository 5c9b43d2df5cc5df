"""Recurrent networks: causal, cached as by full passes, normalised at every condition, and able to learn."""

import pytest
import torch

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
from zoo.catalog import build_model
from zoo.core.spaces import build_space
from zoo.models.real_values import MixtureValues
from zoo.models.rnn import Rnn
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.conditions import ConditionOn
from zoo.specs.models.rnn import RnnSpec
from zoo.specs.spaces import SpaceKind, SpaceSpec

CONDITION = ConditionOn(beta=(0.1, 2.0))
CASES: tuple[tuple[RnnSpec, tuple[int, ...], SpaceKind], ...] = (
    (RnnSpec(width=12), (5, 4), "spins"),
    (RnnSpec(width=7, depth=2), (9,), "spins"),
    (RnnSpec(width=6, symmetry="z2", condition_on=CONDITION), (2, 3, 2), "spins"),
    (RnnSpec(width=8, depth=2), (3, 3), "categorical"),
    (RnnSpec(width=3), (1,), "spins"),
    (RnnSpec(width=12, dimension=2), (4, 5), "spins"),
    (RnnSpec(width=5, depth=3, dimension=2, condition_on=CONDITION), (4, 3), "spins"),
    (RnnSpec(width=6, dimension=2), (1, 6), "categorical"),
    (RnnSpec(width=6, dimension=2, symmetry="z2"), (6, 1), "spins"),
)
every_case = pytest.mark.parametrize(("spec", "shape", "kind"), CASES, ids=str)


@every_case
def test_a_site_feels_all_earlier_sites_and_no_later_one(
    spec: RnnSpec, shape: tuple[int, ...], kind: SpaceKind
) -> None:
    model = scrambled(spec, shape, kind)
    felt = dependence(model)
    expected = earlier(model.space.num_sites)
    assert torch.equal(felt, expected)


@every_case
def test_cached_samples_are_those_of_full_passes(spec: RnnSpec, shape: tuple[int, ...], kind: SpaceKind) -> None:
    model = scrambled(spec, shape, kind)
    assert differing_rows(model) == 0
    assert largest_log_prob_error(model) < 1e-6


def test_a_memory_that_starts_elsewhere_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    model = scrambled(RnnSpec(width=12), (5, 4))
    sweep = Rnn.sweep

    def wrong(network: Rnn, batch: int, features: None = None) -> object:
        wrong_sweep = sweep(network, batch, features)
        wrong_sweep._cells[0]._hidden.fill_(0.3)  # type: ignore[attr-defined]
        return wrong_sweep

    monkeypatch.setattr(Rnn, "sweep", wrong)
    assert largest_log_prob_error(model) > 1e-3
    assert differing_rows(model) > 3


@pytest.mark.parametrize("dimension", [1, 2])
def test_the_sampling_pass_of_1024_sites_has_the_density_of_the_forward_pass(dimension: int) -> None:
    model = scrambled(RnnSpec.model_validate({"width": 16, "dimension": dimension}), (32, 32), scale=0.05)
    assert largest_log_prob_error(model, 32) < 1e-5


@pytest.mark.parametrize("rows", [32, 256])
@pytest.mark.parametrize("dimension", [1, 2])
def test_a_row_is_the_same_at_every_position_of_a_tile(dimension: int, rows: int) -> None:
    model = scrambled(RnnSpec.model_validate({"width": 13, "depth": 2, "dimension": dimension}), (6, 5))
    assert positions_that_matter(model, rows) == []


@pytest.mark.parametrize("spec", [case[0] for case in CASES if case[0].condition_on.names], ids=str)
def test_every_condition_has_its_own_normalised_distribution(spec: RnnSpec) -> None:
    model = scrambled(spec, (3, 3))
    first = []
    for beta in BETAS:
        assert abs(total_probability(at_beta(model, beta)) - 1) < 1e-6
        features = model.network.features(torch.full((1, 1), beta))
        first.append(model.network(torch.zeros(1, 9, 1), features)[0, 0, 0].item())
    assert len(set(first)) == len(BETAS)  # the first site, which sees no other, feels the condition


@every_case
def test_gradients_reach_every_parameter(spec: RnnSpec, shape: tuple[int, ...], kind: SpaceKind) -> None:
    # a lattice of one row has no row above and no first row; one site sees nothing
    idle = {name for name in idle_parameters(scrambled(spec, shape, kind)) if "frontier" not in name}
    alone = {"network.readout.direct_weight", "network.cells.0.weight"}
    assert idle <= (alone if shape == (1,) else set())


def test_reals_are_mixtures_of_normal_distributions() -> None:
    model = scrambled(RnnSpec(width=8, components=3, scale=2.0), (2, 3), "reals")
    assert isinstance(model.network.values, MixtureValues)
    assert model.network.values.scale == 2.0
    assert largest_log_prob_error(model) < 1e-5


def test_two_dimensions_need_a_lattice_of_two_axes() -> None:
    with pytest.raises(InvalidValueError, match=r"dimension 2 needs a 2D lattice, .* has shape \[5\]; use 1"):
        build_model(RnnSpec(dimension=2), build_space(SpaceSpec(kind="spins", event_shape=(5,))), seed=0)


@pytest.mark.parametrize("dimension", [1, 2])
def test_it_learns_the_ising_model(dimension: int) -> None:
    spec = RnnSpec.model_validate({"width": 16, "dimension": dimension})
    gap = gap_per_site_after_training(spec, learning_rate=0.01)
    assert -1e-9 < gap < 1e-3
