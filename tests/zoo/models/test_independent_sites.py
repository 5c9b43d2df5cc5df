"""Single-precision thresholds draw what probabilities in double precision would."""

import torch

from zoo.models.independent_sites import _least_single_above


def test_a_single_number_is_below_the_threshold_exactly_when_it_is_below_the_probability() -> None:
    generator = torch.Generator().manual_seed(1)
    p = torch.rand(20_000, dtype=torch.float64, generator=generator)
    p[:4] = torch.tensor([0.0, 1.0, 0.5, 2.0**-30], dtype=torch.float64)
    threshold = _least_single_above(p)
    near = p.float()
    for u in (near, torch.nextafter(near, torch.tensor(2.0)), torch.nextafter(near, torch.tensor(-1.0))):
        assert torch.equal(u < threshold, u.double() < p)
    assert (near.double() < p).any()
    assert (near.double() > p).any()
