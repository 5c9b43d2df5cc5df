"""Completions: what is known is kept, and the weights make proposals samples of q(missing | known)."""

import pytest
import torch
from torch import Tensor

from tests.conformance.cases import SCRAMBLED_CASES, ModelCase
from zoo.core.models import Completing, Model
from zoo.core.random import RandomStream
from zoo.models.independent_sites import ProductModel
from zoo.models.symmetrized import Symmetrized
from zoo.specs.spaces import DISCRETE

SHAPE = (2, 3)
NUM = 20_000
CASES = tuple(
    case for case in SCRAMBLED_CASES if case.kind in DISCRETE and case.spec.capabilities.conditional_completion
)
MASKS = {
    "prefix": [[1, 1, 1], [1, 0, 0]],
    "suffix": [[0, 0, 1], [1, 1, 1]],
    "scattered": [[1, 0, 1], [0, 0, 1]],
    "nothing": [[0, 0, 0], [0, 0, 0]],
    "everything": [[1, 1, 1], [1, 1, 1]],
}
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def completing(case: ModelCase) -> tuple[Model, Completing]:
    model = case.model(SHAPE)
    assert isinstance(model, Completing)
    return model, model


def partly_known(case: ModelCase, mask: list[list[int]]) -> tuple[Tensor, Tensor]:
    """One configuration NUM times, with another value where it is not known, and the mask."""
    x = case.discrete_space(SHAPE).enumerate()[11:12].repeat(NUM, 1, 1)
    return x, torch.tensor(mask, dtype=torch.bool).expand_as(x)


def marginal(case: ModelCase, model: Model, known: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """All configurations that agree with what is known, and their q."""
    x = case.discrete_space(SHAPE).enumerate()
    x = x[((x == known) | ~mask).flatten(1).all(1)]
    with torch.no_grad():
        return x, model.log_prob(x).exp()


@pytest.mark.parametrize("name", MASKS)
@every_case
def test_known_values_are_kept_and_weights_average_to_their_probability(case: ModelCase, name: str) -> None:
    model, proposing = completing(case)
    known, mask = partly_known(case, MASKS[name])
    x, log_weight = proposing.propose(known, mask, RandomStream(4))
    model.space.validate(x)
    assert x.dtype == known.dtype
    assert torch.equal(x[mask], known[mask])
    assert log_weight.dtype == torch.float64
    completions, q = marginal(case, model, known[0], mask[0])
    weight = log_weight.exp()
    error = float(weight.std()) / NUM**0.5
    assert abs(float(weight.mean()) - float(q.sum())) < 4.5 * error + 1e-6
    share = (q / q.sum()).float()
    for completion, expected in [(completions[i], share[i]) for i in share.argsort(descending=True)[:8].tolist()]:
        indicator = (x == completion).flatten(1).all(1).double()
        found = (weight * (indicator - expected.double())).sum() / weight.sum()
        spread = ((weight * (indicator - expected.double())).square().sum()).sqrt() / weight.sum()
        assert abs(float(found)) < 5 * float(spread) + 1e-6


@pytest.mark.parametrize("name", MASKS)
@every_case
def test_a_proposal_is_exact_where_it_says_so(case: ModelCase, name: str) -> None:
    model, proposing = completing(case)
    known, mask = partly_known(case, MASKS[name])
    exact = proposing.is_exact(mask[:5])
    assert exact.shape == (5,)
    _, log_weight = proposing.propose(known, mask, RandomStream(4))
    constant = float(log_weight.max() - log_weight.min()) < 1e-4
    assert constant or not bool(exact.any())
    if isinstance(model, ProductModel):
        assert bool(exact.all())
    elif isinstance(model, Symmetrized):
        assert bool(exact.all()) == (name == "nothing")
    else:
        assert bool(exact.all()) == (name in {"prefix", "nothing", "everything"})


def test_weights_that_forget_a_known_site_are_caught() -> None:
    case = CASES[0]
    model, proposing = completing(case)
    known, mask = partly_known(case, MASKS["scattered"])
    fewer = mask.clone()
    fewer[:, -1, -1] = False
    _, log_weight = proposing.propose(known, fewer, RandomStream(4))
    _, q = marginal(case, model, known[0], mask[0])
    weight = log_weight.exp()
    assert abs(float(weight.mean()) - float(q.sum())) > 4.5 * float(weight.std()) / NUM**0.5


@every_case
def test_what_is_not_known_is_not_looked_at(case: ModelCase) -> None:
    _, proposing = completing(case)
    known, mask = partly_known(case, MASKS["scattered"])
    other = torch.where(mask, known, case.discrete_space(SHAPE).enumerate()[-1])
    assert not torch.equal(other, known)
    for a, b in zip(*(proposing.propose(k, mask, RandomStream(4)) for k in (known, other)), strict=True):
        assert torch.equal(a, b)


@every_case
def test_rows_complete_with_their_own_masks_and_numbers(case: ModelCase) -> None:
    _, proposing = completing(case)
    known = case.discrete_space(SHAPE).enumerate()[:32]
    mask = torch.rand(known.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    x, log_weight = proposing.propose(known, mask, RandomStream(7))
    again, same = proposing.propose(known, mask, RandomStream(7))
    assert torch.equal(x, again)
    assert torch.equal(log_weight, same)
    assert torch.equal(x[mask], known[mask])
    late, _ = proposing.propose(known[16:], mask[16:], RandomStream(7, first=16))
    assert int((late != x[16:]).flatten(1).any(1).sum()) <= 1
