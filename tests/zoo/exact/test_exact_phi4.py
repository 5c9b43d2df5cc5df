"""Free and interacting scalar fields against plane quadrature, Gauss quadrature and each other."""

from math import log, nan, prod

import numpy as np
import pytest
import torch

from zoo.exact import phi4_transfer_matrix
from zoo.exact.phi4 import _box_spectrum, exact_reference, free_field_cumulants, single_site
from zoo.exact.phi4_quadrature import gauss_rule, phi4_quadrature_log_z
from zoo.exact.phi4_transfer_matrix import Phi4Moments, phi4_moments, row_of
from zoo.exact.quadrature import plane_cumulants
from zoo.specs.errors import InvalidValueError, NoExactReferenceError
from zoo.specs.targets.phi4 import Phi4Spec
from zoo.targets.phi4 import Phi4


def by_plane(spec: Phi4Spec, beta: float, extent: float) -> tuple[float, float, float]:
    """Ln Z, energy and heat capacity of two sites, by two-dimensional quadrature of the target's own energy."""
    target = Phi4(spec)
    c = plane_cumulants(
        lambda x: beta * target.energy(torch.from_numpy(x).reshape(-1, *spec.shape)).numpy(),
        (-extent,) * 2,
        (extent,) * 2,
    )
    return c.log_z, c.mean / beta / 2, c.variance / 2


def test_the_free_8x8_field_is_the_published_number() -> None:
    found = exact_reference(Phi4Spec(shape=(8, 8), mass_squared=1.0, coupling=0.0), 1.0)
    assert found.beta_f == pytest.approx(11.62288525733, abs=6e-12)
    assert found.method == "determinant"


def test_the_4x4_field_is_the_published_number_and_that_of_gauss_quadrature() -> None:
    found = exact_reference(Phi4Spec(shape=(4, 4), mass_squared=-4.0, coupling=8.0), 1.0)
    assert found.method == "transfer matrix"
    assert found.beta_f == pytest.approx(-2.405139, abs=5e-7)
    assert found.beta_f == pytest.approx(-phi4_quadrature_log_z(-4.0, 8.0, (4, 4), points=10), abs=1e-9)


SMALL = [((2,), -4.0, 8.0), ((2,), 0.5, 0.3), ((1, 2), -2.0, 1.0), ((2, 1, 1), 3.0, 0.0)]


@pytest.mark.parametrize(("shape", "m2", "g"), SMALL)
@pytest.mark.parametrize("beta", [0.4, 1.0, 2.5])
def test_two_sites_are_the_plane_integral(shape: tuple[int, ...], m2: float, g: float, beta: float) -> None:
    spec = Phi4Spec(shape=shape, mass_squared=m2, coupling=g)
    found = exact_reference(spec, beta)
    log_z, energy, heat = by_plane(spec, beta, extent=9.0)
    assert found.beta_f == pytest.approx(-log_z, abs=1e-9)
    assert found.observables["energy_per_site"] == pytest.approx(energy, abs=1e-8)
    assert found.observables["heat_capacity_per_site"] == pytest.approx(heat, abs=1e-7)


LATTICES = [
    ((5,), -4.0, 8.0, 16),
    ((40,), -1.0, 1.0, 24),
    ((2, 2), -4.0, 8.0, 12),
    ((2, 2), -6.0, 4.0, 24),
    ((3, 3), -1.0, 1.0, 14),
    ((6, 3), -4.0, 8.0, 12),
    ((3, 1, 2), 1.0, 2.0, 16),
    ((2, 2, 2), -4.0, 8.0, 11),
    ((2, 4), -4.0, 5.0, 16),
]


@pytest.mark.parametrize(("shape", "m2", "g", "points"), LATTICES)
def test_narrow_lattices_are_the_gauss_quadrature(shape: tuple[int, ...], m2: float, g: float, points: int) -> None:
    found = phi4_moments(m2, g, shape)
    expected = phi4_quadrature_log_z(m2, g, shape, points)
    assert found.log_z == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(("shape", "m2", "g"), [((2, 3), -2.0, 1.5), ((6,), -4.0, 8.0), ((2, 2), -4.0, 8.0)])
def test_moments_are_derivatives_of_log_z(shape: tuple[int, ...], m2: float, g: float) -> None:
    h = 1e-2
    along_g = [phi4_quadrature_log_z(m2, g * (1 + i * h), shape, 14) for i in range(-2, 3)]
    along_m = [phi4_quadrature_log_z(m2 + i * h, g, shape, 14) for i in range(-2, 3)]
    found = phi4_moments(m2, g, shape)
    assert found.quartic == pytest.approx(-five_point_slope(along_g, g * h), rel=1e-5)
    second = (-along_g[0] + 16 * along_g[1] - 30 * along_g[2] + 16 * along_g[3] - along_g[4]) / (12 * (g * h) ** 2)
    assert found.quartic_variance == pytest.approx(second, rel=1e-4)
    assert found.phi_squared == pytest.approx(-five_point_slope(along_m, h) / prod(shape), rel=1e-5)


def five_point_slope(f: list[float], h: float) -> float:
    return (f[0] - 8 * f[1] + 8 * f[3] - f[4]) / (12 * h)


def test_truncation_converges_from_below_and_does_not_depend_on_the_share_of_the_lateral_bonds() -> None:
    site = phi4_transfer_matrix._Site(-4.0, 8.0, 1, 0.5)
    cuts = [phi4_transfer_matrix._Ring(site, 4, cut).log_trace(4) for cut in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)]
    steps = np.diff(cuts)
    assert (steps > -1e-13).all()  # Cauchy interlacing
    assert (steps[1:] < steps[:-1] / 5).all()
    assert steps[-1] < 1e-11
    shares = [phi4_moments(-4.0, 8.0, (4, 4), share) for share in (0.0, 0.5, 0.9)]
    assert shares[0].log_z == pytest.approx(shares[1].log_z, abs=1e-9)
    assert shares[2].log_z == pytest.approx(shares[1].log_z, abs=1e-9)
    assert shares[0].quartic_variance == pytest.approx(shares[2].quartic_variance, abs=1e-7)


def test_a_row_without_its_lateral_bonds_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = phi4_quadrature_log_z(-4.0, 8.0, (3, 3), 12)
    monkeypatch.setattr(phi4_transfer_matrix, "row_of", lambda shape: (3, 0, 3))
    assert abs(phi4_moments(-4.0, 8.0, (3, 3)).log_z - right) > 0.1


def test_weak_coupling_is_the_free_field_with_first_order_perturbation() -> None:
    m2, g, shape = 1.5, 1e-6, (3, 5)
    free = exact_reference(Phi4Spec(shape=shape, mass_squared=m2, coupling=0.0), 1.0)
    first = 15 * 3 * g * free.observables["phi_squared"] ** 2  # Wick: <phi^4> = 3 <phi^2>^2
    found = exact_reference(Phi4Spec(shape=shape, mass_squared=m2, coupling=g), 1.0)
    assert found.beta_f == pytest.approx(free.beta_f + first, abs=2e-8)
    for name in ("energy_per_site", "phi_squared", "neighbour_correlation"):
        assert found.observables[name] == pytest.approx(free.observables[name], abs=2e-6)


def test_two_deep_wells_are_two_gaussians() -> None:
    m2, g = -1e4, 8.0  # wells at phi^2 = -m2 / 2g, with a curvature of -4 m2; the next order of ln Z is 3 g / (4 m2^2)
    cumulants, squared = single_site(m2, g)
    gaussian = log(2) + log(2 * np.pi / (-4 * m2)) / 2
    assert cumulants.log_z == pytest.approx(m2**2 / (4 * g) + gaussian, rel=1e-12)
    assert squared == pytest.approx(-m2 / (2 * g), rel=1e-6)
    assert cumulants.variance == pytest.approx(0.5, rel=1e-5)


DEEP = [
    ((2, 2), -30.0, 0.5),
    ((2, 2), -30.0, 0.05),
    ((2, 3), -50.0, 0.1),
    ((2, 2), -100.0, 1.0),
    ((3, 3), -30.0, 0.5),
    ((4, 4), -30.0, 0.5),
    ((4,), -100.0, 0.5),
]


@pytest.mark.parametrize(("shape", "m2", "g"), DEEP)
def test_lattices_of_deep_wells_are_two_gaussians(shape: tuple[int, ...], m2: float, g: float) -> None:
    """The next order of ln Z is C g / m^4: with t S for S it is C g / (t m^4), so var S = N / 2 + 2 C g / m^4."""
    spec, sites = Phi4Spec(shape=shape, mass_squared=m2, coupling=g), prod(shape)
    found = exact_reference(spec, 1.0)
    laplace = log(2) + sites * m2**2 / (4 * g) + 0.5 * float(np.log(np.pi / (_box_spectrum(shape) - 2 * m2)).sum())
    beyond = (-found.beta_f - laplace) / sites
    small = g / m2**2
    assert 0.2 * small < beyond < 1.5 * small
    heat = found.observables["heat_capacity_per_site"]
    assert heat == pytest.approx(0.5 + 2 * beyond, abs=10 * small**2 + 1e-6)
    assert found.observables["phi_squared"] == pytest.approx(-m2 / (2 * g), rel=2 * small)


def test_wells_of_medium_depth_are_the_gauss_quadrature() -> None:
    for shape, m2, g in [((2, 2), -6.0, 2.0), ((2, 2), -8.0, 4.0), ((2, 3), -6.0, 3.0)]:
        assert phi4_moments(m2, g, shape).log_z == pytest.approx(phi4_quadrature_log_z(m2, g, shape, 20), abs=1e-8)


@pytest.mark.parametrize("shape", [(4,), (2, 2), (2, 3)])
@pytest.mark.parametrize("m2", [-100.0, -30.0, -4.0, 0.0])
@pytest.mark.parametrize("g", [1e-3, 0.5, 100.0])
@pytest.mark.parametrize("beta", [1.0, 10.0])
def test_every_answer_is_finite_or_refused_in_words(shape: tuple[int, ...], m2: float, g: float, beta: float) -> None:
    spec = Phi4Spec(shape=shape, mass_squared=m2, coupling=g)
    try:
        found = exact_reference(spec, beta)
    except NoExactReferenceError:
        return
    assert np.isfinite([found.beta_f, *found.observables.values()]).all()
    assert found.observables["heat_capacity_per_site"] > 0


def test_levels_that_no_finer_cut_adds_are_not_convergence(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = phi4_quadrature_log_z(30.0, 5.0, (3, 3), 12)
    monkeypatch.setattr(phi4_transfer_matrix, "_LARGEST_CUT", 0.5)  # the first two cuts keep the same single list
    assert phi4_moments(30.0, 5.0, (3, 3)).log_z == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(("m2", "g"), [(1e6, 2.0), (0.3, 1e12), (-2.0, 1.0), (1e-3, 1e-3)])
def test_a_single_site_is_its_gauss_rule(m2: float, g: float) -> None:
    cumulants, squared = single_site(m2, g)
    nodes, weights = gauss_rule(m2, g, 6)
    assert cumulants.log_z == pytest.approx(log(weights.sum()), abs=1e-10)
    assert squared == pytest.approx(float(weights @ nodes**2 / weights.sum()), rel=1e-10)
    assert cumulants.mean == pytest.approx(float(weights @ (m2 * nodes**2 + g * nodes**4) / weights.sum()), rel=1e-9)


def test_a_site_of_the_transfer_matrix_is_the_line_integral() -> None:
    cumulants, squared = single_site(-1.0, 1.0)
    found = phi4_moments(-1.0, 1.0, (1,))
    assert found.log_z == pytest.approx(cumulants.log_z, abs=1e-8)
    assert found.cumulants(1, 1.0).variance == pytest.approx(cumulants.variance, abs=1e-7)
    assert found.phi_squared == pytest.approx(squared, abs=1e-8)


def test_general_beta_is_a_rescaled_field() -> None:
    one = exact_reference(Phi4Spec(shape=(2, 3), mass_squared=-2.0, coupling=3.0), 2.0)
    other = exact_reference(Phi4Spec(shape=(2, 3), mass_squared=-2.0, coupling=1.5), 1.0)
    assert one.beta_f == pytest.approx(other.beta_f + 3 * log(2.0), abs=1e-12)
    assert one.observables["phi_squared"] == pytest.approx(other.observables["phi_squared"] / 2)


def test_free_cumulants_are_those_of_half_a_chi_squared_number() -> None:
    c = free_field_cumulants((3, 4), 0.7, 1.3)
    assert (c.mean, c.variance) == (6.0, 6.0)
    spread = [free_field_cumulants((3, 4), 0.7, 1.3 * t).log_z for t in (1 - 1e-4, 1 + 1e-4)]
    assert -(spread[1] - spread[0]) / 2e-4 == pytest.approx(c.mean, rel=1e-6)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 1), (1, 0, 1)),
        ((9,), (1, 0, 9)),
        ((1, 2), (1, 0, 2)),
        ((5, 3), (3, 1, 5)),
        ((4, 4), (4, 1, 4)),
        ((2, 7, 2), (4, 2, 7)),
        ((5, 5), None),
        ((2, 3, 2, 1), (4, 2, 3)),
        ((2, 2, 2, 2), None),
        ((3, 3, 2), None),
    ],
)
def test_rows_lie_across_the_longest_side(shape: tuple[int, ...], expected: tuple[int, int, int] | None) -> None:
    assert row_of(shape) == expected


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (Phi4Spec(shape=(8, 8), mass_squared=-4.0, coupling=8.0), "side of at most 4"),
        (Phi4Spec(shape=(3, 3, 3), mass_squared=-4.0, coupling=8.0), "side of at most 4"),
        (Phi4Spec(shape=(4, 4), mass_squared=0.001, coupling=0.001), "3000 states"),
        (Phi4Spec(shape=(4, 4), mass_squared=-10.0, coupling=1e-9), "grid points"),
    ],
    ids=str,
)
def test_what_is_not_covered_is_said_with_the_bound(spec: Phi4Spec, why: str) -> None:
    with pytest.raises(NoExactReferenceError, match=why):
        exact_reference(spec, 1.0)


@pytest.mark.parametrize("beta", [0.0, -1.0, nan])
def test_a_beta_at_which_z_diverges_is_refused(beta: float) -> None:
    with pytest.raises(InvalidValueError, match="greater than 0"):
        exact_reference(Phi4Spec(shape=(2,), mass_squared=1.0, coupling=1.0), beta)


def test_energies_by_virial_are_means_of_the_action() -> None:
    moments = Phi4Moments(0.0, 0.25, 0.0625, 0.3)
    assert moments.cumulants(1, 1.0).mean == 0.25  # a pure quartic: <S> = N / 4
