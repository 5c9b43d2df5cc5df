"""Random streams: uniform, independent of their neighbours, and the same wherever they are drawn."""

import numpy as np
import pytest
import torch
from scipy import stats

from zoo.core.random import RandomStream, joined

SEEDS = [0, 1, 7, 2**53 - 1]


@pytest.mark.parametrize("seed", SEEDS)
def test_numbers_are_uniform_in_the_half_open_unit_interval(seed: int) -> None:
    u = RandomStream(seed).uniforms(20_000, 17)
    assert u.dtype == torch.float32
    assert float(u.min()) >= 0
    assert float(u.max()) < 1
    assert stats.kstest(u.flatten().numpy().astype(np.float64), "uniform").pvalue > 1e-4
    counts = np.bincount((u.flatten().numpy() * 256).astype(int), minlength=256)
    assert stats.chisquare(counts).pvalue > 1e-4


def test_numbers_that_are_not_uniform_are_caught() -> None:
    u = RandomStream(1).uniforms(20_000, 17).flatten().numpy().astype(np.float64)
    assert stats.kstest(u**1.02, "uniform").pvalue < 1e-4


@pytest.mark.parametrize("per_sample", [1, 8, 9, 64])
def test_a_sample_does_not_depend_on_how_many_are_drawn_with_it(per_sample: int) -> None:
    stream = RandomStream(5, domain=3)
    whole = stream.uniforms(100, per_sample)
    for first, number in ((0, 1), (7, 5), (99, 1), (40, 60)):
        assert torch.equal(stream.at(first).uniforms(number, per_sample), whole[first : first + number])


@pytest.mark.parametrize("per_sample", [1, 5, 64])
def test_neighbouring_samples_positions_seeds_and_domains_are_independent(per_sample: int) -> None:
    n = 100_000 // per_sample
    u = RandomStream(1).uniforms(n, per_sample).numpy()
    others = {
        "sample": (u[:-1], u[1:]),
        "seed": (u, RandomStream(2).uniforms(n, per_sample).numpy()),
        "domain": (u, RandomStream(1).child(1).uniforms(n, per_sample).numpy()),
        "swapped": (
            RandomStream(1, 2).uniforms(n, per_sample).numpy(),
            RandomStream(2, 1).uniforms(n, per_sample).numpy(),
        ),
    }
    if per_sample > 1:
        others["position"] = (u[:, :-1], u[:, 1:])
    for name, (a, b) in others.items():
        r = float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
        assert abs(r) * a.size**0.5 < 4.5, name
        assert (a == b).mean() < 1e-3, name


def test_samples_that_share_numbers_are_caught() -> None:
    u = RandomStream(1).uniforms(1001, 100).numpy()
    shared = 0.95 * u[1:] + 0.05 * u[:-1]
    assert abs(np.corrcoef(u[:-1].ravel(), shared.ravel())[0, 1]) * 100_000**0.5 > 4.5


def test_the_numbers_are_philox_and_stay_what_they_are() -> None:
    key = np.array([3, 4], dtype=np.uint64)
    expected = np.random.Generator(np.random.Philox(key=key)).random(8, dtype=np.float32)
    assert torch.equal(RandomStream(3, 4).uniforms(1, 8)[0], torch.from_numpy(expected))


def test_streams_are_values() -> None:
    stream = RandomStream(3, 4, first=5)
    assert torch.equal(stream.uniforms(3, 4), stream.uniforms(3, 4))
    assert stream.at(9) == RandomStream(3, 4, 9)
    assert stream.child(6) == RandomStream(3, 6)


def test_single_normals_are_standard_normal_and_independent_of_the_batch() -> None:
    stream = RandomStream(5, domain=3)
    x = stream.single_normals(20_000, 7)
    assert x.dtype == torch.float32
    assert stats.kstest(x.double().flatten().numpy(), "norm").pvalue > 1e-3
    assert abs(float(np.corrcoef(x.double().t().numpy())[0, 1:].max())) < 5 / 20_000**0.5
    assert torch.equal(stream.at(100).single_normals(50, 7), x[100:150])
    both = joined([(stream.at(3), 2), (RandomStream(6), 4)]).single_normals(6, 7)
    assert torch.equal(both, torch.cat([x[3:5], RandomStream(6).single_normals(4, 7)]))


def test_the_largest_single_normal_is_far_out() -> None:
    x = RandomStream(1).single_normals(2**20, 8)
    assert 5.0 < float(x.abs().max()) < 6.8
    assert bool(x.isfinite().all())
