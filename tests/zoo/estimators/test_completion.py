"""Completions from weighted proposals have the conditional distribution, against enumeration on 3 x 3."""

from itertools import product
from math import log, sqrt

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import chisquare

from zoo.catalog import build_model
from zoo.core.models import Completing, Model
from zoo.core.random import RandomStream
from zoo.core.spaces import build_space
from zoo.estimators.completion import doubts_of_completions, marginal, resampled
from zoo.specs.errors import NumericalError
from zoo.specs.models.made import MadeSpec
from zoo.specs.spaces import SpaceSpec

SHAPE = (3, 3)
ALL = torch.tensor(list(product((-1, 1), repeat=9)), dtype=torch.int8).reshape(-1, *SHAPE)
MASKS = {
    "the last sites": [[0, 0, 0], [0, 0, 1], [1, 1, 1]],
    "a cross": [[0, 1, 0], [1, 1, 1], [0, 1, 0]],
    "the corners": [[1, 0, 1], [0, 0, 0], [1, 0, 1]],
    "the first sites": [[1, 1, 1], [1, 0, 0], [0, 0, 0]],
}
Array = NDArray[np.float64]


def sharp_model(symmetry: str) -> Model:
    """A network with weights so large that its sites depend on each other."""
    spec = MadeSpec.model_validate({"width": 16, "symmetry": symmetry})
    model = build_model(spec, build_space(SpaceSpec(kind="spins", event_shape=SHAPE)), seed=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    return model


def conditional(model: Model, known: torch.Tensor, mask: torch.Tensor) -> tuple[Array, float]:
    """q of each of ALL given the known sites, zero elsewhere; and ln q of these."""
    with torch.no_grad():
        log_prob = model.log_prob(ALL)
    agrees = ((known == ALL) | ~mask).flatten(1).all(1)
    joint = np.where(agrees.numpy(), log_prob.exp().numpy(), 0.0)
    return joint / joint.sum(), log(joint.sum())


def proposed(model: Model, known: torch.Tensor, mask: torch.Tensor, n: int) -> tuple[torch.Tensor, Array]:
    assert isinstance(model, Completing)
    x, log_weights = model.propose(known.expand(n, *SHAPE), mask.expand(n, *SHAPE), RandomStream(7))
    return x, log_weights.numpy()


def p_value_of(drawn: torch.Tensor, expected: Array) -> float:
    """Of the chi-square of drawn configurations; expectations below 5 are one cell."""
    index = ((drawn.flatten(1) > 0).long() * (2 ** torch.arange(8, -1, -1))).sum(1).numpy()
    counts, expectation = np.bincount(index, minlength=512), expected * len(drawn)
    small = expectation < 5
    assert counts[expected == 0].sum() == 0
    seen = np.append(counts[~small], counts[small].sum())
    hoped = np.append(expectation[~small], expectation[small].sum())
    keep = hoped > 0
    return float(chisquare(seen[keep], hoped[keep]).pvalue)


@pytest.mark.parametrize("symmetry", ["none", "z2", "lattice_point_group"])
@pytest.mark.parametrize("name", MASKS)
def test_resampled_proposals_have_the_conditional_distribution(symmetry: str, name: str) -> None:
    model, mask = sharp_model(symmetry), torch.tensor(MASKS[name], dtype=torch.bool)
    known = torch.tensor([[1, -1, 1], [1, 1, -1], [-1, 1, -1]], dtype=torch.int8)
    expected, log_marginal = conditional(model, known, mask)
    x, log_weights = proposed(model, known, mask, 100_000)
    chosen = resampled(log_weights, np.random.default_rng(5).random(1500))
    assert p_value_of(x[torch.from_numpy(chosen)], expected) > 1e-3
    found = marginal(log_weights)
    assert found.standard_error is not None
    assert abs(found.log_marginal - log_marginal) < 4 * found.standard_error + 1e-5


def test_proposals_without_their_weights_would_be_seen() -> None:
    model, mask = sharp_model("none"), torch.tensor(MASKS["the last sites"], dtype=torch.bool)
    known = torch.tensor([[1, -1, 1], [1, 1, -1], [-1, 1, -1]], dtype=torch.int8)
    expected, _ = conditional(model, known, mask)
    x, _ = proposed(model, known, mask, 1500)
    assert p_value_of(x, expected) < 1e-6


def test_a_proposal_for_the_first_sites_is_exact() -> None:
    model = sharp_model("none")
    assert isinstance(model, Completing)
    masks = torch.tensor([MASKS["the first sites"], MASKS["a cross"]], dtype=torch.bool)
    assert model.is_exact(masks).tolist() == [True, False]
    known = torch.ones(SHAPE, dtype=torch.int8)
    _, log_weights = proposed(model, known, masks[0], 64)
    assert np.ptp(log_weights) < 1e-5
    assert marginal(log_weights).log_marginal == pytest.approx(conditional(model, known, masks[0])[1], abs=1e-5)


def test_the_marginal_is_the_mean_weight_with_the_error_of_the_mean() -> None:
    weights = np.array([1.0, 2.0, 3.0, 6.0])
    found = marginal(np.log(weights) - 700)
    assert found.log_marginal == pytest.approx(log(3) - 700)
    assert found.standard_error == pytest.approx(weights.std(ddof=1) / 3 / sqrt(4))
    assert found.effective_sample_size == pytest.approx(144 / 50)
    assert marginal([0.0]).standard_error is None


def test_the_error_of_the_marginal_is_what_repetitions_scatter_by() -> None:
    rng = np.random.default_rng(1)
    found = [marginal(rng.normal(size=400)) for _ in range(400)]
    scatter = np.std([f.log_marginal for f in found], ddof=1)
    told = np.mean([f.standard_error or 0 for f in found])
    assert abs(scatter / told - 1) < 4 / sqrt(2 * 400)


def test_proposals_are_taken_by_their_weights_and_never_those_without() -> None:
    log_weights = [-np.inf, 0.0, log(3), -np.inf]
    assert resampled(log_weights, np.array([0.0, 0.2499, 0.2501, 0.9999999])).tolist() == [1, 1, 2, 2]
    assert resampled([0.0, -np.inf], np.array([np.nextafter(1, 0)])).tolist() == [0]


def test_known_parts_that_cannot_be_are_refused() -> None:
    with pytest.raises(NumericalError, match="all 3 proposals have zero weight"):
        marginal([-np.inf] * 3)
    with pytest.raises(NumericalError, match="NaN"):
        marginal([0.0, np.nan])


@pytest.mark.parametrize(
    ("effective", "proposals", "doubtful"),
    [(100.0, 1000, False), (99.9, 1000, True), (50.0, 60, False), (49.9, 60, True), (5000.0, 60_000, True)],
)
def test_few_effective_proposals_are_doubted(effective: float, proposals: int, doubtful: bool) -> None:  # noqa: FBT001
    assert bool(doubts_of_completions([proposals, effective], proposals)) == doubtful


def test_the_doubt_names_the_worst_configuration() -> None:
    (doubt,) = doubts_of_completions([900.0, 12.0, 30.0], 1000)
    assert "2 of 3 configurations" in doubt
    assert "12.0 of 1000 for configuration 1" in doubt
