"""Mixtures of normal distributions as a target."""

from math import cos, log, pi, sin

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from zoo.core.random import RandomStream
from zoo.core.targets import negative_gradient
from zoo.specs.errors import InvalidValueError
from zoo.specs.targets.gaussian_mixture import CircleMeans, GaussianMixtureSpec, GridMeans
from zoo.targets.gaussian_mixture import GaussianMixture

UNEVEN = GaussianMixtureSpec(means=((-1.0, 0.0), (2.0, 1.0), (2.5, -1.0)), scales=(0.1, 0.5, 2.0), weights=(1, 2, 5))
SPECS = [
    GaussianMixtureSpec(),
    GaussianMixtureSpec(means=CircleMeans(modes=3)),
    GaussianMixtureSpec(means=GridMeans(side=2)),
    UNEVEN,
    GaussianMixtureSpec(means=((1.0,) * 5, (-1.0,) * 5), scales=0.8),
    GaussianMixtureSpec(means=((1.0,), (-1.0,)), weights=(1, 2)),
    GaussianMixtureSpec(means=((1.0,), (-1.0,)), scales=(1, 2)),
    GaussianMixtureSpec(means=((1.0,), (-1.0,), (-1.0,)), weights=(2, 1, 1)),
]


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_energy_is_minus_the_logarithm_of_the_density(spec: GaussianMixtureSpec) -> None:
    x = 2 * RandomStream(1).normals(10, spec.space.num_sites).numpy()
    density = np.zeros(10)
    for m, s, w in zip(spec.locations, spec.deviations, spec.probabilities, strict=True):
        density += w * (2 * pi * s**2) ** (-len(m) / 2) * np.exp(-((x - m) ** 2).sum(1) / (2 * s**2))
    energy = GaussianMixture(spec).energy(torch.from_numpy(x))
    assert energy.tolist() == pytest.approx((-np.log(density)).tolist(), rel=1e-11)


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_force_is_the_negative_gradient(spec: GaussianMixtureSpec) -> None:
    target, d = GaussianMixture(spec), spec.space.num_sites
    x = 2 * RandomStream(1).normals(20, d)
    assert torch.allclose(target.force(x), negative_gradient(target.energy, x), rtol=1e-9, atol=1e-10)
    h = 1e-6
    for axis in range(d):
        step = h * torch.eye(d, dtype=torch.float64)[axis]
        slope = (target.energy(x + step) - target.energy(x - step)) / (2 * h)
        assert torch.allclose(target.force(x)[:, axis], -slope, rtol=1e-5, atol=1e-5)


def test_large_batches_are_cut_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    target, x = GaussianMixture(UNEVEN), RandomStream(1).normals(50, 2)
    whole = (target.energy(x), target.force(x), target.observables(x)["first_mode"])
    monkeypatch.setattr("zoo.targets.gaussian_mixture._NUMBERS_AT_ONCE", 20)
    parts = (target.energy(x), target.force(x), target.observables(x)["first_mode"])
    assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(whole, parts, strict=True))


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_draws_have_the_exact_means(spec: GaussianMixtureSpec) -> None:
    target, n = GaussianMixture(spec), 20_000
    found = target.observables(target.draw(n, 1.0, RandomStream(2)))
    exact = target.exact_reference(1.0).observables
    for name in set(found) & set(exact):
        sigma = float(found[name].std()) / n**0.5
        assert abs(float(found[name].mean()) - exact[name]) < 4.5 * sigma + 1e-9, name


def test_draws_visit_each_mode_by_its_weight() -> None:
    n = 20_000
    x = GaussianMixture(GaussianMixtureSpec(means=((0.0,), (50.0,)), weights=(3, 1))).draw(n, 1.0, RandomStream(3))
    assert abs(float((x > 25).double().mean()) - 0.25) < 4.5 * (0.25 * 0.75 / n) ** 0.5


def test_draws_have_the_scale_of_their_mode() -> None:
    n = 20_000
    x = GaussianMixture(GaussianMixtureSpec(means=((0.0,), (50.0,)), scales=(0.5, 2.0))).draw(n, 1.0, RandomStream(3))
    near, far = x[x < 25], x[x > 25]
    assert float(near.std()) == pytest.approx(0.5, rel=4.5 / (2 * len(near)) ** 0.5)
    assert float(far.std()) == pytest.approx(2.0, rel=4.5 / (2 * len(far)) ** 0.5)


def test_each_draw_depends_on_its_own_index_alone() -> None:
    target = GaussianMixture(UNEVEN)
    many = target.draw(100, 1.0, RandomStream(5))
    assert torch.equal(many[41:44], target.draw(3, 1.0, RandomStream(5).at(41)))


def test_draws_at_another_beta_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="beta = 1 only"):
        GaussianMixture(UNEVEN).draw(3, 0.5, RandomStream(5))


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_flip_is_a_symmetry_exactly_where_it_is_claimed(spec: GaussianMixtureSpec) -> None:
    target, x = GaussianMixture(spec), RandomStream(1).normals(20, spec.space.num_sites)
    assert torch.allclose(target.energy(x), target.energy(-x), rtol=1e-9) == ("z2" in target.symmetries)


def test_layouts_are_where_they_say() -> None:
    circle = GaussianMixtureSpec(means=CircleMeans(modes=3, radius=2.0)).locations
    assert circle[1].tolist() == pytest.approx([2 * cos(2 * pi / 3), 2 * sin(2 * pi / 3)])
    grid = GaussianMixtureSpec(means=GridMeans(side=2, spacing=3.0)).locations
    assert sorted(map(tuple, grid.tolist())) == [(-1.5, -1.5), (-1.5, 1.5), (1.5, -1.5), (1.5, 1.5)]
    peak = GaussianMixture(GaussianMixtureSpec(means=((0.0, 0.0),), scales=0.5)).energy(torch.zeros(1, 2))
    assert float(peak) == pytest.approx(log(2 * pi * 0.25))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"means": ((0.0, 0.0), (1.0,))}, r"means\[1\] has 1 coordinates, and means\[0\] has 2"),
        ({"means": ((0.0,), (1.0,)), "scales": (1.0,)}, "scales has 1 numbers for 2 modes"),
        ({"weights": (1.0, 1.0)}, "weights has 2 numbers for 8 modes"),
        ({"weights": (0.0,) * 8}, "weights"),
        ({"scales": -1.0}, "scales"),
        ({"means": ()}, "means"),
        ({"means": {"kind": "circle", "modes": 0}}, "modes"),
        ({"means": {"kind": "spiral"}}, "means"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        GaussianMixtureSpec.model_validate(parameters)
