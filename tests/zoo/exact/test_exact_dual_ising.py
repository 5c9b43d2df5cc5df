"""The field's partition function from the spins', against integrals of the field itself."""

from itertools import product
from math import log, pi, sqrt

import numpy as np
import pytest
import torch

from zoo.exact.dual_ising import coupling_spectrum, exact_reference, offset
from zoo.exact.quadrature import plane_cumulants
from zoo.specs.errors import NoExactReferenceError
from zoo.specs.targets.dual_ising import DualIsingSpec
from zoo.targets.dual_ising import DualIsing

CRITICAL = log(1 + sqrt(2)) / 2


@pytest.mark.parametrize(("side", "per_site"), [(8, -2.3227346293905), (16, -2.3159208588187)])
def test_critical_values_are_the_published_numbers(side: int, per_site: float) -> None:
    found = exact_reference(DualIsingSpec(shape=(side, side), beta=CRITICAL), 1.0)
    assert found.beta_f / side**2 == pytest.approx(per_site, abs=1e-13)
    assert "Kaufman" in found.method


@pytest.mark.parametrize("shape", [(1, 2), (2, 1)])
@pytest.mark.parametrize("beta", [1e-3, 0.3, 0.7])
def test_two_sites_are_the_plane_integral_of_the_targets_own_action(shape: tuple[int, int], beta: float) -> None:
    target = DualIsing(DualIsingSpec(shape=shape, beta=beta))

    def action(x: np.ndarray) -> np.ndarray:
        return target.energy(torch.from_numpy(x).reshape(-1, *shape)).numpy()

    expected = plane_cumulants(action, (-20.0, -20.0), (20.0, 20.0))
    assert target.exact_beta_f(1.0) == pytest.approx(-expected.log_z, abs=1e-10)


def by_gauss_hermite(spec: DualIsingSpec, nodes: int) -> float:
    """Ln Z of a few sites: x = sqrt(2) M^(1/2) z turns the quadratic part into exp(-z^2), for any square root of M."""
    sites = spec.space.num_sites
    z, w = np.polynomial.hermite.hermgauss(nodes)
    grid = np.array(list(product(z, repeat=sites)))
    log_w = np.array(list(product(np.log(w), repeat=sites))).sum(1)
    modes = np.fft.fft2(np.eye(sites).reshape(sites, *spec.shape))
    root = np.fft.ifft2(modes * np.sqrt(coupling_spectrum(spec.shape, spec.beta))).real.reshape(sites, sites)
    x = sqrt(2) * grid @ root
    log_terms = log_w + np.logaddexp(x, -x).sum(1) - sites * log(2)
    top = log_terms.max()
    return float(top + np.log(np.exp(log_terms - top).sum()) + sites / 2 * log(2) + np.linalg.slogdet(root)[1])


@pytest.mark.parametrize(("shape", "nodes"), [((1, 3), 60), ((2, 2), 26)])
@pytest.mark.parametrize("beta", [0.1, 0.3, 0.5])
def test_small_lattices_are_gauss_hermite_sums(shape: tuple[int, int], nodes: int, beta: float) -> None:
    spec = DualIsingSpec(shape=shape, beta=beta)
    assert exact_reference(spec, 1.0).beta_f == pytest.approx(-by_gauss_hermite(spec, nodes), abs=1e-9)


def test_a_forgotten_offset_is_caught() -> None:
    spec = DualIsingSpec(shape=(2, 2), beta=0.3)
    without = exact_reference(spec, 1.0).beta_f + 4 * offset(spec.shape, spec.beta) / 2
    assert abs(without + by_gauss_hermite(spec, 26)) > 1


@pytest.mark.parametrize(
    ("shape", "beta"), [((4, 4), 0.3), ((4, 4), 0.6), ((3, 5), 0.44), ((1, 7), 0.9), ((2, 3), 0.5)]
)
def test_the_transform_is_the_sum_over_spins(shape: tuple[int, int], beta: float) -> None:
    sites = shape[0] * shape[1]
    axes = [
        np.roll(np.eye(side), 1, 0) + np.roll(np.eye(side), -1, 0) if side > 1 else np.zeros((1, 1)) for side in shape
    ]
    K = beta * (np.kron(axes[0], np.eye(shape[1])) + np.kron(np.eye(shape[0]), axes[1]))
    M = K + (0.1 - np.linalg.eigvalsh(K).min()) * np.eye(sites)
    s = 2.0 * (np.arange(2**sites)[:, None] >> np.arange(sites) & 1) - 1
    exponent = ((s @ M) * s).sum(1) / 2
    top = exponent.max()
    log_sum = top + log(np.exp(exponent - top).sum())
    expected = log_sum + sites * (log(2 * pi) / 2 - log(2)) + np.linalg.slogdet(M)[1] / 2
    assert exact_reference(DualIsingSpec(shape=shape, beta=beta), 1.0).beta_f == pytest.approx(-expected, abs=1e-9)


def test_free_spins_leave_a_gaussian_field() -> None:
    found = exact_reference(DualIsingSpec(shape=(1, 1), beta=3.0), 1.0)
    assert found.beta_f == pytest.approx(-(0.05 + log(2 * pi * 0.1) / 2), abs=1e-14)


@pytest.mark.parametrize("beta", [0.44, 2.0])
def test_another_beta_of_the_state_is_refused(beta: float) -> None:
    with pytest.raises(NoExactReferenceError, match="state beta"):
        exact_reference(DualIsingSpec(shape=(4, 4), beta=0.44), beta)
