"""Powers of mixtures against the multinomial expansion, and rings against quadrature over the radius and the plane."""

from math import log, pi, sqrt

import numpy as np
import pytest

from zoo.exact import mixture, ring
from zoo.exact.mixture import mixture_log_z_by_expansion
from zoo.exact.quadrature import line_cumulants, line_means, plane_cumulants
from zoo.exact.ring import ring_borders
from zoo.specs.errors import InvalidValueError, NoExactReferenceError, NumericalError
from zoo.specs.targets.gaussian_mixture import CircleMeans, GaussianMixtureSpec, GridMeans
from zoo.specs.targets.ring import RingSpec

MIXTURES = [
    GaussianMixtureSpec(),
    GaussianMixtureSpec(means=GridMeans(side=3, spacing=1.5), scales=0.4),
    GaussianMixtureSpec(means=((-1.0,), (2.0,), (2.5,)), scales=(0.1, 0.5, 2.0), weights=(1, 2, 3)),
    GaussianMixtureSpec(means=((0.0, 0.0), (9.0, 1.0)), scales=(1e-3, 3.0), weights=(0.2, 0.8)),
    GaussianMixtureSpec(means=((1.0, 2.0, -1.0),), scales=3.0),
]
RINGS = [
    RingSpec(),
    RingSpec(radii=(1, 2, 3, 4, 5), width=sqrt(0.02)),
    RingSpec(radii=(0.001, 1.0), width=1.0),
    RingSpec(radii=(3.0,), width=1e-3),
]


@pytest.mark.parametrize("spec", MIXTURES, ids=repr)
@pytest.mark.parametrize("beta", [1, 2, 3])
def test_powers_of_a_mixture_by_expansion(spec: GaussianMixtureSpec, beta: int) -> None:
    found = mixture.exact_reference(spec, beta)
    assert found.beta_f == pytest.approx(-mixture_log_z_by_expansion(spec, beta), abs=1e-10)
    assert found.method == ("normalised" if beta == 1 else "closed form" if spec.num_modes == 1 else "quadrature")


@pytest.mark.parametrize("spec", MIXTURES, ids=repr)
def test_mixtures_are_normalised_without_being_told(spec: GaussianMixtureSpec) -> None:
    if spec.space.num_sites == 2:
        log_z, observables = mixture._by_quadrature(spec, 1.0)
        assert log_z == pytest.approx(0, abs=1e-10)
        told = mixture.exact_reference(spec, 1).observables
        assert told["squared_norm"] == pytest.approx(observables["squared_norm"], rel=1e-10)
    assert mixture.exact_reference(spec, 1).beta_f == 0


@pytest.mark.parametrize("beta", [0.3, 1.0, 2.5])
def test_a_mixture_of_coinciding_modes_is_one_mode(beta: float) -> None:
    one = GaussianMixtureSpec(means=((1.0, -2.0),), scales=0.7)
    two = GaussianMixtureSpec(means=((1.0, -2.0), (1.0, -2.0)), scales=0.7, weights=(1, 4))
    first, second = mixture.exact_reference(one, beta), mixture.exact_reference(two, beta)
    assert first.beta_f == pytest.approx(second.beta_f, abs=1e-11)
    for name in ("energy", "heat_capacity", "squared_norm"):
        assert first.observables[name] == pytest.approx(second.observables[name], rel=1e-10)


def test_energy_of_a_mixture_is_the_derivative_of_its_free_energy() -> None:
    spec, beta, h = MIXTURES[1], 0.6, 1e-4
    slope = (mixture.exact_reference(spec, beta + h).beta_f - mixture.exact_reference(spec, beta - h).beta_f) / (2 * h)
    assert mixture.exact_reference(spec, beta).observables["energy"] == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("beta", [50.0, 1e5])
def test_no_mode_is_lost_at_low_temperature(beta: float) -> None:
    found = mixture.exact_reference(GaussianMixtureSpec(means=CircleMeans(modes=5, radius=4.0)), beta)
    peak = beta * log(2 * pi * 0.25 * 5)
    assert found.beta_f == pytest.approx(peak - log(5 * 2 * pi * 0.25 / beta), abs=1e-3)


def test_mixtures_without_a_reference_say_what_has_one() -> None:
    space = GaussianMixtureSpec(means=((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
    with pytest.raises(NoExactReferenceError, match="3 dimensions"):
        mixture.exact_reference(space, 2)
    assert mixture.exact_reference(space, 1).beta_f == 0
    many = GaussianMixtureSpec(means=CircleMeans(modes=33))
    with pytest.raises(NoExactReferenceError, match="at most 25 modes"):
        mixture.exact_reference(many, 2)
    with pytest.raises(NoExactReferenceError, match=r"8 at beta below 0\.001"):
        mixture.exact_reference(GaussianMixtureSpec(means=CircleMeans(modes=25)), 1e-4)
    assert "energy" not in mixture.exact_reference(many, 1).observables
    with pytest.raises(NumericalError, match="products"):
        mixture_log_z_by_expansion(many, 6)
    with pytest.raises(InvalidValueError, match="beta"):
        mixture.exact_reference(many, 0)


@pytest.mark.parametrize("spec", RINGS, ids=repr)
@pytest.mark.parametrize("beta", [1e-3, 1.0, 20.0])
def test_rings_by_quadrature_over_the_radius(spec: RingSpec, beta: float) -> None:
    radii, end = np.array(spec.radii), spec.radii[-1] + 14 * spec.width / sqrt(beta)

    def energy(r: np.ndarray) -> np.ndarray:
        return np.asarray(((r[:, None] - radii) ** 2).min(1) / (2 * spec.width**2))

    def u(r: np.ndarray) -> np.ndarray:
        return np.asarray(beta * energy(r) - np.log(2 * pi * r))

    found = ring.exact_reference(spec, beta)
    border = ring_borders(spec)[1]
    means = line_means(
        u,
        0,
        end,
        {"e": energy, "e2": lambda r: energy(r) ** 2, "r": lambda r: r, "first": lambda r: (r < border) * 1.0},
    )
    assert found.beta_f == pytest.approx(-line_cumulants(u, 0, end).log_z, abs=1e-11)
    assert found.observables["energy"] == pytest.approx(means["e"], rel=1e-10)
    assert found.observables["heat_capacity"] == pytest.approx(beta**2 * (means["e2"] - means["e"] ** 2), rel=1e-8)
    assert found.observables["radius"] == pytest.approx(means["r"], rel=1e-10)
    assert found.observables["in_first_ring"] == pytest.approx(means["first"], abs=1e-10)


@pytest.mark.parametrize("beta", [0.2, 1.0, 10.0])
def test_a_ring_by_quadrature_over_the_plane(beta: float) -> None:
    reach = 2 + 14 * 0.4 / sqrt(beta)
    plane = plane_cumulants(lambda x: beta * (np.hypot(*x.T) - 2) ** 2 / 0.32, (-reach, -reach), (reach, reach))
    found = ring.exact_reference(RingSpec(), beta)
    assert found.beta_f == pytest.approx(-plane.log_z, abs=1e-11)
    assert found.observables["heat_capacity"] == pytest.approx(plane.variance, rel=1e-10)


def test_a_thin_ring_is_its_circumference_times_a_normal_distribution() -> None:
    found = ring.exact_reference(RingSpec(radii=(3.0,), width=1e-4), 1)
    assert found.beta_f == pytest.approx(-log(2 * pi * 3 * 1e-4 * sqrt(2 * pi)), abs=1e-7)
