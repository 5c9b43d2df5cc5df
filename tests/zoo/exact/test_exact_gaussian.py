"""The normal distribution's partition function against elimination and quadrature."""

from math import inf, log, nan, pi

import numpy as np
import pytest

from zoo.exact.gaussian import exact_reference, gaussian_log_z_by_elimination
from zoo.exact.quadrature import plane_cumulants, plane_means
from zoo.specs.errors import InvalidValueError
from zoo.specs.targets.gaussian import GaussianSpec

PLANE = GaussianSpec(precision=((2.0, -0.7), (-0.7, 0.5)))


def random_spec(n: int, seed: int = 1) -> GaussianSpec:
    a = np.random.default_rng(seed).normal(size=(n, n))
    matrix = a @ a.T + 0.1 * np.eye(n)
    matrix = (matrix + matrix.T) / 2
    return GaussianSpec(precision=tuple(map(tuple, matrix.tolist())))


@pytest.mark.parametrize("n", [1, 2, 7, 40])
@pytest.mark.parametrize("beta", [0.1, 1.0, 30.0])
def test_free_energy_is_that_of_elimination(n: int, beta: float) -> None:
    spec = random_spec(n)
    expected = gaussian_log_z_by_elimination(spec.matrix, beta)
    assert exact_reference(spec, beta).beta_f == pytest.approx(-expected, abs=1e-10)


@pytest.mark.parametrize("beta", [0.3, 1.0, 4.0])
def test_everything_is_that_of_quadrature(beta: float) -> None:
    def u(x: np.ndarray) -> np.ndarray:
        return beta * np.asarray(x[:, 0] ** 2 - 0.7 * x[:, 0] * x[:, 1] + 0.25 * x[:, 1] ** 2)

    box = ((-40.0, -40.0), (40.0, 40.0))
    cumulants, found = plane_cumulants(u, *box), exact_reference(PLANE, beta)
    assert found.beta_f == pytest.approx(-cumulants.log_z, abs=1e-11)
    assert found.observables["energy"] == pytest.approx(cumulants.mean / beta, rel=1e-11)
    assert found.observables["heat_capacity"] == pytest.approx(cumulants.variance, rel=1e-11)
    norm = plane_means(u, *box, {"squared_norm": lambda x: (x * x).sum(1)})["squared_norm"]
    assert found.observables["squared_norm"] == pytest.approx(norm, rel=1e-11)


def test_independent_variables_add() -> None:
    spec = GaussianSpec(precision=((2.0, 0.0, 0.0), (0.0, 3.0, 0.0), (0.0, 0.0, 5.0)))
    assert exact_reference(spec, 0.5).beta_f == pytest.approx(-1.5 * log(4 * pi) + log(30) / 2)


def test_off_diagonal_terms_are_not_ignored() -> None:
    diagonal = GaussianSpec(precision=((2.0, 0.0), (0.0, 0.5)))
    assert abs(exact_reference(PLANE, 1).beta_f - exact_reference(diagonal, 1).beta_f) > 0.1


@pytest.mark.parametrize("beta", [0.0, -1.0, inf, nan])
def test_a_beta_without_partition_function_is_refused(beta: float) -> None:
    with pytest.raises(InvalidValueError, match="beta"):
        exact_reference(PLANE, beta)
